//! How a spanned YAML tree becomes typed data: the trait, the `record!` and `choice!` macros, the leaves.

use std::borrow::Cow;
use std::time::Duration as StdDuration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span, suggest};
use crate::yaml::{Entry, Kind, Node, Text};

/// What can be read from a node. `None` means that a problem was reported.
pub trait FromNode: Sized {
    /// Reads it.
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self>;

    /// What takes its place where it is missing or can't be read, which was told: so that one mistake never
    /// hides those around it.
    fn stand_in(span: Span) -> Self;

    /// What it is where the key is missing; none makes the key required.
    fn absent() -> Option<Self> {
        None
    }
}

/// Reports that a node is not what is expected.
pub(super) fn wrong_type(node: &Node, wanted: &str, out: &mut Diagnostics) {
    let message = format!("expected {wanted}, found {}", node.kind_name());
    out.push(
        Diagnostic::new(Code::WrongType, node.span, message).label(format!("this is {}", node.kind_name())),
    );
}

/// The entries of a node that must be a map.
pub(super) fn entries<'n>(node: &'n Node, what: &str, out: &mut Diagnostics) -> Option<&'n [Entry]> {
    let entries = node.as_map();
    if entries.is_none() {
        wrong_type(node, what, out);
    }
    entries
}

/// Where the members of a record stand, and which of them could not be read.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    span: Option<Span>,
    members: Vec<(&'static str, Span, Span)>,
    unread: Vec<&'static str>,
    stand_in: bool,
}

impl Shape {
    /// The shape of what is not there.
    pub(super) fn of_stand_in() -> Self {
        Self { stand_in: true, ..Self::default() }
    }

    /// Whether that member is missing or wrong, and this was told: what follows from it is no news.
    pub fn is_unread(&self, key: &str) -> bool {
        self.stand_in || self.unread.contains(&key)
    }

    /// Where that key stands; where it does not, the first key of the map.
    pub fn key(&self, key: &str, otherwise: Span) -> Span {
        let found = self.members.iter().find(|(name, _, _)| *name == key).map(|(_, key, _)| *key);
        found.or(self.span).unwrap_or(otherwise)
    }

    /// Where the value of that key stands; where it does not, the first key of the map.
    pub fn value(&self, key: &str, otherwise: Span) -> Span {
        let found = self.members.iter().find(|(name, _, _)| *name == key).map(|(_, _, value)| *value);
        found.or(self.span).unwrap_or(otherwise)
    }
}

/// The members of a record as they are read.
pub(super) struct Members<'n> {
    node: &'n Node,
    known: Vec<(&'static str, &'n Entry)>,
    record: &'static str,
    shape: Shape,
}

impl<'n> Members<'n> {
    /// The members of a node that must be a map. Unknown keys are reported; one that was meant to be another
    /// is read as that.
    pub(super) fn new(
        node: &'n Node,
        keys: &[&'static str],
        record: &'static str,
        out: &mut Diagnostics,
    ) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            let message = format!("expected a map, found {}", node.kind_name());
            let problem = Diagnostic::new(Code::WrongType, node.span, message);
            let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
            let problem = problem.label(format!("{record} is a map"));
            out.push(problem.help(format!("its keys are {}", keys.join(", "))));
            return None;
        };
        let known = unknown_keys(entries, keys, record, out);
        let members = known.iter().map(|(key, entry)| (*key, entry.key.span, entry.value.span)).collect();
        let span = Some(entries.first().map_or(node.span, |entry| entry.key.span));
        let shape = Shape { span, members, ..Shape::default() };
        Some(Self { node, known, record, shape })
    }

    /// Reads one of them; what can't be read gets a stand-in.
    pub(super) fn read<T: FromNode>(&mut self, key: &'static str, about: &str, out: &mut Diagnostics) -> T {
        if let Some((_, entry)) = self.known.iter().find(|(name, _)| *name == key) {
            let value = &entry.value;
            return T::from_node(value, out).unwrap_or_else(|| {
                self.shape.unread.push(key);
                T::absent().unwrap_or_else(|| T::stand_in(value.span))
            });
        }
        T::absent().unwrap_or_else(|| {
            let span = self.shape.span.unwrap_or(self.node.span);
            let problem = Diagnostic::new(Code::MissingKey, span, format!("`{key}` is missing"));
            let problem = problem.label(format!("{} needs `{key}`", self.record));
            out.push(problem.help(format!("`{key}`: {}", lower_first(about))));
            self.shape.unread.push(key);
            T::stand_in(span)
        })
    }

    pub(super) fn shape(self) -> Shape {
        self.shape
    }
}

