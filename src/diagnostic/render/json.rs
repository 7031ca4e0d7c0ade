//! For programs: one array. Members are only ever added.

use serde::Serialize;

use crate::diagnostic::{Diagnostics, Sources, Span};

#[derive(Serialize)]
struct Problem<'a> {
    code: &'static str,
    name: &'static str,
    severity: &'static str,
    message: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
    label: &'a str,
    related: Vec<Related<'a>>,
    help: &'a [String],
    fix: Option<Change<'a>>,
}

/// Lines and columns count from 1, columns in characters, offsets in bytes from 0; ends are exclusive.
#[derive(Serialize)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    end_line: usize,
    end_column: usize,
    start: u32,
    end: u32,
}

#[derive(Serialize)]
struct Related<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    label: &'a str,
}

#[derive(Serialize)]
struct Change<'a> {
    message: &'a str,
    replacement: &'a str,
    #[serde(flatten)]
    place: Place<'a>,
}

/// A JSON array with an object for each problem: `code name severity message file line column end_line
/// end_column start end label related help fix`.
pub fn json(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let problems: Vec<Problem<'_>> = diagnostics
        .iter()
        .map(|diagnostic| Problem {
            code: diagnostic.code.as_str(),
            name: diagnostic.code.name(),
            severity: diagnostic.severity().as_str(),
            message: &diagnostic.message,
            place: place(diagnostic.primary.span, sources),
            label: &diagnostic.primary.text,
            related: diagnostic
                .secondary
                .iter()
                .map(|label| Related { place: place(label.span, sources), label: &label.text })
                .collect(),
            help: &diagnostic.help,
            fix: diagnostic.fix.as_ref().map(|fix| Change {
                message: &fix.message,
                replacement: &fix.replacement,
                place: place(fix.span, sources),
            }),
        })
        .collect();
    // Strings and numbers only: there is nothing in it that JSON can't say.
    serde_json::to_string_pretty(&problems).unwrap_or_else(|_| "[]".to_owned())
}

fn place(span: Span, sources: &Sources) -> Place<'_> {
    let (from, to) = (sources.start(span), sources.end(span));
    Place {
        file: sources.path(span.file),
        line: from.line,
        column: from.column,
        end_line: to.line,
        end_column: to.column,
        start: span.start,
        end: span.end,
    }
}
