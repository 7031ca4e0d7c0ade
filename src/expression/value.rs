//! A tree of data: JSON, and bytes.
//!
//! Invariants: integers keep all their digits (of JSON, up to 64 bits; computed, up to 128); a map has no key twice; cloning is cheap, since
//! text, lists and maps are shared and never change once they are shared.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use smol_str::{SmolStr, format_smolstr};

/// One node of a tree of data.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction, or too large for [`Value::Int`].
    Float(f64),
    /// Text.
    Text(SmolStr),
    /// Bytes that are not text; they can't be put into JSON.
    Bytes(Bytes),
    /// An ordered list.
    List(Arc<Vec<Value>>),
    /// Named members in the order of their source.
    Map(Arc<Map>),
}

impl Value {
    /// Text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(SmolStr::new(text))
    }

    /// A list.
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(Arc::new(items))
    }

    /// A map.
    pub fn map<K: Into<SmolStr>>(members: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Map(Arc::new(members.into_iter().map(|(key, value)| (key.into(), value)).collect()))
    }

    /// A map of members that are written out in the program, no name of them twice.
    pub fn record<const N: usize>(members: [(&'static str, Value); N]) -> Self {
        let members = members.into_iter().map(|(key, value)| (SmolStr::new_static(key), value)).collect();
        Self::Map(Arc::new(Map { members, folds: false }))
    }

    /// Whether it is null, `""`, `[]`, `{}` or no bytes: what vanishes from a map.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(_) | Self::Int(_) | Self::Float(_) => false,
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(map) => map.is_empty(),
        }
    }

    /// Whether a condition takes it for true: anything but false, zero and what [`Value::is_empty`] says.
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            other => !other.is_empty(),
        }
    }

    /// The member of that name, or the item of that index; null where there is none.
    pub fn get(&self, name: &str) -> &Value {
        static NULL: Value = Value::Null;
        match self {
            Self::Map(map) => map.get(name).unwrap_or(&NULL),
            Self::List(items) => name.parse().ok().and_then(|at: usize| items.get(at)).unwrap_or(&NULL),
            _ => &NULL,
        }
    }

    /// The item at that place; negative counts from the end; null where there is none.
    pub fn at(&self, index: i64) -> &Value {
        static NULL: Value = Value::Null;
        let Self::List(items) = self else { return &NULL };
        let at = if index < 0 {
            usize::try_from(index.unsigned_abs()).ok().and_then(|back| items.len().checked_sub(back))
        } else {
            usize::try_from(index).ok()
        };
        at.and_then(|at| items.get(at)).unwrap_or(&NULL)
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) => Some(items),
            _ => None,
        }
    }

    /// The members, if it is a map.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The whole number that it is or spells; null and anything else is none.
    pub fn to_int(&self) -> Option<i128> {
        match self {
            Self::Int(number) => Some(*number),
            // A float that is a whole number of at most 2^53 is exactly that number.
            #[allow(clippy::cast_possible_truncation)]
            Self::Float(number) if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
                Some(*number as i128)
            }
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The number that it is or spells.
    #[allow(clippy::cast_precision_loss)]
    pub fn to_number(&self) -> Option<f64> {
        match self {
            Self::Int(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        }
    }

    /// Canonical text: a number in its shortest form, null as nothing, lists and maps as compact JSON, bytes as
    /// UTF-8 with what is not UTF-8 replaced.
    pub fn to_text(&self) -> SmolStr {
        match self {
            Self::Null => SmolStr::default(),
            Self::Bool(truth) => SmolStr::new_static(if *truth { "true" } else { "false" }),
            Self::Int(number) => format_smolstr!("{number}"),
            Self::Float(number) => format_smolstr!("{number}"),
            Self::Text(text) => text.clone(),
            Self::Bytes(bytes) => SmolStr::new(String::from_utf8_lossy(bytes)),
            Self::List(_) | Self::Map(_) => SmolStr::new(self.to_json().unwrap_or_default()),
        }
    }

    /// The bytes of its canonical text; bytes as they are.
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            other => Bytes::copy_from_slice(other.to_text().as_bytes()),
        }
    }

    /// Compact JSON; none where it holds bytes.
    pub fn to_json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    /// What the JSON text says. A byte order mark before it is passed over (RFC 8259, 8.1), and what is no Unicode
    /// in its strings, bytes as well as halves of surrogate pairs, becomes U+FFFD: some senders cut their texts in
    /// the middle of a character.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
        serde_json::from_slice(json).or_else(|error| match mended(json) {
            Some(mended) => serde_json::from_str(&mended),
            None => Err(error),
        })
    }

    /// `text`, `list` and so on, for messages to people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Float(_) => "a number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<SmolStr> for Value {
    fn from(text: SmolStr) -> Self {
        Self::Text(text)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        i128::try_from(number).map_or(Self::Null, Self::Int)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A JSON text in which everything is Unicode; none for one in which it was before.
fn mended(json: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(json);
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_ref();
    // The code of an escape at the beginning of a text.
    let unit = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok();
    while let Some((before, escape)) = rest.find('\\').and_then(|at| rest.split_at_checked(at)) {
        out.push_str(before);
        let pair = unit(escape).filter(|high| (0xd800..0xdc00).contains(high));
        let low = escape.get(6..).and_then(unit).filter(|low| (0xdc00..0xe000).contains(low));
        let (kept, len) = match (unit(escape), pair.and(low)) {
            (Some(_), Some(_)) => (true, 12),
            (Some(0xd800..0xe000), None) => (false, 6),
            (Some(_), None) => (true, 6),
            (None, _) => (true, 1 + escape.chars().nth(1).map_or(0, char::len_utf8)),
        };
        let (escape, behind) = escape.split_at_checked(len)?;
        out.push_str(if kept { escape } else { "\u{fffd}" });
        rest = behind;
    }
    out.push_str(rest);
    (out.as_bytes() != json).then_some(out)
}

/// Named members in the order in which they were first put in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    members: Vec<(SmolStr, Value)>,
    folds: bool,
}

