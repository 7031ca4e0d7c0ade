//! What the tree says.

use super::*;

#[test]
fn scalars_are_those_of_the_core_schema_and_quotes_make_text() {
    assert_eq!(json("[true, 'true', ~, null, '~', yes, 1, '1', 1.5, 007, 1_0, +601, 0x1f, .inf]"), {
        r#"[true,"true",null,null,"~","yes",1,"1",1.5,"007","1_0","+601",31,".inf"]"#
    });
    assert_eq!(json("a:\nb: \"\"\nc: |\n  1\nd: {e, f: }"), {
        r#"{"a":null,"b":"","c":"1\n","d":{"e":null,"f":null}}"#
    });
    assert_eq!(json("4987381194038857789"), "4987381194038857789");
}

#[test]
fn keys_are_their_source_text() {
    assert_eq!(json("{1: a, ~: b, true: c, 10..12: d, 007: e, 1.50: f, '1.5': g, $.a: h, ? i : j}"), {
        r#"{"1":"a","~":"b","true":"c","10..12":"d","007":"e","1.50":"f","1.5":"g","$.a":"h","i":"j"}"#
    });
    assert_eq!(json(": nothing"), r#"{"":"nothing"}"#);
}

#[test]
fn an_empty_file_is_null() {
    for source in ["", "\n", "# only a comment\n", "---\n", "\u{feff}"] {
        assert_eq!(json(source), "null", "{source:?}");
    }
}

#[test]
fn one_document_may_have_markers() {
    assert_eq!(json("%YAML 1.2\n---\na: 1\n...\n"), r#"{"a":1}"#);
}

#[test]
fn aliases_repeat_what_they_name() {
    assert_eq!(json("a: &x {b: [1, &y two]}\nc: *x\nd: *y\n*y : e"), {
        r#"{"a":{"b":[1,"two"]},"c":{"b":[1,"two"]},"d":"two","two":"e"}"#
    });
    assert_eq!(json("[&x 1, *x, &x 2, *x]"), "[1,1,2,2]");
}

#[test]
fn merge_keys_are_expanded_where_they_stand() {
    assert_eq!(json("x: &x {a: 1, b: 2}\ny: {c: 3, <<: *x, b: 4}"), {
        r#"{"x":{"a":1,"b":2},"y":{"c":3,"a":1,"b":4}}"#
    });
    assert_eq!(json("x: &x {a: 1}\ny: &y {a: 2, b: 2}\nz:\n  <<: [*x, *y]"), {
        r#"{"x":{"a":1},"y":{"a":2,"b":2},"z":{"a":1,"b":2}}"#
    });
    assert_eq!(json("'<<': literal"), r#"{"<<":"literal"}"#);
}

#[test]
fn standard_tags_decide_what_a_scalar_is() {
    assert_eq!(
        json("[!!str 12, ! 13, !!int '14', !!float 1, !!bool 'true', !!null '', !!map {a: !!seq []}]"),
        { r#"["12","13",14,1,true,null,{"a":[]}]"# }
    );
}

#[test]
fn every_kind_has_a_name() {
    let names: Vec<_> =
        tree("[~, true, 1, 1.5, a, [], {}]").as_list().unwrap().iter().map(Node::kind_name).collect();
    assert_eq!(names, ["null", "a boolean", "a number", "a number", "text", "a list", "a map"]);
}

#[test]
fn members_are_found_by_their_key() {
    let node = tree("a: {b: c}");
    assert_eq!(node.get("a").and_then(|a| a.get("b")).and_then(Node::as_text).unwrap().value, "c");
    assert!(node.get("b").is_none() && node.entry("a").is_some());
}
