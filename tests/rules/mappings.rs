//! Every shipped mapping, and every one that proves a construct of the language, is sound by its own tests and by
//! `check`.

use crate::program::{root, run, scratch};

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

#[test]
fn the_tests_of_every_mapping_reach_all_of_its_rules() {
    let folders = ["mappings", "src/sandbox", "tests/fixtures/mappings"];
    let output = run(root(), [&["test", "--coverage", "--min", "100"], &folders[..]].concat());
    assert_eq!(output.code, 0, "{}", output.stdout);
    assert!(output.stdout.contains("100 % of "), "{}", output.stdout);
}

#[test]
fn what_no_test_reaches_is_told_with_its_line_and_fails_below_the_minimum() {
    let folder = scratch("coverage");
    let mapping = "patchcord: 1\nname: half\ncontact_id: custom\nwebhooks:\n  - route: POST receive\n    verify: [{equal: [\"{{request.query.key}}\", k]}]\n    events:\n      - {when: {$.a: 1}, emit: event, id: x}\n      - {emit: event, id: y}\n";
    let test = "mapping: half\ntests:\n  - name: one\n    receive: {route: POST receive, query: {key: k}, json: {a: 1}}\n    expect: {verdict: accepted}\n";
    std::fs::write(folder.join("half.yaml"), mapping).unwrap();
    std::fs::write(folder.join("half.test.yaml"), test).unwrap();
    let of = |min: &str| run(&folder, ["test", "half.yaml", "--coverage", "--min", min]);
    let output = of("66");
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains(" 66 % of half (2 of 3 places)"), "{}", output.stdout);
    let told = "half.yaml:9: no test reaches this rule (`webhooks[0].events[1]`)";
    assert!(output.stdout.contains(told), "{}", output.stdout);
    assert_eq!(of("67").code, 1);
}
