//! The JSON Schema of mappings that are made of others, from that of a whole one.
//!
//! Invariant: an overlay asks for nothing and may remove anything with null, down to lists and values, which stand
//! for themselves. `load::family` is what it describes.

use std::collections::BTreeSet;

use schemars::Schema;
use serde_json::{Map, Value, json};

/// What belongs to a file and not to a variant.
const OWN: &[&str] = &["name", "extends", "variants"];
const DEFS: &str = "#/$defs/";

/// Makes a schema for whole mappings one for all: whole, extending another, and with variants.
pub fn with_overlays(schema: &mut Schema) {
    let root = schema.ensure_object();
    let mut whole = Map::new();
    for key in ["type", "properties", "additionalProperties", "required"] {
        whole.extend(root.remove(key).map(|value| (key.to_string(), value)));
    }
    let mut defs = match root.remove("$defs") {
        Some(Value::Object(defs)) => defs,
        _ => Map::new(),
    };
    let variants = whole.get_mut("properties").and_then(|properties| properties.get_mut("variants"));
    if let Some(variants) = variants.and_then(Value::as_object_mut) {
        variants.insert("additionalProperties".into(), nullable(json!({"$ref": "#/$defs/Variant"})));
    }
    let mut found = BTreeSet::new();
    let mut derived = overlay(&Value::Object(whole.clone()), &defs, &mut found);
    while let Some(name) = found.iter().find(|name| !defs.contains_key(&overlay_of(name))).cloned() {
        let made = defs.get(&name).cloned().unwrap_or_default();
        let made = overlay(&made, &defs, &mut found);
        defs.insert(overlay_of(&name), made);
    }
    let mut variant = derived.clone();
    if let Some(properties) = variant.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !OWN.contains(&name.as_str()));
    }
    defs.insert("Variant".into(), variant);
    if let Some(members) = derived.as_object_mut() {
        members.insert("required".into(), json!(["name", "extends"]));
    }
    root.insert("if".into(), json!({"required": ["extends"]}));
    root.insert("then".into(), derived);
    root.insert("else".into(), Value::Object(whole));
    root.insert("$defs".into(), Value::Object(defs));
}

fn overlay_of(name: &str) -> String {
    format!("{name}Overlay")
}

/// The schema of what may stand over a value of a schema; notes the records that it needs overlays of.
fn overlay(schema: &Value, defs: &Map<String, Value>, found: &mut BTreeSet<String>) -> Value {
    let mut made = schema.clone();
    let Some(members) = made.as_object_mut() else { return made };
    members.remove("required");
    let name = members.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix(DEFS));
    let name = name.filter(|name| defs.get(*name).is_some_and(|def| def.get("properties").is_some()));
    if let Some(name) = name.map(str::to_string) {
        members.insert("$ref".into(), format!("{DEFS}{}", overlay_of(&name)).into());
        found.insert(name);
    }
    if let Some(choices) = members.get_mut("anyOf").and_then(Value::as_array_mut) {
        choices.iter_mut().for_each(|choice| *choice = overlay(choice, defs, found));
    }
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(|value| *value = nullable(overlay(value, defs, found)));
    }
    if let Some(value) = members.get_mut("additionalProperties").filter(|value| value.is_object()) {
        *value = nullable(overlay(value, defs, found));
    }
    made
}

/// The same or null; what is said about it stays where editors look for it.
fn nullable(mut schema: Value) -> Value {
    let nothing = json!({"type": "null"});
    let anything = schema.as_object().is_some_and(|members| members.keys().all(|key| key == "description"));
    let among = |key: &str, choice: &Value| match schema.get(key) {
        Some(Value::Array(choices)) => choices.contains(choice),
        other => other == Some(choice),
    };
    if anything || among("type", &json!("null")) || among("anyOf", &nothing) {
        return schema;
    }
    let about = schema.as_object_mut().and_then(|members| members.remove("description"));
    let mut made = Map::new();
    made.extend(about.map(|about| ("description".to_string(), about)));
    made.insert("anyOf".into(), json!([schema, nothing]));
    Value::Object(made)
}
