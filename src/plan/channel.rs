//! One channel: what its mapping sees of it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

use super::{ConfigField, ConfigType, Plan};
use crate::expression::{Map, Value, render_problem};

/// A channel's values, ready for a mapping's expressions.
#[derive(Clone)]
pub struct Channel {
    /// Its name in this installation.
    pub name: SmolStr,
    /// The mapping's `config`.
    pub config: Value,
    /// The mapping's `deployment`.
    pub deployment: Value,
    /// The scope `channel`.
    pub scope: Value,
    /// The values that must never be shown.
    secrets: Vec<SmolStr>,
}

/// What is shown of a secret.
const REDACTED: &str = "[redacted]";
/// The shortest secret that is looked for in texts, in bytes; a shorter one would be found in honest words.
const SHORTEST_SECRET: usize = 6;

/// What a channel is made from.
#[derive(Clone, Default)]
pub struct ChannelFacts {
    /// Its name in this installation.
    pub name: String,
    /// The platform's id of it.
    pub channel_id: String,
    /// Its address at the provider; the `config` item that is one, if empty.
    pub address: String,
    /// ISO 3166-1 alpha-2; may be empty.
    pub country: String,
    /// Where the gateway is reached.
    pub public_url: String,
    /// What was supplied for the mapping's `config`.
    pub config: Map,
    /// What was supplied for the mapping's `deployment`.
    pub deployment: Map,
}

/// What is wrong with what was supplied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadConfig {
    /// Whether it is about `deployment`, not `config`.
    pub deployment: bool,
    /// The key that is wrong or missing.
    pub key: SmolStr,
    /// Whether it was not supplied at all.
    pub missing: bool,
    /// What is wrong.
    pub message: String,
}

impl Channel {
    /// A channel of a mapping, with everything checked that the mapping declares.
    pub fn new(plan: &Plan, facts: &ChannelFacts) -> (Self, Vec<BadConfig>) {
        let mut problems = Vec::new();
        let config = fill(&plan.config, &facts.config, false, &mut problems);
        let deployment = fill(&plan.deployment, &facts.deployment, true, &mut problems);
        let named = plan.address().map(|name| config.get(name).to_text()).unwrap_or_default();
        let address = if facts.address.is_empty() { named } else { SmolStr::new(&facts.address) };
        let public_url = facts.public_url.trim_end_matches('/');
        let scope = Value::map([
            ("name", Value::text(&facts.name)),
            ("id", Value::text(&facts.channel_id)),
            ("address", Value::Text(address)),
            ("country", Value::text(&facts.country)),
            ("url", Value::from(format!("{public_url}/channels/{}", facts.name))),
            ("public_url", Value::text(public_url)),
        ]);
        let fields = plan.config.iter().map(|field| (field, &config));
        let fields = fields.chain(plan.deployment.iter().map(|field| (field, &deployment)));
        let secrets = fields
            .filter(|(field, _)| field.secret)
            .map(|(field, values)| values.get(&field.name).to_text())
            .filter(|secret| secret.len() >= SHORTEST_SECRET)
            .collect();
        (Self { name: SmolStr::new(&facts.name), config, deployment, scope, secrets }, problems)
    }

    /// A text without the channel's secrets, as they are or as they stand in a URL.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        for secret in &self.secrets {
            let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            for written in [secret.as_str(), encoded.as_str()] {
                if text.contains(written) {
                    text = Cow::Owned(text.replace(written, REDACTED));
                }
            }
        }
        text
    }

    /// Its address at the provider; may be empty.
    pub fn address(&self) -> SmolStr {
        self.scope.get("address").to_text()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its values hold secrets.
        f.debug_struct("Channel").field("name", &self.name).finish_non_exhaustive()
    }
}

fn fill(fields: &[ConfigField], given: &Map, deployment: bool, problems: &mut Vec<BadConfig>) -> Value {
    let mut bad = |key: &str, missing: bool, message: String| {
        problems.push(BadConfig { deployment, key: SmolStr::new(key), missing, message });
    };
    for (key, _) in given.iter() {
        if !fields.iter().any(|field| field.name == *key) {
            let known: Vec<_> = fields.iter().map(|field| format!("`{}`", field.name)).collect();
            let known = if known.is_empty() { "nothing".into() } else { known.join(", ") };
            bad(key, false, format!("the mapping declares no `{key}`; it declares {known}"));
        }
    }
    let mut filled = Map::new();
    for field in fields {
        let value = match given.get(&field.name) {
            Some(value) if !value.is_empty() => value.clone(),
            _ => field.default.clone(),
        };
        if value.is_empty() {
            if field.required {
                bad(&field.name, true, format!("the mapping requires `{}`", field.name));
            }
            filled.insert(field.name.clone(), Value::Null);
            continue;
        }
        if let Some(message) = field.refuses(&value) {
            bad(&field.name, false, message);
        }
        filled.insert(field.name.clone(), coerce(&value, field.kind).unwrap_or_default());
    }
    Value::Map(Arc::new(filled))
}

impl ConfigField {
    /// Why it can't have that value; an empty one is none.
    pub fn refuses(&self, value: &Value) -> Option<String> {
        if value.is_empty() {
            return None;
        }
        if !self.allowed.is_empty() && !self.allowed.contains(&value.to_text()) {
            let allowed: Vec<_> = self.allowed.iter().map(|text| format!("`{text}`")).collect();
            return Some(format!("`{}` must be one of {}", self.name, allowed.join(", ")));
        }
        if coerce(value, self.kind).is_some() {
            return None;
        }
        let why = Some(value).filter(|_| self.kind == ConfigType::Template).and_then(Value::as_text);
        let why = why.and_then(render_problem).map(|why| format!(": {why}")).unwrap_or_default();
        Some(format!("`{}` must be {}{why}", self.name, wanted(self.kind)))
    }
}

/// Values come from environment variables too, where everything is text.
fn coerce(value: &Value, kind: ConfigType) -> Option<Value> {
    let structured = |value: &Value| match value {
        Value::Text(text) => Value::from_json(text.as_bytes()).ok(),
        other => Some(other.clone()),
    };
    match kind {
        ConfigType::Text => match value {
            Value::List(_) | Value::Map(_) => None,
            other => Some(Value::Text(other.to_text())),
        },
        ConfigType::Url => url::Url::parse(&value.to_text()).ok().map(|_| Value::Text(value.to_text())),
        ConfigType::Bool => match value.to_text().as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        ConfigType::Int => value.to_int().map(Value::Int),
        ConfigType::Map => structured(value).filter(|value| value.as_map().is_some()),
        ConfigType::List => structured(value).filter(|value| value.as_list().is_some()),
        ConfigType::Json => structured(value),
        ConfigType::Template => {
            coerce(value, ConfigType::Text).filter(|text| render_problem(&text.to_text()).is_none())
        }
    }
}

fn wanted(kind: ConfigType) -> &'static str {
    match kind {
        ConfigType::Text => "text",
        ConfigType::Bool => "true or false",
        ConfigType::Int => "a whole number",
        ConfigType::Url => "a URL",
        ConfigType::Map => "a map",
        ConfigType::List => "a list",
        ConfigType::Json => "JSON",
        ConfigType::Template => "a template",
    }
}
