//! The guides and the README are true: every mapping in them passes `check`, and every test in them passes.
//!
//! A block `yaml mapping` is a mapping, which may leave out `patchcord`, `name` and `contact_id`; a block
//! `yaml tests` holds tests of the mapping before it, and may leave out `mapping`. With `later` behind it a block is about
//! what is not built yet: its mapping must not pass, so that the word goes when it is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::{files, root, run, scratch};

/// The blocks of a page with that language: their line, what else stands behind the language, their text.
fn blocks(page: &str) -> Vec<(usize, &str, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let inner: Vec<_> =
                lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            found.push((at + 1, kind, inner.join("\n") + "\n"));
        }
    }
    found
}

/// A block as a whole file: with the keys that it leaves out.
fn whole(text: &str, keys: &[(&str, &str)]) -> String {
    let has = |key: &str| text.lines().any(|line| line.starts_with(&format!("{key}:")));
    let missing = keys.iter().filter(|(key, _)| !has(key)).map(|(key, value)| format!("{key}: {value}\n"));
    missing.collect::<String>() + text
}

fn pages() -> Vec<PathBuf> {
    let mut pages = files(&root().join("docs/guide"), ".md");
    pages.push(root().join("README.md"));
    pages
}

/// Every problem of a page's mappings and tests; the number of both.
fn problems(page: &Path, found: &mut Vec<String>) -> (usize, usize) {
    let text = fs::read_to_string(page).unwrap();
    let stem = page.file_stem().unwrap().to_string_lossy().to_lowercase();
    let folder = scratch(&format!("guide-{stem}"));
    let (mut mappings, mut tests) = (0, 0);
    for (line, kind, block) in blocks(&text) {
        let place = format!("{}:{line}", page.display());
        let name = format!("guide-{mappings}");
        if kind == "yaml mapping" || kind == "yaml mapping later" {
            mappings += 1;
            let name = format!("guide-{mappings}");
            let named = block.lines().find_map(|line| line.strip_prefix("name: ")).unwrap_or(&name);
            let keys = [("patchcord", "1"), ("name", named), ("contact_id", "custom")];
            let file = format!("{named}.yaml");
            fs::write(folder.join(&file), whole(&block, &keys)).unwrap();
            let output = run(&folder, ["check", &file]);
            if kind.ends_with("later") {
                if output.code == 0 {
                    found.push(format!(
                        "{place}: this is built now; take out `later`, here and behind its tests"
                    ));
                }
            } else if output.code != 0 || !output.stdout.is_empty() {
                found.push(format!("{place}\n{}", output.stdout));
            }
        } else if kind == "yaml tests" {
            tests += 1;
            let file = format!("{name}.test.yaml");
            fs::write(folder.join(&file), whole(&block, &[("mapping", &name)])).unwrap();
            let output = run(&folder, ["test", &file]);
            if output.code != 0 || !output.stdout.contains(" 0 failed") {
                found.push(format!("{place}\n{}{}", output.stdout, output.stderr));
            }
        }
    }
    (mappings, tests)
}

#[test]
fn every_mapping_and_test_of_the_guides_is_sound() {
    let (mut found, mut mappings, mut tests) = (Vec::new(), 0, 0);
    for page in pages() {
        let count = problems(&page, &mut found);
        mappings += count.0;
        tests += count.1;
    }
    println!("{mappings} mappings and {tests} test files in the guides");
    assert!(found.is_empty(), "{}", found.join("\n\n"));
    assert!(mappings >= 12 && tests >= 8, "only {mappings} mappings and {tests} test files were found");
}

#[test]
fn links_of_what_is_written_by_hand_lead_to_files() {
    let mut pages = pages();
    pages.push(root().join("docs/tutorial.md"));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        for rest in text.split("](").skip(1) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            let is_file = !target.is_empty() && !target.contains("://") && !target.contains(' ');
            let path = page.parent().unwrap().join(target);
            assert!(!is_file || path.exists(), "{}: there is no {target}", page.display());
        }
    }
}
