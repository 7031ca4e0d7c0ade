//! Everything that a mapping can say is said by at least one that is tested: every key of every record, every
//! word, every operator and test, every helper.
//!
//! What is used nowhere stands in [`NOT_YET`], which must shrink to nothing: an entry that is used fails too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use patchcord::diagnostic::{Diagnostics, Sources};
use patchcord::expression::{OPERATORS, TESTS, helpers};
use patchcord::spec::{FileKind, schema};
use serde_json::Value;

use crate::program::{files, root};

/// What no tested mapping uses yet.
const NOT_YET: &[&str] = &[];

/// The folders with mappings whose tests run under `cargo test`.
const FOLDERS: &[&str] = &["mappings", "tests/fixtures/mappings", "src/sandbox"];

/// A mapping's file as JSON, read as the program reads it.
fn read(path: &PathBuf) -> Value {
    let mut sources = Sources::new();
    let file = sources.add(path.display().to_string(), fs::read_to_string(path).unwrap());
    let mut out = Diagnostics::new();
    let node = patchcord::yaml::parse(file, &sources, &mut out).unwrap();
    serde_json::from_str(&node.to_value().to_json().unwrap()).unwrap()
}

fn mappings() -> Vec<(String, Value)> {
    let folders = FOLDERS.iter().map(|folder| root().join(folder)).filter(|folder| folder.exists());
    let all = folders.flat_map(|folder| files(&folder, ".yaml"));
    let all = all.filter(|path| path.with_extension("test.yaml").exists());
    all.map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), read(&path))).collect()
}

/// The definition that a schema refers to.
fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key)?.as_array()).flatten()
}

/// The keys of a record, and the words of a closed set, each behind the record's name.
fn sayable(schema: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let named = schema["$defs"].as_object().unwrap().iter().map(|(name, inner)| (name.as_str(), inner));
    for (name, definition) in named.chain([("Mapping", schema)]) {
        let keys = definition.get("properties").and_then(Value::as_object).into_iter().flatten();
        all.extend(keys.map(|(key, _)| format!("{name}.{key}")));
        let words = choices(definition).filter_map(|choice| choice.get("const")?.as_str());
        all.extend(words.map(|word| format!("{name}: {word}")));
    }
    all
}

/// Notes what a value says, by its schema.
fn walk(whole: &Value, schema: &Value, record: &str, value: &Value, said: &mut BTreeSet<String>) {
    if let Some(name) = reference(schema) {
        walk(whole, &whole["$defs"][name], name, value, said);
    }
    for choice in choices(schema) {
        if choice.get("const").is_some_and(|word| word == value) {
            said.insert(format!("{record}: {}", value.as_str().unwrap_or_default()));
        }
        walk(whole, choice, record, value, said);
    }
    for (key, member) in value.as_object().into_iter().flatten() {
        if let Some(inner) = schema.get("properties").and_then(|all| all.get(key)) {
            said.insert(format!("{record}.{key}"));
            walk(whole, inner, record, member, said);
        } else if let Some(inner) = schema.get("additionalProperties").filter(|inner| inner.is_object()) {
            walk(whole, inner, record, member, said);
        }
    }
    if let Some(items) = schema.get("items") {
        value.as_array().into_iter().flatten().for_each(|item| walk(whole, items, record, item, said));
    }
}

/// The words within `{{ }}`, and the keys of maps.
fn words(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            for rest in text.split("{{").skip(1) {
                let inner = rest.split("}}").next().unwrap_or_default();
                let words = inner.split(|c: char| !c.is_alphanumeric() && c != '_');
                into.extend(words.map(str::to_string));
            }
        }
        Value::Array(items) => items.iter().for_each(|item| words(item, into)),
        Value::Object(map) => {
            for (key, member) in map {
                words(&Value::String(key.clone()), into);
                into.insert(key.clone());
                words(member, into);
            }
        }
        _ => {}
    }
}

#[test]
fn everything_that_a_mapping_can_say_is_said_by_a_tested_one() {
    let schema = schema(FileKind::Mapping).to_value();
    let mut users: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut spoken: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mappings = mappings();
    for (name, value) in &mappings {
        let (mut said, mut found) = (BTreeSet::new(), BTreeSet::new());
        walk(&schema, &schema, "Mapping", value, &mut said);
        words(value, &mut found);
        for key in said {
            users.entry(key).or_default().insert(name);
        }
        for word in found {
            spoken.entry(word).or_default().insert(name);
        }
    }
    let mut rows: Vec<(String, BTreeSet<&str>)> = Vec::new();
    for key in sayable(&schema) {
        let by = users.remove(&key).unwrap_or_default();
        rows.push((key, by));
    }
    for form in OPERATORS.iter().chain(TESTS) {
        rows.push((format!("operator {}", form.name), spoken.get(form.name).cloned().unwrap_or_default()));
    }
    // The example of every helper is run as a test, so a mapping is asked for none of them.
    let unused: Vec<_> =
        helpers().map(|helper| helper.name).filter(|name| !spoken.contains_key(*name)).collect();

    println!("what a mapping can say, and which tested mappings say it:");
    for (key, by) in &rows {
        let shown = by.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        println!("  {key:40} {:3}  {shown}", by.len());
    }
    println!("helpers that only their own example uses: {}", unused.join(", "));
    let is_not_yet = |key: &String| NOT_YET.contains(&key.as_str());
    let missing: Vec<_> = rows.iter().filter(|(key, by)| by.is_empty() && !is_not_yet(key)).collect();
    let missing: Vec<_> = missing.into_iter().map(|(key, _)| format!("    \"{key}\",")).collect();
    assert!(
        missing.is_empty(),
        "no tested mapping says these; add one to tests/fixtures/mappings:\n{}",
        missing.join("\n")
    );
    let stale: Vec<_> =
        NOT_YET.iter().filter(|key| rows.iter().all(|(known, by)| known != *key || !by.is_empty())).collect();
    assert!(stale.is_empty(), "these are used, or gone; take them out of NOT_YET: {stale:?}");
    assert!(mappings.len() >= 4, "the mappings were not found");
}