/// The first sentence of a doc comment, as the end of a sentence.
fn lower_first(about: &str) -> String {
    let about = about.trim().split(". ").next().unwrap_or_default().trim_end_matches('.');
    let mut chars = about.chars();
    let first = chars.next();
    if chars.clone().next().is_some_and(char::is_uppercase) {
        return about.to_string(); // an abbreviation
    }
    first.into_iter().flat_map(char::to_lowercase).chain(chars).collect()
}

/// Reports keys that a record does not have, and gives the others; a key that was meant to be another counts
/// as that.
pub(crate) fn unknown_keys<'n>(
    entries: &'n [Entry],
    known: &[&'static str],
    record: &str,
    out: &mut Diagnostics,
) -> Vec<(&'static str, &'n Entry)> {
    let find = |entry: &Entry| known.iter().copied().find(|key| entry.key.value == *key);
    let mut found: Vec<_> = entries.iter().filter_map(|entry| Some((find(entry)?, entry))).collect();
    for entry in entries.iter().filter(|entry| find(entry).is_none()) {
        let key = entry.key.value.as_str();
        let free = || known.iter().copied().filter(|key| found.iter().all(|(taken, _)| taken != key));
        let problem =
            Diagnostic::new(Code::UnknownKey, entry.key.span, format!("unknown key `{key}` in {record}"));
        let problem = problem.label("not known here").did_you_mean(key, free());
        let meant = suggest(key, free()).and_then(|meant| known.iter().copied().find(|key| *key == meant));
        out.push(match (meant, known.is_empty()) {
            (Some(_), _) | (None, true) => problem,
            (None, false) => {
                let keys: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
                problem.help(format!("the keys are {}", keys.join(", ")))
            }
        });
        found.extend(meant.map(|meant| (meant, entry)));
    }
    found
}

/// A map with a fixed set of keys: the struct, how it is read, and its JSON Schema. The text in quotes is what
/// messages call it.
macro_rules! record {
    ($($(#[doc = $about:literal])+ $called:literal $name:ident { $($(#[doc = $doc:literal])+ $field:ident: $type:ty,)+ })+) => {$(
        $(#[doc = $about])+
        #[derive(Clone, Debug, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields, transform = $name::required)]
        pub struct $name {
            /// Where it stands.
            #[schemars(skip)]
            pub span: $crate::diagnostic::Span,
            /// Where its members stand.
            #[schemars(skip)]
            pub shape: $crate::spec::Shape,
            $($(#[doc = $doc])+ pub $field: $type,)+
        }

        impl $name {
            /// What the reader asks for, and no more.
            fn required(schema: &mut schemars::Schema) {
                use $crate::spec::FromNode;
                let members = [$(
                    (stringify!($field).trim_start_matches("r#"), <$type>::absent().is_none())
                ),+];
                let required: Vec<&str> =
                    members.into_iter().filter(|(_, required)| *required).map(|(name, _)| name).collect();
                schema.remove("required");
                if !required.is_empty() {
                    schema.insert("required".into(), required.into());
                }
            }
        }

        impl $crate::spec::FromNode for $name {
            fn from_node(node: &$crate::yaml::Node, out: &mut $crate::diagnostic::Diagnostics) -> Option<Self> {
                let keys = [$(stringify!($field).trim_start_matches("r#")),+];
                let mut members = $crate::spec::read::Members::new(node, &keys, $called, out)?;
                $(let $field: $type = members.read(
                    stringify!($field).trim_start_matches("r#"), concat!($($doc),+), out,
                );)+
                Some(Self { span: node.span, shape: members.shape(), $($field,)+ })
            }

            fn stand_in(span: $crate::diagnostic::Span) -> Self {
                Self {
                    span,
                    shape: $crate::spec::Shape::of_stand_in(),
                    $($field: <$type>::absent().unwrap_or_else(|| <$type>::stand_in(span)),)+
                }
            }
        }
    )+};
}

/// How words of closed sets are read; the text in quotes is what messages call the set.
macro_rules! choice {
    ($($called:literal $name:ident;)+) => {$(
        impl $crate::spec::FromNode for $name {
            fn from_node(node: &$crate::yaml::Node, out: &mut $crate::diagnostic::Diagnostics) -> Option<Self> {
                $crate::spec::read::word(node, $called, Self::WORDS, out).and_then(Self::of)
            }

            fn stand_in(_: $crate::diagnostic::Span) -> Self {
                Self::FIRST
            }
        }
    )+};
}

pub(crate) use {choice, record};

/// One word of a closed set; one that is mistyped is read as the one that was meant.
pub(super) fn word(
    node: &Node,
    what: &str,
    words: &[&'static str],
    out: &mut Diagnostics,
) -> Option<&'static str> {
    let list = || words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let Some(text) = node.as_text() else {
        wrong_type(node, &format!("one of {}", list()), out);
        return None;
    };
    if let Some(word) = words.iter().find(|word| **word == text.value) {
        return Some(word);
    }
    let message = format!("`{}` is not {what}", text.value);
    let problem = Diagnostic::new(Code::InvalidValue, node.span, message).label("not one of them");
    let problem = problem.did_you_mean(&text.value, words.iter().copied());
    out.push(problem.help(format!("the choice is {}", list())));
    suggest(&text.value, words.iter().copied())
        .and_then(|meant| words.iter().copied().find(|word| *word == meant))
}

impl<T: FromNode> FromNode for Option<T> {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        T::from_node(node, out).map(Some)
    }

    fn stand_in(_: Span) -> Self {
        None
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: FromNode> FromNode for Box<T> {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        T::from_node(node, out).map(Box::new)
    }

    fn stand_in(span: Span) -> Self {
        Box::new(T::stand_in(span))
    }
}

impl<T: FromNode> FromNode for Vec<T> {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        let Some(items) = node.as_list() else {
            let message = format!("expected a list, found {}", node.kind_name());
            let problem = Diagnostic::new(Code::WrongType, node.span, message);
            out.push(problem.label("put a `-` before each item"));
            // A single item is judged all the same.
            let mut inner = Diagnostics::new();
            let item = node.as_map().and_then(|_| T::from_node(node, &mut inner))?;
            out.extend(inner);
            return Some(vec![item]);
        };
        Some(items.iter().filter_map(|item| T::from_node(item, out)).collect())
    }

    fn stand_in(_: Span) -> Self {
        Vec::new()
    }

    fn absent() -> Option<Self> {
        Some(Vec::new())
    }
}

impl FromNode for Text {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            Kind::Int(number) => Some(Text::at(smol_str::format_smolstr!("{number}"), node.span)),
            _ => {
                wrong_type(node, "text", out);
                None
            }
        }
    }

    fn stand_in(span: Span) -> Self {
        Self::at("", span)
    }
}

/// A map with keys of the author's choice, in order.
#[derive(Clone, Debug)]
pub struct Map<T>(pub Vec<(Text, T)>);

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: FromNode> FromNode for Map<T> {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        let entries = entries(node, "a map", out)?;
        Some(Self(
            entries
                .iter()
                .map(|entry| {
                    let value = T::from_node(&entry.value, out);
                    (entry.key.clone(), value.unwrap_or_else(|| T::stand_in(entry.value.span)))
                })
                .collect(),
        ))
    }

    fn stand_in(_: Span) -> Self {
        Self::default()
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl<T> Map<T> {
    /// The value of that key.
    pub fn get(&self, key: &str) -> Option<&T> {
        self.0.iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.value.as_str())
    }
}

impl<T: JsonSchema> JsonSchema for Map<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({"type": "object", "additionalProperties": value})
    }
}

