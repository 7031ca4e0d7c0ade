//! Paths, and the library's own evaluation as the oracle.

use super::*;

fn node() -> Value {
    Value::from_json(
        br#"{"a":{"b-c":[10,20,30],"it's":1},"items":[{"kind":"x","id":1},{"kind":"y","id":2,"n":null}],"s":"abc"}"#,
    )
    .unwrap()
}

fn value(path: &str) -> String {
    Query::compile(path).unwrap().value(&node()).to_json().unwrap()
}

#[test]
fn straight_paths_walk() {
    assert!(!Query::compile("$.a['b-c'][-1]").unwrap().is_many());
    assert_eq!(value("$.a['b-c'][-1]"), "30");
    assert_eq!(value("$.a[\"b-c\"][0]"), "10");
    assert_eq!(value(r"$.a['it\'s']"), "1");
    assert_eq!(value("$.a.missing.deeper"), "null");
    assert_eq!(value("$.s.length"), "null");
}

#[test]
fn general_paths_collect() {
    assert_eq!(value("$.items[*].id"), "[1,2]");
    assert_eq!(value("$..id"), "[1,2]");
    assert_eq!(value("$.a['b-c'][1:]"), "[20,30]");
    assert_eq!(value("$.a['b-c'][::-1]"), "[30,20,10]");
    assert_eq!(value("$.items[0,1].kind"), r#"["x","y"]"#);
}

#[test]
fn filters_select_members() {
    assert_eq!(value("$.items[?@.kind == 'y'].id"), "[2]");
    assert_eq!(value("$.items[?@.id > 1 || @.kind == 'x'].id"), "[1,2]");
    assert_eq!(value("$.items[?!@.n].id"), "[1]");
    assert_eq!(value("$.items[?@.n == null].id"), "[2]");
    assert_eq!(value("$.items[?match(@.kind, '[xz]')].id"), "[1]");
    assert_eq!(value("$.items[?length(@.kind) == 1 && count(@.*) == 3].id"), "[2]");
    assert_eq!(value("$.items[?@.id == $.items[1].id].kind"), r#"["y"]"#);
    assert_eq!(value("$.items[?@.id <= 1.5].id"), "[1]");
}

#[test]
fn our_evaluation_agrees_with_the_library() {
    use jsonpath_rust::JsonPath;
    let json: serde_json::Value = serde_json::from_str(&node().to_json().unwrap()).unwrap();
    for path in [
        "$",
        "$.*",
        "$..*",
        "$.items[1].id",
        "$.items[*]",
        "$.items[-1:]",
        "$.items[0:1].kind",
        "$.a..[1]",
        "$.items[?@.id>=2]",
        "$.items[?@.kind!='x'].id",
        "$.items[?search(@.kind,'x|y')].id",
        "$.items[?@.id==1 && (@.kind=='x' || @.kind=='y')].kind",
        "$..[?@.kind]",
        "$.items[?@['kind']=='x'].id",
        "$.a['b-c'][2:0:-1]",
    ] {
        let theirs: Vec<String> =
            json.query(path).unwrap().iter().map(std::string::ToString::to_string).collect();
        let query = Query::compile(path).unwrap();
        let node = node();
        let ours: Vec<String> = query.nodes(&node).iter().map(|v| v.to_json().unwrap()).collect();
        assert_eq!(ours, theirs, "{path}");
    }
}

#[test]
fn problems_name_the_character() {
    let at = |path: &str| Query::compile(path).unwrap_err().range;
    assert_eq!(at("$.a-b"), 3..4);
    assert_eq!(at("$.a[0"), 3..4);
    assert_eq!(at("$.items[?@.id = 1]").start, 14);
    assert_eq!(at("$.a b"), 3..4);
    let problem = Query::compile("$.message.media-type.x").unwrap_err();
    assert_eq!(problem.replacement.unwrap(), (9..20, "['media-type']".to_string()));
}

#[test]
fn functions_must_be_well_typed() {
    for path in [
        "$[?length(@.*) < 3]",
        "$[?length(@.a)]",
        "$[?nope(@.a)]",
        "$[?match(@.a, '(')]",
        "$[?match(@.a, @.b)]",
    ] {
        assert!(Query::compile(path).is_err(), "{path}");
    }
}

#[test]
fn hostile_paths_are_refused() {
    assert!(Query::compile(&format!("${}", ".a".repeat(50_000))).is_err());
    assert!(Query::compile(&format!("$[?{}@.a{}]", "(".repeat(200), ")".repeat(200))).is_err());
}
