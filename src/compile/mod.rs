//! Spec to plan: the only place that judges a mapping.
//!
//! Every problem is reported in one run; a part that can't be compiled is left out of the plan, and a plan
//! with errors is not handed out.

mod call;
mod condition;
mod fetch;
mod lets;
mod life;
mod oauth2;
mod parts;
mod remember;
mod request;
mod send;
mod set;
mod unused;
mod value;
mod webhook;

use std::collections::HashMap;
use std::sync::Arc;

use smol_str::SmolStr;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span};
use crate::expression::{Constant, Declared, Names, Read, Remembered, Scope, Table, Value};
use crate::plan::{
    self, Branch, Breaker, ConfigField, ConfigType, Limits, PerCredential, Plan, Quota, Rate, Retry,
};
use crate::spec::{self, FromNode, Map};
use crate::yaml::{Node, Text};

use call::Calls;
use life::Polls;

/// The newest version of the mapping format.
const VERSION: u64 = 1;

/// Compiles a mapping from its tree. None means that there are errors in `out`.
pub fn mapping(node: &Node, out: &mut Diagnostics) -> Option<Plan> {
    let mut found = Diagnostics::new();
    let spec = spec::Mapping::from_node(node, &mut found);
    let plan = spec.map(|spec| {
        let mut compiler = Compiler::new(&spec, node, &mut found);
        let plan = compiler.mapping(&spec);
        compiler.unused(node);
        plan
    });
    let sound = !found.has_errors();
    out.extend(found);
    plan.filter(|_| sound)
}

/// Compiles one mapping.
struct Compiler<'o> {
    out: &'o mut Diagnostics,
    /// None: they could not be read, so no table can be called unknown.
    tables: Option<HashMap<SmolStr, TableRows>>,
    config: Option<Vec<Declared>>,
    deployment: Option<Vec<Declared>>,
    /// None: they could not be read, so no call can be called unknown.
    calls: Option<Calls>,
    /// The calls that fetch tokens of OAuth 2.0, each with the place of its `oauth2`.
    tokens: Vec<(Span, plan::Call)>,
    /// None: they could not be read, so no poll can be called unknown.
    polls: Option<Polls>,
    address: bool,
    memory: Remembered,
    /// None: they could not be read, so no name can be called unknown.
    constants: Option<Vec<Constant>>,
    /// The largest file that a request may hold, in bytes.
    media: u64,
    /// Which headers of a response say how many requests remain.
    quota: Option<Arc<Quota>>,
    /// What the author named, in the order of the file.
    named: Vec<Named>,
    /// The branches of operators that were compiled.
    branches: Vec<Branch>,
}

/// A table and the nodes that its rows come from.
struct TableRows {
    table: Arc<Table>,
    rows: Vec<Node>,
    read: Read,
}

/// Something that the author gave a name.
struct Named {
    what: &'static str,
    name: Text,
    read: Read,
}