macro_rules! leaf_schema {
    ($($name:ty, $called:literal, $schema:tt;)+) => {$(
        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                $called.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

leaf_schema! {
    Text, "Text", {"type": ["string", "number"]};
    Raw, "Value", {};
    Flag, "Flag", {"type": "boolean"};
    Count, "Count", {"type": "integer", "minimum": 0};
    Duration, "Duration", {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"};
    Rate, "Rate", {"type": "string", "pattern": "^([0-9]+/([0-9]+)?(s|m|h)|unlimited)$"};
    Decoding, "Decoding", {"anyOf": [
        {"enum": ["json", "form", "xml", "multipart", "text", "none"]},
        {"type": ["string", "object", "array"]},
    ]};
    Size, "Size", {"type": ["string", "integer"], "pattern": "^[0-9]+(B|KB|MB|GB)$"};
    Docs, "Docs", {"type": ["string", "array"], "items": {"type": "string"}};
}

/// A value as the file has it; `compile` turns it into a template or condition.
#[derive(Clone, Debug)]
pub struct Raw(pub Node);

impl FromNode for Raw {
    fn from_node(node: &Node, _: &mut Diagnostics) -> Option<Self> {
        Some(Self(node.clone()))
    }

    fn stand_in(span: Span) -> Self {
        Self(Node { span, kind: Kind::Null })
    }
}

/// How a body is read, as the file has it.
#[derive(Clone, Debug)]
pub struct Decoding(pub Node);

impl FromNode for Decoding {
    fn from_node(node: &Node, _: &mut Diagnostics) -> Option<Self> {
        Some(Self(node.clone()))
    }

    fn stand_in(span: Span) -> Self {
        Self(Node { span, kind: Kind::Null })
    }
}

/// True or false.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flag(pub bool);

impl FromNode for Flag {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        if let Kind::Bool(truth) = node.kind {
            return Some(Self(truth));
        }
        let meant = node.as_text().and_then(|text| match text.value.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Some(true),
            "false" | "no" | "off" | "n" => Some(false),
            _ => None,
        });
        match meant {
            Some(truth) => {
                let message = format!("expected true or false, found {}", node.kind_name());
                let problem = Diagnostic::new(Code::WrongType, node.span, message);
                let problem = problem.label("YAML 1.2 reads this as text");
                out.push(problem.fix(node.span, truth.to_string(), format!("write `{truth}`")));
            }
            None => wrong_type(node, "true or false", out),
        }
        meant.map(Self)
    }

    fn stand_in(_: Span) -> Self {
        Self(false)
    }
}

/// A whole number from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u64);

impl FromNode for Count {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        match node.kind {
            Kind::Int(number) if u64::try_from(number).is_ok() => u64::try_from(number).ok().map(Self),
            Kind::Int(_) => {
                out.push(Diagnostic::new(Code::InvalidValue, node.span, "a whole number from 0 is expected"));
                None
            }
            _ => {
                let number = node.as_text().and_then(|text| text.value.parse::<u64>().ok());
                match number {
                    Some(number) => {
                        let problem = Diagnostic::new(
                            Code::WrongType,
                            node.span,
                            "expected a whole number, found text",
                        );
                        let problem = problem.label("quotes make it text");
                        out.push(problem.fix(node.span, number.to_string(), "leave the quotes out"));
                    }
                    None => wrong_type(node, "a whole number", out),
                }
                number.map(Self)
            }
        }
    }

    fn stand_in(_: Span) -> Self {
        Self(0)
    }
}

/// A length of time: `500ms`, `30s`, `5m`, `24h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub StdDuration);

impl Duration {
    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = text.get(..digits)?.parse().ok()?;
        let seconds = match text.get(digits..)? {
            "ms" => return Some(Self(StdDuration::from_millis(number))),
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return None,
        };
        number.checked_mul(seconds).map(|seconds| Self(StdDuration::from_secs(seconds)))
    }
}

