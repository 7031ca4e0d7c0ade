//! Where everything stands.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::*;

/// Every character of every text stands where the tree says, or an escape or line break for it does.
pub(super) fn check(node: &Node, source: &str) {
    match &node.kind {
        Kind::Text(text) => check_text(text, source),
        Kind::List(items) => items.iter().for_each(|item| check(item, source)),
        Kind::Map(entries) => {
            for entry in entries {
                check_text(&entry.key, source);
                check(&entry.value, source);
            }
        }
        _ => {}
    }
}

fn check_text(text: &Text, source: &str) {
    let mut end = 0;
    for (at, c) in text.value.char_indices() {
        let place = text.span_of(at..at + c.len_utf8());
        let written = &source[place.range()];
        let is_break = matches!(written, "\n" | "\r\n" | "\r");
        let sound = match c {
            ' ' => written == " " || is_break || matches!(written, "\\ " | "\\x20" | "\\u0020"),
            // At the end of the file a block's last line has no break.
            '\n' => {
                is_break
                    || written.starts_with('\\')
                    || written.is_empty() && place.range().end == source.len()
            }
            '\'' => matches!(written, "'" | "''") || written.starts_with('\\'),
            _ => written.chars().eq([c]) || written.starts_with('\\') && written.len() > 1,
        };
        let whole = &source[text.span.range()];
        assert!(sound, "{c:?} of {:?} is said to stand at {place:?}: {written:?} in {whole:?}", text.value);
        assert!(place.range().start >= end, "{c:?} of {:?} overlaps in {whole:?}", text.value);
        end = place.range().end;
        // The place before it is where it starts.
        assert_eq!(text.span_of(at..at), place.at_start());
    }
}

fn slices(source: &str) -> Vec<(String, String)> {
    fn walk(node: &Node, source: &str, found: &mut Vec<(String, String)>) {
        found.push((node.kind_name().to_owned(), source[node.span.range()].to_owned()));
        for item in node.as_list().into_iter().flatten() {
            walk(item, source, found);
        }
        for entry in node.as_map().into_iter().flatten() {
            found.push(("key".to_owned(), source[entry.key.span.range()].to_owned()));
            walk(&entry.value, source, found);
        }
    }
    let mut found = Vec::new();
    walk(&tree(source), source, &mut found);
    found
}

#[test]
fn spans_cover_exactly_what_was_written() {
    let source = "'a b':\n  - [1, ~]\n  - {c: \"d\"}\ne: |\n  f\n\nh:\ni: é # j\n";
    let found = slices(source);
    let found: Vec<(&str, &str)> = found.iter().map(|(kind, text)| (kind.as_str(), text.as_str())).collect();
    assert_eq!(
        found,
        [
            ("a map", "'a b':\n  - [1, ~]\n  - {c: \"d\"}\ne: |\n  f\n\nh:\ni: é"),
            ("key", "'a b'"),
            ("a list", "- [1, ~]\n  - {c: \"d\"}"),
            ("a list", "[1, ~]"),
            ("a number", "1"),
            ("null", "~"),
            ("a map", "{c: \"d\"}"),
            ("key", "c"),
            ("text", "\"d\""),
            ("key", "e"),
            ("text", "f"),
            ("key", "h"),
            ("null", ""),
            ("key", "i"),
            ("text", "é"),
        ]
    );
}

#[test]
fn what_is_only_implied_stands_behind_its_colon() {
    let source = "a:\nb: {c: , d}";
    let node = tree(source);
    assert_eq!(node.get("a").unwrap().span.range(), 2..2);
    assert_eq!(node.get("b").unwrap().get("c").unwrap().span.range(), 9..9);
    assert_eq!(node.get("b").unwrap().get("d").unwrap().span.range(), 13..13);
}

#[test]
fn an_alias_stands_where_it_is_used_and_its_text_where_it_is_defined() {
    let source = "a: &x \"{{b}}\"\nc: *x\nd: &y {e: f}\ng: *y";
    let node = tree(source);
    let used = node.get("c").unwrap();
    assert_eq!(&source[used.span.range()], "*x");
    assert_eq!(used.as_text().unwrap().span_of(2..3).range(), 9..10);
    let map = node.get("g").unwrap();
    assert_eq!(&source[map.span.range()], "*y");
    assert_eq!(&source[map.get("e").unwrap().span.range()], "f");
}