impl<'o> Compiler<'o> {
    fn new(spec: &spec::Mapping, node: &Node, out: &'o mut Diagnostics) -> Self {
        let mut named = Vec::new();
        let mut declared = |map: &Map<spec::ConfigItem>, key: &str, what: &'static str| {
            let names = map.0.iter().map(|(name, item)| {
                let read = Read::default();
                if item.address.is_some_and(|flag| flag.0) {
                    read.mark(); // it is `channel.address`
                }
                named.push(Named { what, name: name.clone(), read: read.clone() });
                (name.value.clone(), read)
            });
            let names: Vec<Declared> = names.collect();
            (!spec.shape.is_unread(key)).then_some(names)
        };
        let config = declared(&spec.config, "config", "config item");
        let deployment = declared(&spec.deployment, "deployment", "deployment item");
        let mut tables = HashMap::new();
        for (name, rows) in &spec.tables.0 {
            let read = Read::default();
            named.push(Named { what: "table", name: name.clone(), read: read.clone() });
            let values = rows.0.iter().map(|(_, row)| row.0.clone()).collect();
            let table = TableRows { table: Arc::new(table(rows)), rows: values, read };
            tables.insert(name.value.clone(), table);
        }
        let memory = remember::names_of(node);
        let calls = Calls::of(spec, node, &mut named);
        let polls = Polls::of(spec, &mut named);
        Self {
            out,
            calls: (!spec.shape.is_unread("calls")).then_some(calls),
            tokens: Vec::new(),
            polls: (!spec.shape.is_unread("poll")).then_some(polls),
            tables: (!spec.shape.is_unread("tables")).then_some(tables),
            config,
            deployment,
            memory,
            address: spec.shape.is_unread("config")
                || spec.config.0.iter().any(|(_, item)| item.address.is_some_and(|flag| flag.0)),
            constants: Some(Vec::new()),
            media: mapping_limits(spec.limits.as_ref()).media,
            quota: None,
            named,
            branches: Vec::new(),
        }
    }

    fn mapping(&mut self, spec: &spec::Mapping) -> Plan {
        if spec.patchcord.0 != VERSION && !spec.shape.is_unread("patchcord") {
            let span = spec.shape.value("patchcord", spec.span);
            let message =
                format!("this program knows version {VERSION} of the format, not {}", spec.patchcord.0);
            let problem = Diagnostic::new(Code::InvalidValue, span, message).label("unknown version");
            self.out.push(problem.fix(span, VERSION.to_string(), format!("write `patchcord: {VERSION}`")));
        }
        self.set(spec);
        self.quota = self.quota(spec.limits.as_ref());
        self.defaults(spec);
        let calls = self.calls(spec);
        let webhooks = self.webhooks(spec);
        let send = spec.send.as_ref().and_then(|send| self.send(spec, send));
        let fetch = self.fetch(spec);
        let life = self.life(spec);
        let tokens = std::mem::take(&mut self.tokens).into_iter().map(|(_, call)| call);
        Plan {
            name: spec.name.value.clone(),
            title: spec
                .title
                .as_ref()
                .map_or_else(|| spec.name.value.to_string(), |title| title.value.to_string()),
            docs: spec.docs.iter().flat_map(|docs| &docs.0).map(|url| url.value.to_string()).collect(),
            contact_id: spec.contact_id,
            config: self.fields(&spec.config),
            deployment: self.fields(&spec.deployment),
            calls: calls.into_iter().chain(tokens).collect(),
            reads_store: self.memory.read.is_read(),
            webhooks,
            send,
            fetch,
            life,
            branches: std::mem::take(&mut self.branches),
            limits: mapping_limits(spec.limits.as_ref()),
            per_credential: self.per_credential(spec.limits.as_ref()),
            retry: retry(spec.retry.as_ref(), Retry::default()),
        }
    }

    fn fields(&mut self, map: &Map<spec::ConfigItem>) -> Vec<ConfigField> {
        let mut address: Option<&Text> = None;
        let mut fields = Vec::new();
        for (name, item) in &map.0 {
            let is_address = item.address.is_some_and(|flag| flag.0);
            if is_address {
                if let Some(first) = address {
                    let problem = Diagnostic::new(
                        Code::InvalidValue,
                        name.span,
                        "a second item is the channel's address",
                    );
                    self.out.push(problem.secondary(first.span, "the first"));
                }
                address = Some(name);
            }
            let field = ConfigField {
                name: name.value.clone(),
                required: item.required.is_some_and(|flag| flag.0),
                secret: item.secret.is_some_and(|flag| flag.0),
                address: is_address,
                kind: item.r#type.unwrap_or(ConfigType::Text),
                allowed: item.r#enum.iter().flatten().map(|text| text.value.clone()).collect(),
                default: item.default.as_ref().map_or(Value::Null, |raw| raw.0.to_value()),
            };
            if let (Some(raw), Some(message)) = (&item.default, field.refuses(&field.default)) {
                self.out.push(Diagnostic::new(Code::InvalidValue, raw.0.span, message));
            }
            fields.push(field);
        }
        fields
    }

    fn per_credential(&mut self, limits: Option<&spec::Limits>) -> Option<PerCredential> {
        let spec = limits?.per_credential.as_ref()?;
        let names = self
            .names(&[Scope::Channel, Scope::Config, Scope::Deployment])
            .without_calls("a limit holds before anything is asked");
        Some(PerCredential { key: self.value(&spec.key.0, &names), rate: rate(spec.rate) })
    }

    /// The names that are visible with the given scopes.
    fn names(&self, scopes: &[Scope]) -> Names {
        Names::of(scopes)
            .declare(self.config.clone(), self.deployment.clone())
            .constants(self.constants.clone())
            .remembering(self.memory.clone())
    }
}

