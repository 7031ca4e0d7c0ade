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
fn the_tests_of_every_shipped_mapping_reach_all_of_its_rules_and_branches() {
    let output = run(root(), ["test", "mappings", "src/sandbox", "--coverage", "--min", "100"]);
    assert_eq!(output.code, 0, "{}", output.stdout);
    assert!(output.stdout.contains("100 % of "), "{}", output.stdout);
}

#[test]
fn what_no_test_reaches_is_told_with_its_line_and_fails_below_the_minimum() {
    let folder = scratch("coverage");
    let mapping = "patchcord: 1\nname: half\ncontact_id: custom\nwebhooks:\n  - route: POST receive\n    verify: [{equal: [\"{{request.query.key}}\", k]}]\n    events:\n      - {when: {$.a: 1}, emit: event, id: {$if: $.b, $then: x, $else: y}, contact: {id: c}}\n      - {emit: event, id: z, contact: {id: c}}\nlifecycle:\n  probe: {request: {url: \"https://api.example.com/me\"}}\n";
    let test = "mapping: half\ntests:\n  - name: one\n    receive: {route: POST receive, query: {key: k}, json: {a: 1}}\n    expect: {verdict: accepted}\n";
    std::fs::write(folder.join("half.yaml"), mapping).unwrap();
    std::fs::write(folder.join("half.test.yaml"), test).unwrap();
    // A proof counts once it has refused something.
    let of = |min: &str| run(&folder, ["test", "half.yaml", "--coverage", "--min", min]);
    let output = of("42");
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    assert!(output.stdout.contains(" 42 % of half (3 of 7 places)"), "{}", output.stdout);
    for told in [
        "half.yaml:6: no test reaches this refusal (`webhooks[0].verify[0]`)",
        "half.yaml:8: no test reaches this $then",
        "half.yaml:11: no test reaches this step (`lifecycle.probe`)",
        "half.yaml:9: no test reaches this rule (`webhooks[0].events[1]`)",
    ] {
        assert!(output.stdout.contains(told), "{}", output.stdout);
    }
    assert_eq!(of("43").code, 1);
}