impl FromNode for Duration {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        let parsed = node.as_text().and_then(|text| Self::parse(&text.value));
        if parsed.is_none() {
            let problem = Diagnostic::new(Code::InvalidValue, node.span, "this is not a length of time");
            out.push(problem.help("write a number and its unit: `500ms`, `30s`, `5m`, `24h`, `7d`"));
        }
        parsed
    }

    fn stand_in(_: Span) -> Self {
        Self(StdDuration::ZERO)
    }
}

/// How often something may happen: `20/s`, `100/m`, `3/10s`, or `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// At most that often in any such length of time.
    Limited {
        /// How often.
        count: u32,
        /// In which time.
        per: StdDuration,
    },
    /// As often as possible.
    Unlimited,
}

impl Rate {
    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        if text.trim() == "unlimited" {
            return Some(Self::Unlimited);
        }
        let (count, per) = text.trim().split_once('/')?;
        let per =
            if per.starts_with(|c: char| c.is_ascii_digit()) { per.to_string() } else { format!("1{per}") };
        let count = count.trim().parse().ok().filter(|count| *count > 0)?;
        let per = Duration::parse(&per)?.0;
        (!per.is_zero()).then_some(Self::Limited { count, per })
    }
}

impl FromNode for Rate {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        let parsed = node.as_text().and_then(|text| Self::parse(&text.value));
        if parsed.is_none() {
            let problem = Diagnostic::new(Code::InvalidValue, node.span, "this is not a rate");
            out.push(
                problem.help("write how often and in which time: `20/s`, `100/m`, `3/10s`, or `unlimited`"),
            );
        }
        parsed
    }

    fn stand_in(_: Span) -> Self {
        Self::Unlimited
    }
}

/// How many bytes: `100MB`, `500KB`, or a number of bytes. Units are powers of 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Size {
    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at_checked(digits)?;
        let unit = match unit {
            "" | "B" => 1,
            "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(unit).map(Self)
    }
}

impl FromNode for Size {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        let parsed = match node.kind {
            Kind::Int(number) => u64::try_from(number).ok().map(Self),
            _ => node.as_text().and_then(|text| Self::parse(&text.value)),
        };
        if parsed.is_none() {
            let problem = Diagnostic::new(Code::InvalidValue, node.span, "this is not a size");
            out.push(problem.help("write a number and its unit: `500KB`, `5MB`, `1GB`"));
        }
        parsed
    }

    fn stand_in(_: Span) -> Self {
        Self(0)
    }
}

/// One URL or several.
#[derive(Clone, Debug)]
pub struct Docs(pub Vec<Text>);

impl FromNode for Docs {
    fn from_node(node: &Node, out: &mut Diagnostics) -> Option<Self> {
        match node.as_list() {
            Some(items) => Some(Self(items.iter().filter_map(|item| Text::from_node(item, out)).collect())),
            None => Text::from_node(node, out).map(|text| Self(vec![text])),
        }
    }

    fn stand_in(_: Span) -> Self {
        Self(Vec::new())
    }
}
