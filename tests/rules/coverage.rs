//! Everything that a mapping can say is said by at least one that is tested: every key of every record, every
//! word, every operator with what may stand in its map, every test of a condition, every helper.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use patchcord::diagnostic::{Diagnostics, Sources};
use patchcord::expression::{OPERATORS, TESTS, helpers};
use patchcord::spec::{FileKind, schema};
use serde_json::Value;

use crate::program::{files, root};

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

/// What is called in an expression: what stands first in it or in its parentheses with arguments behind it, and every
/// name that stands alone. Members, texts and names of arguments are none of it: `it.mime` is not `mime`.
fn called(expression: &str, into: &mut BTreeSet<String>) {
    let unquoted: String = expression.split('\'').step_by(2).collect::<Vec<_>>().join(" '' ");
    for part in unquoted.split(['(', ')']) {
        let mut tokens = part.split_whitespace();
        let head = tokens.next().unwrap_or_default();
        let with = part.trim() != head || unquoted.contains(&format!("{head} ("));
        into.insert(format!("helper {head}{}", if with { " with" } else { "" }));
        into.extend(tokens.map(|token| format!("helper {token}")));
    }
}

/// What is called within `{{ }}`, and the keys of maps, as `operator KEY`: `{{lt a b}}` is not `{lt: b}`.
fn words(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let inner = text.split("{{").skip(1);
            inner.for_each(|rest| called(rest.split("}}").next().unwrap_or_default(), into));
        }
        Value::Array(items) => items.iter().for_each(|item| words(item, into)),
        Value::Object(map) => {
            for (key, member) in map {
                words(&Value::String(key.clone()), into);
                into.insert(format!("operator {key}"));
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
        // A variant says what a mapping says.
        for variant in value["variants"].as_object().iter().flat_map(|variants| variants.values()) {
            walk(&schema, &schema, "Mapping", variant, &mut said);
        }
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
    let forms = OPERATORS.iter().chain(TESTS);
    let forms = forms.flat_map(|form| std::iter::once(form.name).chain(form.with.iter().copied()));
    let forms: BTreeSet<String> = forms.chain(["$only"]).map(|name| format!("operator {name}")).collect();
    // A helper without arguments is a bare name.
    let helpers = helpers().map(|helper| {
        let with = if helper.usage == helper.name { "" } else { " with" };
        format!("helper {}{with}", helper.name)
    });
    for name in forms.into_iter().chain(helpers) {
        let by = spoken.remove(&name).unwrap_or_default();
        rows.push((name.trim_end_matches(" with").to_string(), by));
    }

    println!("what a mapping can say, and which tested mappings say it:");
    for (key, by) in &rows {
        let shown = by.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        println!("  {key:40} {:3}  {shown}", by.len());
    }
    let missing: Vec<_> = rows.iter().filter(|(_, by)| by.is_empty()).collect();
    let missing: Vec<_> = missing.into_iter().map(|(key, _)| format!("    {key}")).collect();
    assert!(
        missing.is_empty(),
        "no tested mapping says these; add one to tests/fixtures/mappings:\n{}",
        missing.join("\n")
    );
    assert!(mappings.len() >= 4, "the mappings were not found");
}
