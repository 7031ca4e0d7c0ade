//! The page of a kind of file: every record with its keys, and every closed set of words, from its JSON Schema.

use std::fmt::Write as _;

use serde_json::Value;

use super::{cell, code};
use crate::spec::{FileKind, schema};

/// Keys that hold a condition, which the schema can't tell from a value.
const CONDITIONS: &[&str] = &["when", "require", "ignore", "ok", "if", "until", "more"];

/// Sets of at most this many words are spelled out where they are used.
const FEW: usize = 5;

/// The page.
pub(super) fn page(kind: FileKind, title: &str, about: &str) -> String {
    let schema = schema(kind).to_value();
    let definitions = Definitions { schema: &schema };
    let mut places = Vec::new();
    definitions.walk(&schema, "", &mut places);
    let mut text = format!("{title}\n\n{about}\n\n## The file\n\n");
    definitions.record(&schema, &mut text);
    let (records, words): (Vec<_>, Vec<_>) =
        places.into_iter().partition(|(name, _)| definitions.words(name).is_none());
    for (name, at) in &records {
        let definition = definitions.get(name);
        let at: Vec<_> = at.iter().map(|place| code(place)).collect();
        let _ = write!(text, "\n## {}\n\n{} At {}.\n\n", heading(name), about_of(definition), at.join(", "));
        definitions.record(definition, &mut text);
    }
    if !words.is_empty() {
        text.push_str("\n## Words\n");
    }
    for (name, _) in &words {
        let _ = write!(text, "\n### {}\n\n{}\n\n", heading(name), about_of(definitions.get(name)));
        text.push_str("| word | means |\n|---|---|\n");
        for (word, about) in definitions.words(name).unwrap_or_default() {
            let _ = writeln!(text, "| {} | {} |", code(word), cell(about));
        }
    }
    text
}

/// The definitions of a schema.
struct Definitions<'s> {
    schema: &'s Value,
}

impl<'s> Definitions<'s> {
    fn get(&self, name: &str) -> &'s Value {
        static NULL: Value = Value::Null;
        self.schema.get("$defs").and_then(|all| all.get(name)).unwrap_or(&NULL)
    }

    /// The words of a closed set, with their meanings.
    fn words(&self, name: &str) -> Option<Vec<(&'s str, &'s str)>> {
        let choices = self.get(name).get("oneOf")?.as_array()?;
        choices.iter().map(|choice| Some((choice.get("const")?.as_str()?, about_of(choice)))).collect()
    }

    /// Notes every definition that a schema leads to, in the order of the keys, with the places where it stands.
    fn walk(&self, schema: &Value, at: &str, places: &mut Vec<(String, Vec<String>)>) {
        if let Some(name) = reference(schema) {
            if let Some((_, known)) = places.iter_mut().find(|(known, _)| known == name) {
                // Where a record stands within itself is clear from its own keys.
                if known.len() < FEW && !known.iter().any(|place| at.starts_with(place.as_str())) {
                    known.push(at.to_string());
                }
                return;
            }
            places.push((name.to_string(), vec![at.to_string()]));
            self.walk(self.get(name), at, places);
        }
        for (name, member) in members(schema) {
            let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
            self.walk(member, &at, places);
        }
        for choice in choices(schema) {
            self.walk(choice, at, places);
        }
        if let Some(items) = schema.get("items") {
            self.walk(items, &format!("{at}[]"), places);
        }
        if let Some(values) = schema.get("additionalProperties") {
            self.walk(values, &format!("{at}.NAME"), places);
        }
    }

    /// The table of a record's keys.
    fn record(&self, record: &Value, text: &mut String) {
        let required = record.get("required").and_then(Value::as_array);
        let needs = |key: &str| required.is_some_and(|names| names.iter().any(|name| name == key));
        text.push_str("| key | type | what it says | unless given |\n|---|---|---|---|\n");
        for (key, member) in members(record) {
            let (about, default) = split_default(about_of(member));
            let default = if needs(key) { "**required**".to_string() } else { cell(&default) };
            let kind = self.kind(key, member);
            let _ = writeln!(text, "| {} | {kind} | {} | {default} |", code(key), cell(&about));
        }
    }

    /// The type of a member, with links.
    fn kind(&self, key: &str, schema: &Value) -> String {
        if let Some(name) = reference(schema) {
            let to = heading(name);
            let link = |label: &str| format!("[{label}](#{})", to.to_lowercase().replace(' ', "-"));
            return match self.words(name) {
                Some(words) if words.len() <= FEW => {
                    let words: Vec<_> = words.iter().map(|(word, _)| code(word)).collect();
                    format!("{} ({})", words.join(", "), link("words"))
                }
                _ => link(&to.to_lowercase()),
            };
        }
        let choices: Vec<_> = choices(schema).collect();
        if !choices.is_empty() {
            let kinds: Vec<_> = choices.into_iter().map(|choice| self.kind(key, choice)).collect();
            return kinds.join(" or ");
        }
        if let Some(word) = schema.get("const").and_then(Value::as_str) {
            return code(word);
        }
        let is = |kind: &str| match schema.get("type") {
            Some(Value::String(name)) => name == kind,
            Some(Value::Array(names)) => names.iter().any(|name| name == kind),
            _ => false,
        };
        if is("array") {
            let items = schema.get("items").map_or_else(String::new, |items| self.kind("", items));
            return if is("object") {
                "[value](values.md), or a list of stages".into()
            } else if is("string") {
                format!("{items}, or a list of it")
            } else {
                format!("list of {items}")
            };
        }
        if is("object") {
            return match schema.get("additionalProperties") {
                Some(values) if values.is_object() => format!("map of {}", self.kind("", values)),
                _ => "map".into(),
            };
        }
        let pattern = schema.get("pattern").and_then(Value::as_str).unwrap_or_default();
        let named = if is("boolean") {
            "`true` or `false`"
        } else if is("integer") {
            "whole number"
        } else if pattern.contains("unlimited") {
            "rate: `20/s`, `3/10s`, `unlimited`"
        } else if pattern.contains("ms|s|m") {
            "duration: `500ms`, `30s`, `5m`, `24h`, `7d`"
        } else if is("string") {
            "text"
        } else if CONDITIONS.contains(&key) {
            "[condition](values.md#conditions)"
        } else {
            "[value](values.md)"
        };
        named.into()
    }
}

