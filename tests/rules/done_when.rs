//! Eight different mistakes in one file: eight problems in one run, each at the very text that is wrong, in
//! every format.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::program::{root, run, scratch};

/// The code, its name, and the text that is wrong.
const MISTAKES: &[(&str, &str, &str)] = &[
    ("P0004", "duplicate-key", "title"),
    ("P0012", "undeclared-config", "api_token"),
    ("P0018", "unknown-status", "deliverd"),
    ("P0001", "unknown-key", "requires"),
    ("P0010", "unknown-helper", "uper"),
    ("P0007", "invalid-jsonpath", "["),
    ("P0003", "wrong-type", "\"yes\""),
    ("P0008", "invalid-template", "{{"),
];

fn folder() -> PathBuf {
    root().join("tests/fixtures/eight-mistakes")
}

#[test]
fn eight_mistakes_are_eight_problems_in_one_run() {
    let output = run(&folder(), ["check", "eight.yaml"]);
    assert_eq!(output.code, 1);
    assert_eq!(output.stdout.matches("error[").count(), 8, "{}", output.stdout);
    assert!(output.stderr.contains("1 file checked: 8 errors, 0 warnings"), "{}", output.stderr);
    for (code, _, _) in MISTAKES {
        assert!(output.stdout.contains(&format!("error[{code}]")), "{code}: {}", output.stdout);
    }
}

#[test]
fn json_gives_line_column_and_bytes_of_the_very_text() {
    let source = fs::read_to_string(folder().join("eight.yaml")).unwrap();
    assert!(!source.is_ascii(), "columns and bytes must differ somewhere");
    let output = run(&folder(), ["check", "--format", "json", "eight.yaml"]);
    let problems: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
    let number = |value: &Value, key: &str| usize::try_from(value[key].as_u64().unwrap()).unwrap();
    let mut found = Vec::new();
    for problem in &problems {
        let (start, end) = (number(problem, "start"), number(problem, "end"));
        let text = &source[start..end];
        let line = source.lines().nth(number(problem, "line") - 1).unwrap();
        let at_column: String =
            line.chars().skip(number(problem, "column") - 1).take(text.chars().count()).collect();
        assert_eq!(at_column, text, "line and column are those of the bytes");
        assert_eq!(number(problem, "end_line"), number(problem, "line"));
        assert_eq!(number(problem, "end_column"), number(problem, "column") + text.chars().count());
        assert_eq!(problem["file"], "eight.yaml");
        assert_eq!(problem["severity"], "error");
        found.push((problem["code"].as_str().unwrap(), problem["name"].as_str().unwrap(), text));
    }
    assert_eq!(found, MISTAKES, "in the order of the file");
}

#[test]
fn github_gets_one_annotation_for_each() {
    let source = fs::read_to_string(folder().join("eight.yaml")).unwrap();
    let output = run(&folder(), ["check", "--format", "github", "eight.yaml"]);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), MISTAKES.len());
    for (line, (code, name, text)) in lines.iter().zip(MISTAKES) {
        assert!(line.starts_with("::error file=eight.yaml,line="), "{line}");
        assert!(line.contains(&format!(",title={code} {name}::")), "{line}");
        let number = |key: &str| -> usize {
            let rest = &line[line.find(key).unwrap() + key.len()..];
            rest[..rest.find(',').unwrap()].parse().unwrap()
        };
        let shown: String = source.lines().nth(number("line=") - 1).unwrap().chars().collect();
        let (from, to) = (number("col=") - 1, number("endColumn=") - 1);
        assert_eq!(shown.chars().skip(from).take(to - from).collect::<String>(), *text);
    }
}

#[test]
fn what_can_be_fixed_without_thought_is_and_the_result_is_clean() {
    let folder = scratch("fix");
    let bad = fs::read_to_string(root().join("tests/fixtures/fixable/broken.yaml")).unwrap();
    fs::write(folder.join("broken.yaml"), &bad).unwrap();
    let before = run(&folder, ["check", "broken.yaml"]);
    assert_eq!(before.code, 1);
    let errors = before.stdout.matches("error[").count();
    assert!(errors >= 12, "{}", before.stdout);
    assert_eq!(before.stdout.matches("\nhelp: ").count(), errors, "each has a fix: {}", before.stdout);
    let fixed = run(&folder, ["check", "--fix", "broken.yaml"]);
    assert_eq!(fixed.code, 0, "{}{}", fixed.stdout, fixed.stderr);
    let after = run(&folder, ["check", "broken.yaml"]);
    assert_eq!(
        (after.code, after.stdout.as_str()),
        (0, ""),
        "{}",
        fs::read_to_string(folder.join("broken.yaml")).unwrap()
    );
    let expected = fs::read_to_string(root().join("tests/fixtures/fixable/fixed.yaml")).unwrap();
    assert_eq!(fs::read_to_string(folder.join("broken.yaml")).unwrap(), expected, "nothing else was touched");
    // A second run has nothing to do.
    let again = run(&folder, ["check", "--fix", "broken.yaml"]);
    assert_eq!(again.code, 0);
    assert_eq!(fs::read_to_string(folder.join("broken.yaml")).unwrap(), expected);
}

#[test]
fn what_no_fix_puts_right_stays_and_is_told() {
    let folder = scratch("partly");
    fs::write(
        folder.join("part.yaml"),
        "patchcord: 1\nname: part\ncontact_id: fone\ncolour: red\nsend: {steps: [{request: {url: a}}]}\n",
    )
    .unwrap();
    let output = run(&folder, ["check", "--fix", "part.yaml"]);
    assert_eq!(output.code, 1);
    assert!(output.stdout.contains("unknown key `colour`"), "{}", output.stdout);
    assert!(fs::read_to_string(folder.join("part.yaml")).unwrap().contains("colour: red"));
}
