//! Every shipped mapping, and every one that proves a construct of the language, is sound by its own tests and by
//! `check`.

use crate::program::{root, run};

#[test]
fn the_tests_of_every_mapping_pass() {
    let output = run(root(), ["test", "mappings", "src/sandbox", "tests/fixtures/mappings"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains(" 0 failed"), "{}", output.stdout);
    assert!(!output.stderr.contains("warning"), "{}", output.stderr);
}

#[test]
fn check_finds_nothing() {
    let output = run(root(), ["check", "mappings", "src/sandbox", "tests/fixtures/mappings"]);
    assert_eq!((output.code, output.stdout.as_str()), (0, ""), "{}", output.stderr);
    assert!(output.stderr.contains(": 0 errors, 0 warnings"), "{}", output.stderr);
}