fn table(rows: &Map<spec::Raw>) -> Table {
    let mut otherwise = Value::Null;
    let mut made = Vec::new();
    for (key, row) in &rows.0 {
        let value = row.0.to_value();
        if key.value == "$default" {
            otherwise = value;
        } else {
            made.push((crate::expression::Pattern::parse(&key.value), value));
        }
    }
    Table::new(made, otherwise)
}

/// The limits of a mapping.
fn mapping_limits(spec: Option<&spec::Limits>) -> Limits {
    let base = Limits::default();
    let Some(spec) = spec else { return base };
    Limits {
        rate: spec.rate.map_or(base.rate, rate),
        per_contact: spec.per_contact.map_or(base.per_contact, rate),
        in_flight: spec.in_flight.map_or(base.in_flight, in_flight),
        conversation: spec.conversation.map_or(base.conversation, |duration| duration.0),
        timeout: spec.timeout.map_or(base.timeout, |timeout| timeout.0),
        media: spec.media.map_or(base.media, |media| media.0),
    }
}

/// The limits of a channel, over those of its mapping.
pub fn channel_limits(spec: Option<&spec::ChannelLimits>, base: Limits) -> Limits {
    let Some(spec) = spec else { return base };
    Limits {
        rate: spec.rate.map_or(base.rate, rate),
        per_contact: spec.per_contact.map_or(base.per_contact, rate),
        in_flight: spec.in_flight.map_or(base.in_flight, in_flight),
        conversation: spec.conversation.map_or(base.conversation, |duration| duration.0),
        timeout: spec.timeout.map_or(base.timeout, |timeout| timeout.0),
        media: base.media,
    }
}

/// How many requests may be under way: at least one.
fn in_flight(count: spec::Count) -> usize {
    usize::try_from(count.0).unwrap_or(usize::MAX).max(1)
}

/// The retry policy that a file gives, over the one that holds without it.
pub fn retry(spec: Option<&spec::Retry>, base: Retry) -> Retry {
    let Some(spec) = spec else { return base };
    Retry {
        attempts: spec.attempts.map_or(base.attempts, |count| u32::try_from(count.0).ok()),
        first: spec.first.map_or(base.first, |duration| duration.0),
        max: spec.max.map_or(base.max, |duration| duration.0),
        give_up_after: spec.give_up_after.map_or(base.give_up_after, |duration| duration.0),
        in_doubt: spec.in_doubt.unwrap_or(base.in_doubt),
        breaker: breaker(spec.breaker.as_ref(), base.breaker),
    }
}

/// The breaker that a file gives, over the one that holds without it.
fn breaker(spec: Option<&spec::Breaker>, base: Breaker) -> Breaker {
    let Some(spec) = spec else { return base };
    Breaker {
        failures: spec.failures.map_or(base.failures, |count| u32::try_from(count.0).unwrap_or(u32::MAX)),
        pause: spec.pause.map_or(base.pause, |duration| duration.0),
        max: spec.max.map_or(base.max, |duration| duration.0),
    }
}

/// The rate that a file gives.
pub fn rate(rate: spec::Rate) -> Rate {
    match rate {
        spec::Rate::Limited { count, per } => Rate::Limited { count, per },
        spec::Rate::Unlimited => Rate::Unlimited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::{self, Sources};
    use crate::yaml;

    #[test]
    fn every_shipped_mapping_compiles_without_a_problem() {
        for path in glob("mappings") {
            let mut sources = Sources::new();
            let text = std::fs::read_to_string(&path).unwrap();
            if text.contains("\nextends:") {
                continue; // it is whole only with the one that it extends: `tests/rules` checks those
            }
            let file = sources.add(&path, text);
            let mut out = Diagnostics::new();
            let plan = yaml::parse(file, &sources, &mut out).and_then(|node| mapping(&node, &mut out));
            assert!(out.is_empty() && plan.is_some(), "{}", diagnostic::text(&out, &sources, false));
        }
    }

    fn glob(folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let yaml = entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
        let files = yaml.filter_map(|path| path.to_str().map(str::to_string));
        let mut files: Vec<_> = files.filter(|path| !path.contains(".test.")).collect();
        files.sort();
        assert!(!files.is_empty());
        files
    }
}
