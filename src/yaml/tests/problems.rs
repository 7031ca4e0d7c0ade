//! Which problems are told, in which words.

use super::*;

#[track_caller]
fn told(source: &str, wanted: &str) {
    let wanted = wanted.strip_prefix('\n').unwrap();
    let rendered = rendered(source);
    assert!(rendered == wanted, "of {source:?} is told:\n{rendered}");
}

#[test]
fn every_duplicate_key_is_told() {
    told(
        "a: 1\nb: {c: 1, c: 2}\na: 3\n'a': 4\n",
        r"
error[P0004]: the key `c` stands twice in this map
 --> test.yaml:2:11
  |
2 | b: {c: 1, c: 2}
  |     -     ^ again here
  |     |
  |     first here, which counts

error[P0004]: the key `a` stands twice in this map
 --> test.yaml:3:1
  |
1 | a: 1
  | - first here, which counts
2 | b: {c: 1, c: 2}
3 | a: 3
  | ^ again here

error[P0004]: the key `a` stands twice in this map
 --> test.yaml:4:1
  |
1 | a: 1
  | - first here, which counts
...
4 | 'a': 4
  | ^^^ again here
",
    );
}

#[test]
fn duplicates_are_told_even_if_the_file_breaks_later() {
    told(
        "a: 1\na: 2\nb: [1\n",
        r"
error[P0004]: the key `a` stands twice in this map
 --> test.yaml:2:1
  |
1 | a: 1
  | - first here, which counts
2 | a: 2
  | ^ again here

error[P0005]: this `[` is never closed
 --> test.yaml:3:4
  |
3 | b: [1
  |    ^ opened here
",
    );
}

#[test]
fn an_unknown_alias_gets_a_suggestion() {
    told(
        "b: &contact 1\nd: *Contact\n",
        r"
error[P0005]: no `&Contact` stands before this alias to it
 --> test.yaml:2:4
  |
2 | d: *Contact
  |    ^^^^^^^^ unknown alias
  |
  = help: a text that starts with `*` needs quotes; an alias must come after its `&anchor`
help: did you mean `*contact`?
  |
2 - d: *Contact
2 + d: *contact
  |
",
    );
}

#[test]
fn an_alias_within_what_it_stands_for_is_endless() {
    told(
        "a: &x [*x]\n",
        r"
error[P0005]: this alias stands for something that holds the alias itself
 --> test.yaml:1:8
  |
1 | a: &x [*x]
  |        ^^ endless
",
    );
}

#[test]
fn an_unknown_escape_is_shown_exactly() {
    told(
        "a: \"x \\\\ \\q\"\n",
        r#"
error[P0005]: this escape means nothing
 --> test.yaml:1:10
  |
1 | a: "x \\ \q"
  |          ^^ unknown escape
  |
  = help: write `\\` for a backslash, or use single quotes, in which a backslash is an ordinary character
"#,
    );
}

#[test]
fn an_unclosed_quote_is_shown_where_it_opens() {
    told(
        "a: 'x\nb: c\n",
        r"
error[P0005]: this quote is never closed
 --> test.yaml:1:4
  |
1 | a: 'x
  |    ^ opened here
",
    );
}

#[test]
fn an_unclosed_bracket_is_shown_where_it_opens() {
    told(
        "a: [1, 2\nb: c\n",
        r"
error[P0005]: a bracket is still open here, in which this colon makes no sense
 --> test.yaml:2:2
  |
1 | a: [1, 2
  |    - this is still open
2 | b: c
  |  ^ not possible here
  |
  = help: close the bracket before the next key
",
    );
}

#[test]
fn a_second_document_is_named() {
    told(
        "a: 1\n---\nb: 2\n",
        r"
error[P0005]: a second document starts here
 --> test.yaml:2:1
  |
2 | ---
  | ^^^ everything from here on is ignored
  |
  = help: one file holds one document: move the second into a file of its own, or remove the `---`
",
    );
}

#[test]
fn tabs_do_not_indent() {
    told(
        "a:\n\t- b\n",
        r"
error[P0005]: a tab where only spaces may stand
 --> test.yaml:2:1
  |
2 |     - b
  | ^^^^ a tab
  |
  = help: indent with spaces
",
    );
}

#[test]
fn a_key_must_be_text() {
    told(
        "{[a]: b}\n",
        r"
error[P0005]: a key must be text
 --> test.yaml:1:2
  |
1 | {[a]: b}
  |  ^^^ this is no text
  |
  = help: a text that starts with `{` or `[` needs quotes
",
    );
}

#[test]
fn unknown_tags_are_told() {
    told(
        "a: !foo x\nb: !!int x\n",
        r"
error[P0005]: tags of this kind mean nothing here
 --> test.yaml:1:4
  |
1 | a: !foo x
  |    ^^^^ unknown tag
  |
  = help: a text that starts with `!` needs quotes

error[P0005]: the value is no `int`, as this tag says
 --> test.yaml:2:4
  |
2 | b: !!int x
  |    ^^^^^
  |
  = help: remove the tag
",
    );
}

#[test]
fn a_list_among_keys() {
    told(
        "a: b\n- c\n",
        r"
error[P0005]: a list can't stand among the keys of a map
 --> test.yaml:2:1
  |
2 | - c
  | ^ this fits no map above
  |
  = help: indent it below the key that it belongs to
",
    );
}

#[test]
fn wrong_indentation() {
    told(
        "a:\n  b: 1\n c: 2\n",
        r"
error[P0005]: expected a key of the map above
 --> test.yaml:3:2
  |
3 |  c: 2
  |  ^ this fits no map above
  |
  = help: a key must be indented exactly like the other keys of its map
",
    );
}

#[test]
fn a_line_without_colon() {
    told(
        "key\nb: c\n",
        r"
error[P0005]: a colon where no key can end
 --> test.yaml:2:2
  |
2 | b: c
  |  ^ not possible here
  |
  = help: the text before it goes on from the line above; is a colon missing there, or the indentation wrong?
",
    );
}

#[test]
fn text_after_a_quote() {
    told(
        "text: \"a\" and b\n",
        r#"
error[P0005]: something follows the closing quote
 --> test.yaml:1:11
  |
1 | text: "a" and b
  |           ^ after the quote
  |
  = help: quotes stand around a whole value; a quote within is written `\"` or `''`
"#,
    );
}

#[test]
fn only_maps_are_merged() {
    told(
        "a: {<<: 1}\n",
        r"
error[P0005]: `<<` merges maps into this one, but this is a number
 --> test.yaml:1:9
  |
1 | a: {<<: 1}
  |         ^
  |
  = help: write `<<: *name` or `<<: [*one, *two]`, where the names are those of maps; or quote the key
",
    );
}

#[test]
fn a_template_needs_quotes() {
    told(
        "text: {{contact.id}} # c\n",
        r#"
error[P0022]: a template that starts with `{{` needs quotes
 --> test.yaml:1:7
  |
1 | text: {{contact.id}} # c
  |       ^^^^^^^^^^^^^^ YAML takes this for a map within a map
  |
help: put quotes around it
  |
1 - text: {{contact.id}} # c
1 + text: "{{contact.id}}" # c
  |
"#,
    );
}

#[test]
fn a_template_within_brackets_needs_quotes() {
    told(
        "a: {b: {{{c}}}, d: hi {{e \"f\"}}}\n",
        r#"
error[P0022]: a template that starts with `{{` needs quotes
 --> test.yaml:1:8
  |
1 | a: {b: {{{c}}}, d: hi {{e "f"}}}
  |        ^^^^^^^ YAML takes this for a map within a map
  |
help: put quotes around it
  |
1 - a: {b: {{{c}}}, d: hi {{e "f"}}}
1 + a: {b: "{{{c}}}", d: hi {{e "f"}}}
  |

error[P0022]: a template needs quotes within `{...}` and `[...]`
 --> test.yaml:1:20
  |
1 | a: {b: {{{c}}}, d: hi {{e "f"}}}
  |                    ^^^^^^^^^^^^ YAML takes the braces for a map
  |
help: put quotes around it
  |
1 - a: {b: {{{c}}}, d: hi {{e "f"}}}
1 + a: {b: {{{c}}}, d: 'hi {{e "f"}}'}
  |
"#,
    );
}

#[test]
fn a_template_with_a_comment_sign_or_comma_needs_quotes() {
    told(
        "- {{#if a}}b, c{{/if}}\n",
        r#"
error[P0022]: a template that starts with `{{` needs quotes
 --> test.yaml:1:3
  |
1 | - {{#if a}}b, c{{/if}}
  |   ^^^^^^^^^^^^^^^^^^^^ YAML takes this for a map within a map
  |
help: put quotes around it
  |
1 - - {{#if a}}b, c{{/if}}
1 + - "{{#if a}}b, c{{/if}}"
  |
"#,
    );
}

#[test]
fn a_template_as_a_key_needs_quotes() {
    told(
        "{{k}}: v\n",
        r#"
error[P0022]: a template that starts with `{{` needs quotes
 --> test.yaml:1:1
  |
1 | {{k}}: v
  | ^^^^^ YAML takes this for a map within a map
  |
help: put quotes around it
  |
1 - {{k}}: v
1 + "{{k}}": v
  |
"#,
    );
}

#[test]
fn a_path_within_brackets_needs_quotes() {
    told(
        "when: {$.a[0].b: x}\nid: [$.a[?@.c == 'd'].e, $.f]\n",
        r#"
error[P0022]: a path with brackets needs quotes within `{...}` and `[...]`
 --> test.yaml:1:8
  |
1 | when: {$.a[0].b: x}
  |        ^^^^^^^^ YAML takes the bracket for a list
  |
help: put quotes around it
  |
1 - when: {$.a[0].b: x}
1 + when: {"$.a[0].b": x}
  |

error[P0022]: a path with brackets needs quotes within `{...}` and `[...]`
 --> test.yaml:2:6
  |
2 | id: [$.a[?@.c == 'd'].e, $.f]
  |      ^^^^^^^^^^^^^^^^^^ YAML takes the bracket for a list
  |
help: put quotes around it
  |
2 - id: [$.a[?@.c == 'd'].e, $.f]
2 + id: ["$.a[?@.c == 'd'].e", $.f]
  |
"#,
    );
}

#[test]
fn a_wildcard_within_brackets_needs_quotes() {
    told(
        "a: [$.b[*].c]\n",
        r#"
error[P0022]: a path with brackets needs quotes within `{...}` and `[...]`
 --> test.yaml:1:5
  |
1 | a: [$.b[*].c]
  |     ^^^^^^^^ YAML takes the bracket for a list
  |
help: put quotes around it
  |
1 - a: [$.b[*].c]
1 + a: ["$.b[*].c"]
  |
"#,
    );
}

#[test]
fn a_second_colon_needs_quotes() {
    told(
        "about: Note: this\nat: @x\n",
        r#"
error[P0022]: a text with a colon before a space needs quotes
 --> test.yaml:1:8
  |
1 | about: Note: this
  |        ^^^^^^^^^^ YAML takes the colon for the end of a key
  |
help: put quotes around it
  |
1 - about: Note: this
1 + about: "Note: this"
  |

error[P0022]: this text needs quotes
 --> test.yaml:2:5
  |
2 | at: @x
  |     ^^ YAML takes some of its characters for something else
  |
help: put quotes around it
  |
2 - at: @x
2 + at: "@x"
  |
"#,
    );
}

#[test]
fn control_characters_are_refused() {
    told(
        "a: \0\n",
        r"
error[P0005]: a control character, which YAML does not allow
 --> test.yaml:1:4
  |
1 | a: ␀
  |    ^ here
  |
  = help: if it is meant, write it as the escape `\x00` in double quotes
",
    );
}

#[test]
fn what_needs_quotes_is_read_as_if_it_had_them_and_the_fix_says_the_same() {
    for (source, wanted) in [
        ("a: {{b}}", r#"{"a":"{{b}}"}"#),
        ("a: {{b}} and {{c}} # d", r#"{"a":"{{b}} and {{c}}"}"#),
        ("- {{b}}\n- &x {{c}}\n- *x", r#"["{{b}}","{{c}}","{{c}}"]"#),
        ("{{k}}: v\n\"l\": {{w '# }}'}}", r#"{"{{k}}":"v","l":"{{w '# }}'}}"}"#),
        ("a: [\n  {{b}},\n  $.c[0], {{{d}}}\n]", r#"{"a":["{{b}}","$.c[0]","{{{d}}}"]}"#),
        (
            "a: {b: $['c d'], e: $.f[?@.g == 'h, i'].j, k: l}",
            r#"{"a":{"b":"$['c d']","e":"$.f[?@.g == 'h, i'].j","k":"l"}}"#,
        ),
        ("a: {{b}}\n  goes \\ on", r#"{"a":"{{b}} goes \\ on"}"#),
        ("a: b: 'c'", r#"{"a":"b: 'c'"}"#),
        ("a: `b\"c`", r#"{"a":"`b\"c`"}"#),
        (
            "a: {$first: [$.b[*].c, $.d[1:2], \"$.e[0]\"]}",
            r#"{"a":{"$first":["$.b[*].c","$.d[1:2]","$.e[0]"]}}"#,
        ),
    ] {
        let read = read(source);
        assert_eq!(read.node.unwrap().to_value().to_json().unwrap(), wanted, "{source}");
        assert!(read.problems.iter().all(|problem| problem.code == Code::QuoteNeeded), "{source}");
        let fixed = read.problems.fixed(read.file, &read.sources).unwrap();
        assert_eq!(json(&fixed), wanted, "{fixed}");
    }
}

#[test]
fn all_texts_that_need_quotes_are_told_at_once() {
    let source = "a: {b: $.c[0], d: {{e}}, f: $.g[1]}\nh: {{i}}\nj: [$.k[*]]\nj: {{l}}\n";
    let codes: Vec<_> = read(source).problems.iter().map(|problem| problem.code.name()).collect();
    assert_eq!(
        codes,
        [
            "quote-needed",
            "quote-needed",
            "quote-needed",
            "quote-needed",
            "quote-needed",
            "duplicate-key",
            "quote-needed"
        ]
    );
}

#[test]
fn of_repeated_keys_the_first_counts() {
    assert_eq!(read("a: 1\na: 2").node.unwrap().to_value().to_json().unwrap(), r#"{"a":1}"#);
    assert_eq!(read("a: 1\n---\na: 2").node.unwrap().to_value().to_json().unwrap(), r#"{"a":1}"#);
}

fn codes(source: &str) -> Vec<&'static str> {
    read(source).problems.iter().map(|problem| problem.code.name()).collect()
}

#[test]
fn bounds_are_kept_to_the_last_one() {
    assert_eq!(codes(&format!("{}{}", "[".repeat(64), "]".repeat(64))), [""; 0]);
    assert_eq!(codes(&format!("{}{}", "[".repeat(65), "]".repeat(65))), ["too-large"]);
    assert_eq!(codes(&"- ".repeat(64)), [""; 0]);
    assert_eq!(codes(&"- ".repeat(65)), ["too-large"]);
    assert_eq!(codes(&"- x\n".repeat(19_999)), [""; 0]);
    assert_eq!(codes(&"- x\n".repeat(20_000)), ["too-large"]);
    assert_eq!(codes(&format!("- &x 1\n{}", "- *x\n".repeat(200))), [""; 0]);
    assert_eq!(codes(&format!("- &x 1\n{}", "- *x\n".repeat(201))), ["too-large"]);
    assert_eq!(codes(&format!("#{}", " ".repeat((1 << 20) - 1))), [""; 0]);
    assert_eq!(codes(&format!("#{}", " ".repeat(1 << 20))), ["too-large"]);
    let deep = format!("- &x {}{}\n", "[".repeat(40), "]".repeat(40));
    assert_eq!(codes(&format!("{deep}- [[*x]]\n")), [""; 0]);
    assert_eq!(codes(&format!("{deep}- {}*x{}\n", "[".repeat(24), "]".repeat(24))), ["too-large"]);
}

#[test]
fn an_installation_may_be_larger_than_a_mapping() {
    let read = |source: &str| {
        let mut sources = Sources::new();
        let file = sources.add("patchcord.yaml", source);
        let mut problems = Diagnostics::new();
        parse_within(Bounds::INSTALLATION, file, &sources, &mut problems);
        problems.iter().map(|problem| problem.code.name()).collect::<Vec<_>>()
    };
    // Ten thousand channels: 2 MB, 200,000 values.
    let channels = (0..10_000).map(|index| {
        format!("c{index}: {{mapping: a, platform: {{channel_id: c{index}, token: {{env: TOKEN_OF_CHANNEL_{index:05}}}}}, config: {{username: user-{index:05}, api_key: {{file: /run/secrets/key-{index:05}}}, sender: \"+6030{index:07}\"}}}}\n")
    });
    let large: String = channels.collect();
    assert!(large.len() > 1 << 20);
    assert_eq!(codes(&large), ["too-large"]);
    assert_eq!(read(&large), [""; 0]);
    assert_eq!(read(&format!("#{}", " ".repeat(16 << 20))), ["too-large"]);
    assert_eq!(read(&format!("- &x 1\n{}", "- *x\n".repeat(50_001))), ["too-large"]);
}
