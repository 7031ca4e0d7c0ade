//! The reference: Markdown pages made from the types and tables that the program itself works with.
//!
//! Invariant: a page says nothing that a type or table does not; what is written by hand is in `values.md` beside
//! this file, whose tables are filled in, and in `docs/guide`.

mod diagnostics;
mod helpers;
mod overview;
mod records;
mod values;

use crate::spec::FileKind;

pub use overview::overview;

/// What stands at the head of everything that is generated.
const GENERATED: &str = "<!-- Made by `patchcord docs`; run `just generate` after a change. -->\n";

/// A page of the reference.
pub struct Page {
    /// The name of its file, without `.md`.
    pub name: &'static str,
    /// Its Markdown.
    pub text: String,
}

/// All pages.
pub fn pages() -> Vec<Page> {
    let page = |name, text: String| Page { name, text: format!("{GENERATED}{text}") };
    vec![
        page(
            "mapping",
            records::page(
                FileKind::Mapping,
                "# The mapping format",
                "Every key of `mappings/NAME.yaml`. A **value** may be a literal, a JSONPath, a template or an \
                 operator, and a **condition** is made of values: see [values](values.md) and \
                 [helpers](helpers.md). Worked examples are in the [guide](../guide).",
            ),
        ),
        page(
            "tests",
            records::page(
                FileKind::Test,
                "# Tests of a mapping",
                "Every key of `mappings/NAME.test.yaml`, which `patchcord test` runs. Values are literals here. The \
                 clock stands at 2026-01-02T03:04:05Z and randomness repeats, so a result is the same everywhere. `--coverage` counts the places that a test reached: \
                 webhooks, rules, steps of messages and calls, classes of responses, and the branches of `$if` and \
                 `$switch`; `--min` fails below a share of them.",
            ),
        ),
        page(
            "installation",
            records::page(
                FileKind::Installation,
                "# An installation",
                "Every key of `patchcord.yaml`, which `patchcord serve` reads. A secret is never written into it but \
                 referred to: `{env: NAME}` or `{file: /run/secrets/name}`.",
            ),
        ),
        page("values", values::page()),
        page("helpers", helpers::page()),
        page("diagnostics", diagnostics::page()),
    ]
}

/// A text as the cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Something in code quotes, as the cell of a table: a quote within asks for longer ones around.
fn code(text: &str) -> String {
    let text = cell(text);
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_within_the_reference_lead_somewhere() {
        let pages = pages();
        for page in &pages {
            for rest in page.text.split("](").skip(1) {
                let target = rest.split(')').next().unwrap();
                if target.contains("://") || target.starts_with("..") {
                    continue;
                }
                let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
                let name = if file.is_empty() { page.name } else { file.trim_end_matches(".md") };
                let found = pages.iter().find(|page| page.name == name);
                let found = found.unwrap_or_else(|| panic!("{}: {target}", page.name));
                let anchors = found.text.lines().filter(|line| line.starts_with('#')).map(|line| {
                    let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                    title.chars().filter(|c| c.is_alphanumeric() || *c == '-').collect::<String>()
                });
                let mut anchors = anchors.into_iter();
                assert!(anchor.is_empty() || anchors.any(|at| at == anchor), "{}: {target}", page.name);
            }
        }
    }
}
