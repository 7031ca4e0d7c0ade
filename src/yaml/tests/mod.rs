//! What the tree says, where, and which problems are told.

mod mutations;
mod places;
mod problems;
mod values;

use super::*;
use crate::diagnostic;
use crate::expression::Value;

/// A file with something of everything.
const SAMPLE: &str = include_str!("sample.yaml");

struct Read {
    node: Option<Node>,
    problems: Diagnostics,
    sources: Sources,
    file: FileId,
}

fn read(source: &str) -> Read {
    let mut sources = Sources::new();
    let file = sources.add("test.yaml", source);
    let mut problems = Diagnostics::new();
    let node = parse(file, &sources, &mut problems);
    problems.sort();
    Read { node, problems, sources, file }
}

/// The tree of a file without problems.
fn tree(source: &str) -> Node {
    let read = read(source);
    assert_eq!(diagnostic::text(&read.problems, &read.sources, false), "", "{source}");
    read.node.unwrap()
}

fn json(source: &str) -> String {
    tree(source).to_value().to_json().unwrap()
}

fn rendered(source: &str) -> String {
    let read = read(source);
    diagnostic::text(&read.problems, &read.sources, false)
}

/// The mappings that there are, and the sample.
fn mappings() -> Vec<(String, String)> {
    let mut found = vec![("sample".to_owned(), SAMPLE.to_owned())];
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/mappings");
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|kind| kind == "yaml") {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

#[test]
fn real_mappings_are_read_like_serde_reads_them_and_every_place_is_exact() {
    for (path, source) in mappings() {
        let read = read(&source);
        assert_eq!(diagnostic::text(&read.problems, &read.sources, false), "", "{path}");
        let node = read.node.unwrap();
        places::check(&node, &source);
        let options = serde_yaml::options! {
            strict_booleans: true,
            leading_zero_numbers_as_strings: true,
            underscored_numbers_as_strings: true,
        };
        let reference: Value = serde_yaml::from_str_with_options(&source, options).unwrap();
        let (ours, theirs) = (node.to_value().to_json().unwrap(), reference.to_json().unwrap());
        if source.contains("<<:") {
            // Where merged members stand among a map's own is nobody's business.
            let sorted = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
            assert!(sorted(&ours) == sorted(&theirs), "{path}");
        } else {
            assert!(ours == theirs, "{path}");
        }
    }
}
