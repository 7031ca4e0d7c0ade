//! What is generated and committed is fresh, and says of every shipped file what the program says of it.

use std::fs;
use std::path::PathBuf;

use jsonschema::Validator;
use patchcord::diagnostic::{Diagnostics, Sources};
use serde_json::{Value, json};

use crate::program::{files, root, run};

fn schema(name: &str) -> Validator {
    let text = fs::read_to_string(root().join(format!("schemas/{name}.schema.json"))).unwrap();
    jsonschema::validator_for(&serde_json::from_str(&text).unwrap()).unwrap()
}

/// A YAML file as JSON, read as the program reads it.
fn read(path: &PathBuf) -> Value {
    let mut sources = Sources::new();
    let file = sources.add(path.display().to_string(), fs::read_to_string(path).unwrap());
    let mut out = Diagnostics::new();
    let node = patchcord::yaml::parse(file, &sources, &mut out).unwrap();
    assert!(out.is_empty(), "{}", patchcord::diagnostic::text(&out, &sources, false));
    serde_json::from_str(&node.to_value().to_json().unwrap()).unwrap()
}

fn problems(schema: &Validator, value: &Value) -> Vec<String> {
    schema.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

#[test]
fn schemas_are_fresh() {
    let output = run(root(), ["schema", "--write", "schemas", "--check"]);
    assert_eq!(output.code, 0, "run `patchcord schema --write schemas`\n{}", output.stderr);
}

#[test]
fn the_reference_and_the_overview_of_the_mappings_are_fresh() {
    let output = run(root(), ["docs", "--write", "docs", "--mappings", "mappings", "--check"]);
    assert_eq!(output.code, 0, "run `just generate`\n{}", output.stderr);
}

#[test]
fn schemas_accept_every_shipped_file() {
    let (mapping, test, installation) = (schema("mapping"), schema("test"), schema("patchcord"));
    let mut all = files(&root().join("mappings"), ".yaml");
    let fixtures = files(&root().join("tests/fixtures/mappings"), ".yaml").into_iter();
    all.extend(fixtures.filter(|path| !path.parent().unwrap().ends_with("tables")));
    all.push(root().join("src/sandbox/stand_in.yaml"));
    all.push(root().join("src/sandbox/stand_in.test.yaml"));
    all.extend(
        ["patchcord.yaml", "tests/fixtures/check/P0026-not-looked-up-by-check/patchcord.yaml"]
            .map(|name| root().join(name)),
    );
    for path in all.iter().filter(|path| path.exists()) {
        let name = path.file_name().unwrap().to_string_lossy();
        let by = match () {
            () if name == "patchcord.yaml" => &installation,
            () if name.ends_with(".test.yaml") => &test,
            () => &mapping,
        };
        let found = problems(by, &read(path));
        assert!(found.is_empty(), "{}: {}", path.display(), found.join("\n"));
    }
}

#[test]
fn schemas_refuse_what_the_program_refuses() {
    let good = json!({"patchcord": 1, "name": "x", "contact_id": "phone",
        "webhooks": [{"route": "POST receive", "events": [{"emit": "event"}]}]});
    let mapping = schema("mapping");
    assert_eq!(problems(&mapping, &good), Vec::<String>::new());
    for (pointer, member, value) in [
        ("", "nmae", json!("x")),
        ("", "contact_id", json!("telephone")),
        ("", "patchcord", json!("one")),
        ("/webhooks/0", "rout", json!("POST x")),
        ("/webhooks/0/events/0", "emitt", json!("message")),
        ("/webhooks/0/events/0", "emit", json!("shout")),
        ("/webhooks/0/events/0", "also", json!("yes")),
        ("", "limits", json!({"rate": "fast"})),
    ] {
        let mut bad = good.clone();
        bad.pointer_mut(pointer).unwrap()[member] = value;
        assert!(!problems(&mapping, &bad).is_empty(), "{pointer}/{member} is accepted");
    }
    let derived = json!({"name": "x", "extends": "y", "send": {"plan": {"text": {"unit": "bytes"}}}, "retry": null,
        "variants": {"z": {"set": {"a": null}, "config": {"b": null}, "http": {"base": null}}, "w": null}});
    assert_eq!(problems(&mapping, &derived), Vec::<String>::new());
    for (pointer, member, value) in [
        ("", "nmae", json!("x")),
        ("/send/plan/text", "unit", json!("inches")),
        ("/variants/z", "name", json!("x")),
        ("/variants/z/http", "bas", json!("x")),
        ("/send", "steps", json!([{"request": {}}])),
    ] {
        let mut bad = derived.clone();
        bad.pointer_mut(pointer).unwrap()[member] = value;
        assert!(!problems(&mapping, &bad).is_empty(), "{pointer}/{member} is accepted");
    }
    for (name, bad) in [("test", json!({"mapping": "x", "test": []})), ("patchcord", json!({"chanels": {}}))]
    {
        assert!(!problems(&schema(name), &bad).is_empty(), "{name}");
    }
}