#[test]
fn escapes_folds_and_indentation_are_seen_through() {
    for (source, wanted) in [
        ("plain one\n  two\n\n  three", "three"),
        ("'it''s\n  three'", "three"),
        (
            r#""\u00e9\n\
           \ three""#,
            "three",
        ),
        ("|\n  one\n   two\n\n  three\n", "three"),
        ("|2-\n   one\n  three", "three"),
        ("- >+\n  one\n  two\n\n   more\n  three\n\n", "three"),
        (">\r\n  one\r\n  two\r\n\r\n  three\r\n", "three"),
        ("|\n\n\n  three", "three"),
    ] {
        let node = tree(source);
        let node = node.as_list().map_or(&node, |items| &items[0]);
        let text = node.as_text().unwrap();
        let at = text.value.find(wanted).unwrap();
        let place = text.span_of(at..at + wanted.len());
        assert_eq!(&source[place.range()], wanted, "{source:?}");
        check(node, source);
    }
}

#[test]
fn an_escape_is_never_cut_and_what_lies_beyond_is_the_end() {
    let source = r#""a\u00e9b""#;
    let node = tree(source);
    let text = node.as_text().unwrap();
    assert_eq!(text.value, "aéb");
    assert_eq!(text.span_of(1..2).range(), 2..8, "half of the character");
    assert_eq!(text.span_of(1..4).range(), 2..9);
    assert_eq!(text.span_of(0..99).range(), 1..9);
    assert_eq!(text.span_of(99..99).range(), 9..9);
    let empty = tree("a: \"\"");
    assert_eq!(empty.get("a").unwrap().as_text().unwrap().span_of(0..0).range(), 4..4);
}

/// Pieces of scalars in which something can go wrong.
fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "a",
        "bc",
        "é",
        "😀",
        " ",
        "  ",
        "\t",
        "\n",
        "\n",
        "\n\n",
        "\r\n",
        " \n",
        "\n ",
        "\n\n  ",
        "{{x}}",
        "$.a[0]",
        "'",
        "''",
        "\"",
        "\\\"",
        "\\n",
        "\\\\",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\x41",
        "\\U0001F600",
        "\\_",
        "\\ ",
        "\\\n",
        "\\\n\n",
        "#",
        " # ",
        ":",
        ": ",
        ",",
        "-",
        "|",
        "\u{a0}",
        "\u{2028}",
        "\u{feff}",
        "x: y",
        "[",
        "}",
    ])
}

/// A document with one scalar of that style.
fn document(style: usize, indent: usize, header: &str, pieces: &[&str]) -> String {
    let text: String = pieces.concat();
    let text = text.replace('\n', &format!("\n{}", " ".repeat(indent)));
    let pad = " ".repeat(indent);
    match style {
        0 => format!("key: {text}\nnext: 1\n"),
        1 => format!("key: '{text}'\nnext: 1\n"),
        2 => format!("key: \"{text}\"\n"),
        3 => format!("- key: |{header}\n{pad}  {text}\n- next\n"),
        4 => format!("- key: >{header}\n{pad}  {text}\n"),
        5 => format!("- ['{text}', \"{text}\"]"),
        6 => format!("key:\n  - >{header}\n{pad}   {text}"),
        _ => format!("{{a: {text}, b: 1}}"),
    }
}

#[test]
fn every_character_of_a_scalar_of_any_style_is_found() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(6000);
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let counts: [Cell<usize>; 8] = Default::default();
    let header = prop::sample::select(vec!["", "-", "+", "1", "2", "2-", "+2", "1+", " # c"]);
    let strategy = (0..8_usize, 1..4_usize, header, prop::collection::vec(piece(), 0..12));
    let outcome = TestRunner::new(config).run(&strategy, |(style, indent, header, pieces)| {
        let source = document(style, indent, header, &pieces);
        let read = read(&source);
        if let Some(node) = read.node {
            // A text without its quotes is read as if it had them, which is true as well.
            check(&node, &source);
            counts[style].set(counts[style].get() + 1);
        }
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
    for (style, count) in counts.iter().enumerate() {
        assert!(count.get() > cases as usize / 80, "only {count:?} scalars of style {style} were read");
    }
}