impl Map {
    /// A map without members.
    pub fn new() -> Self {
        Self::default()
    }

    /// The member of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let exact = self.members.iter().find(|(key, _)| key == name);
        let member = match exact {
            None if self.folds => self.members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)),
            exact => exact,
        };
        member.map(|(_, value)| value)
    }

    /// The same members, found by a name that differs in case alone where no name is exactly the same: what
    /// headers and form fields want.
    #[must_use]
    pub fn folding(mut self) -> Self {
        self.folds = true;
        self
    }

    /// Members of foreign origin, of which the first of each name counts.
    pub fn of_first(members: impl IntoIterator<Item = (SmolStr, Value)>) -> Self {
        let mut seen = HashSet::new();
        let members = members.into_iter().filter(|(name, _)| seen.insert(name.clone())).collect();
        Self { members, folds: false }
    }

    /// Puts a member in; one of the same name is replaced where it stands. It takes as long as the map is large,
    /// so a map of many members of foreign origin is collected instead.
    pub fn insert(&mut self, name: impl Into<SmolStr>, value: Value) {
        let name = name.into();
        match self.members.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.members.push((name, value)),
        }
    }

    /// The members in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&SmolStr, &Value)> {
        self.members.iter().map(|(key, value)| (key, value))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Of members with the same name keeps the place of the first and the value of the last. For maps of
    /// foreign origin: linear for small ones, hashed for large ones, so that no input makes it quadratic.
    fn without_repeats(mut self) -> Self {
        const SMALL: usize = 24;
        if self.members.len() <= SMALL {
            let mut at = 1;
            while at < self.members.len() {
                let (before, rest) = self.members.split_at_mut(at);
                let Some((member, _)) = rest.split_first_mut() else { break };
                if let Some(first) = before.iter_mut().find(|(key, _)| *key == member.0) {
                    first.1 = std::mem::take(&mut member.1);
                    self.members.remove(at);
                } else {
                    at += 1;
                }
            }
            return self;
        }
        let mut places = HashMap::with_capacity(self.members.len());
        let mut kept: Vec<(SmolStr, Value)> = Vec::with_capacity(self.members.len());
        for (key, value) in self.members {
            if let Some(first) = places.get(&key).and_then(|at: &usize| kept.get_mut(*at)) {
                first.1 = value;
            } else {
                places.insert(key.clone(), kept.len());
                kept.push((key, value));
            }
        }
        Self { members: kept, folds: self.folds }
    }
}