/// The definition that a schema refers to.
fn reference(schema: &Value) -> Option<&str> {
    schema.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

/// The alternatives of a schema; null, which means "left out", is none.
fn choices(schema: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema.get(key).and_then(Value::as_array));
    lists.flatten().filter(|choice| choice.get("type").is_none_or(|kind| kind != "null"))
}

fn members(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn about_of(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// A type's name in words: `AnswerSpec` is "Answer", `ChannelLookup` "Channel lookup".
fn heading(name: &str) -> String {
    let name = name.strip_suffix("Spec").unwrap_or(name);
    let mut words = String::new();
    for (at, letter) in name.char_indices() {
        if at > 0 && letter.is_uppercase() {
            words.push(' ');
            words.extend(letter.to_lowercase());
        } else {
            words.push(letter);
        }
    }
    words
}

/// What a sentence says, and what holds unless the key is given.
fn split_default(about: &str) -> (String, String) {
    const MARK: &str = " unless given";
    let whole = || (about.to_string(), String::new());
    let Some((before, behind)) = about.split_once(MARK) else { return whole() };
    let in_code = |at: usize| before.get(..at).is_some_and(|text| text.matches('`').count() % 2 == 1);
    let cuts = ["; ", ". ", ": "].iter().flat_map(|mark| before.match_indices(mark));
    let Some(cut) = cuts.map(|(at, _)| at).filter(|at| !in_code(*at)).max() else { return whole() };
    let (kept, default) = before.split_at(cut);
    let default = default.trim_start_matches([';', '.', ':', ' ']).to_string();
    // What follows behind a comma says of another case what holds there.
    let (more, behind) = behind.split_once(". ").unwrap_or((behind.trim_end_matches('.'), ""));
    (format!("{kept}. {behind}").trim().to_string(), default + more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_every_definition_is_on_the_page() {
        for kind in [FileKind::Mapping, FileKind::Test, FileKind::Installation] {
            let (schema, page) = (schema(kind).to_value(), page(kind, "# T", "A."));
            for (name, definition) in schema["$defs"].as_object().unwrap() {
                assert!(page.contains(&format!("# {}\n", heading(name))), "{name} is not on the page");
                for (key, _) in members(definition) {
                    assert!(page.contains(&format!("| `{key}` | ")), "{name}.{key}");
                }
            }
        }
    }

    #[test]
    fn a_default_is_taken_out_of_the_sentence() {
        for (about, kept, default) in [
            ("How it is read; by its type unless given.", "How it is read.", "by its type"),
            ("The longest wait; doubles. 1s unless given.", "The longest wait; doubles.", "1s"),
            ("The status; 200 unless given, 400 for `ack.error`.", "The status.", "200, 400 for `ack.error`"),
            (
                "Its address; the item with `address: true` unless given.",
                "Its address.",
                "the item with `address: true`",
            ),
            ("The text.", "The text.", ""),
        ] {
            assert_eq!(split_default(about), (kept.to_string(), default.to_string()));
        }
    }
}
