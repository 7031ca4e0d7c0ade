//! The tree: what a file says, and where it says it.
//!
//! Invariant: the keys of a map are distinct and in the order of the file; what an alias stands for is a copy
//! whose inner places are those of the definition.

use smol_str::SmolStr;

use super::text::Text;
use crate::diagnostic::Span;
use crate::expression::Value;

/// One value with its place. Of an alias it is the alias, of a value that is only implied (`key:` and nothing)
/// the empty place after the colon, of a block scalar its text without the line breaks at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `null`, `~`, or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction or exponent, or too large for [`Kind::Int`]; finite.
    Float(f64),
    /// Text: everything quoted, and what is none of the above.
    Text(Text),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Vec<Entry>),
}

/// One member of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its key; a key that is no text in YAML's eyes (`1`, `~`, `true`) is its source text.
    pub key: Text,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// Its data without the places.
    pub fn to_value(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(truth) => Value::Bool(*truth),
            Kind::Int(number) => Value::Int(*number),
            Kind::Float(number) => Value::Float(*number),
            Kind::Text(text) => Value::Text(text.value.clone()),
            Kind::List(items) => Value::list(items.iter().map(Self::to_value).collect()),
            Kind::Map(entries) => Value::map(
                entries.iter().map(|entry| (SmolStr::clone(&entry.key.value), entry.value.to_value())),
            ),
        }
    }

    /// `text`, `a list` and so on, for messages to people.
    pub fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "a boolean",
            Kind::Int(_) | Kind::Float(_) => "a number",
            Kind::Text(_) => "text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.kind, Kind::Null)
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&Text> {
        match &self.kind {
            Kind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if it is a map.
    pub fn as_map(&self) -> Option<&[Entry]> {
        match &self.kind {
            Kind::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The member with that key, if it is a map that has it.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.as_map()?.iter().find(|entry| entry.key.value == key)
    }

    /// The value with that key, if it is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }
}