impl FromIterator<(SmolStr, Value)> for Map {
    fn from_iter<I: IntoIterator<Item = (SmolStr, Value)>>(members: I) -> Self {
        Self { members: members.into_iter().collect(), folds: false }.without_repeats()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(truth) => serializer.serialize_bool(*truth),
            Self::Int(number) => match (i64::try_from(*number), u64::try_from(*number)) {
                (Ok(small), _) => serializer.serialize_i64(small),
                (_, Ok(large)) => serializer.serialize_u64(large),
                _ => serializer.serialize_i128(*number),
            },
            Self::Float(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bytes(_) => Err(S::Error::custom("bytes can't be put into JSON; decode them first")),
            Self::List(items) => serializer.collect_seq(items.iter()),
            Self::Map(map) => {
                let mut members = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map.iter() {
                    members.serialize_entry(key.as_str(), value)?;
                }
                members.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Int(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::Int(number.into()))
    }

    fn visit_i128<E>(self, number: i128) -> Result<Value, E> {
        Ok(Value::Int(number))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        if number.is_finite() { Ok(Value::Float(number)) } else { Err(E::custom("number out of range")) }
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::list(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some(KeyText(key)) = access.next_key()? {
            members.push((key, access.next_value()?));
        }
        Ok(Value::Map(Arc::new(Map { members, folds: false }.without_repeats())))
    }
}

/// A member's name, read without the detour over `String`.
struct KeyText(SmolStr);

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = KeyText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member's name")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<KeyText, E> {
                Ok(KeyText(SmolStr::new(text)))
            }
        }
        deserializer.deserialize_str(KeyVisitor).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        Value::from_json(text.as_bytes()).unwrap()
    }

    #[test]
    fn integers_keep_all_their_digits() {
        for text in ["4987381194038857789", "18446744073709551615", "-9223372036854775808"] {
            assert_eq!(json(text).to_json().unwrap(), text);
            assert_eq!(json(text).to_text(), text);
        }
    }

    #[test]
    fn json_survives_the_round_trip() {
        let text = r#"{"b":[1,2.5,"x",null,true,{}],"a":{"c":"é\n"}}"#;
        assert_eq!(json(text).to_json().unwrap(), text);
    }

    #[test]
    fn what_is_no_unicode_is_replaced_and_the_rest_is_read() {
        assert_eq!(Value::from_json(b"\xef\xbb\xbf{\"a\":1}").unwrap().get("a"), &Value::Int(1));
        assert_eq!(Value::from_json(b"[\"tr\xe8s\"]").unwrap().at(0), &Value::text("tr\u{fffd}s"));
        assert_eq!(json(r#"["a\ud83d"]"#).at(0), &Value::text("a\u{fffd}"));
        assert_eq!(
            json(r#"["\ude4fb \\ \n \u00e9 \ud83d\ude4f \\ud83d"]"#).at(0),
            &Value::text("\u{fffd}b \\ \n é 🙏 \\ud83d")
        );
        assert!(Value::from_json(b"{\"a\":\xff").is_err());
        assert!(Value::from_json(b"[\"\\").is_err());
    }

    #[test]
    fn of_a_repeated_member_the_last_counts() {
        assert_eq!(json(r#"{"a":1,"b":2,"a":3}"#).to_json().unwrap(), r#"{"a":3,"b":2}"#);
        let many: Vec<String> = (0..60).map(|n| format!(r#""k{}":{n}"#, n % 30)).collect();
        let map = json(&format!("{{{}}}", many.join(",")));
        assert_eq!(map.as_map().unwrap().len(), 30);
        assert_eq!(map.get("k0"), &Value::Int(30));
    }

    #[test]
    fn bytes_never_enter_json() {
        let value = Value::list(vec![Value::Bytes(Bytes::from_static(b"\xff"))]);
        assert!(value.to_json().is_none());
    }

    #[test]
    fn negative_indexes_count_from_the_end() {
        let list = json("[1,2,3]");
        assert_eq!(list.at(-1), &Value::Int(3));
        assert_eq!(list.at(-4), &Value::Null);
    }

    #[test]
    fn what_counts_as_empty_and_as_true() {
        for text in ["null", "\"\"", "[]", "{}"] {
            assert!(json(text).is_empty() && !json(text).is_truthy());
        }
        for text in ["0", "false"] {
            assert!(!json(text).is_empty() && !json(text).is_truthy());
        }
    }
}
