//! Nothing that a person or a fuzzer can put into a file hurts.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

/// Reads it, renders everything, and checks what must always hold.
fn survive(source: &str) -> Duration {
    let began = Instant::now();
    let read = read(source);
    let took = began.elapsed();
    assert!(read.node.is_some() || read.problems.has_errors(), "{source:?}");
    for problem in &read.problems {
        let labels = std::iter::once(&problem.primary).chain(&problem.secondary).map(|label| label.span);
        for span in labels.chain(problem.fix.as_ref().map(|fix| fix.span)) {
            assert!(source.get(span.range()).is_some(), "{problem:?} in {source:?}");
        }
    }
    if let Some(node) = &read.node {
        places::check(node, source);
        node.to_value();
    }
    diagnostic::text(&read.problems, &read.sources, true);
    diagnostic::json(&read.problems, &read.sources);
    diagnostic::github(&read.problems, &read.sources);
    read.problems.fixed(read.file, &read.sources);
    took
}

#[test]
fn mutations_of_real_mappings_never_panic_and_finish_fast() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(400);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mappings = mappings();
    let junk = prop::sample::select(vec![
        "", " ", "\n", "\t", "{", "}", "[", "]", "{{", "}}", "\"", "'", ":", ": ", "- ", "#", "&a ", "*a",
        "<<: ", "!", "|", ">", "---\n", "\\", "é", "%", "@", "`", "? ", ",", "\r", "\u{feff}", "\0", "{{x}}",
        "$.a[0]", "...\n",
    ]);
    // Where, how much goes, and what comes instead.
    let change = (any::<prop::sample::Index>(), 0..12_usize, junk);
    let strategy = (0..mappings.len(), prop::collection::vec(change, 1..5));
    let mut slowest = Duration::ZERO;
    let slow = std::cell::Cell::new(Duration::ZERO);
    let outcome = TestRunner::new(config).run(&strategy, |(which, changes)| {
        let mut characters: Vec<char> = mappings[which].1.chars().collect();
        for (at, gone, comes) in changes {
            let at = at.index(characters.len());
            let end = (at + gone).min(characters.len());
            characters.splice(at..end, comes.chars());
        }
        let source: String = characters.into_iter().collect();
        slow.set(slow.get().max(survive(&source)));
        Ok(())
    });
    slowest = slowest.max(slow.get());
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[test]
fn anything_at_all_is_survived() {
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&"(\\PC|[ \\n:{}\\[\\]'\"&*#|>-]){0,60}", |source| {
        survive(&source);
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn bombs_and_giants_are_refused_in_time() {
    let wide = "a: {b: $.c[0]}\n".repeat(20_000);
    let braces = "- {{x}}\n".repeat(19_000);
    let aliases: String = std::iter::once("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned())
        .chain((1..10).map(|n| {
            let names = vec![format!("*a{}", n - 1); 9].join(",");
            format!("a{n}: &a{n} [{names}]\n")
        }))
        .collect();
    for source in [
        "[".repeat(100_000),
        "{".repeat(100_000),
        "{{".repeat(100_000),
        "- ".repeat(100_000),
        "a: ".repeat(100_000),
        "x".repeat(1 << 20),
        "\"".repeat(1 << 20),
        "- x\n".repeat(250_000),
        "&a ".repeat(100_000),
        "? ".repeat(100_000),
        "- $.a[\n".repeat(100_000),
        "[$.a[0]\n".repeat(100_000),
        format!("[{}]", "$.a[0], ".repeat(100_000)),
        format!("a: {}", "$[".repeat(400_000)),
        wide,
        braces,
        aliases,
    ] {
        let began = Instant::now();
        survive(&source);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?} for {:?}", &source[..40]);
    }
}
