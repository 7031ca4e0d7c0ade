//! What an event is made of.

use crate::compile::Compiler;
use crate::compile::value::is_path;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Names, Template, Value};
use crate::message::{EventKind, IdOwner};
use crate::plan::{ContactMember, Emission, Emit};
use crate::spec::{self, Raw};
use crate::yaml::Node;

/// The statuses that a mapping may say; `retry` is no news, as the provider will try again.
const STATUSES: &[&str] = &["sent", "delivered", "read", "failed", "retry"];

impl Compiler<'_> {
    pub(super) fn emission(&mut self, rule: &spec::Rule, emit: Emit, names: &Names) -> Emission {
        let kind = match emit {
            Emit::Message => EventKind::Message,
            Emit::MessageEcho => EventKind::MessageEcho,
            Emit::MessageStatus => EventKind::MessageStatus,
            Emit::OptOut => EventKind::OptOut,
            Emit::Contact => EventKind::Contact,
            Emit::Event => EventKind::Event,
        };
        let is_message = matches!(kind, EventKind::Message | EventKind::MessageEcho);
        let is_status = kind == EventKind::MessageStatus;
        let mut missing = |key: &str| {
            if rule.shape.is_unread(key) {
                return;
            }
            let message = format!("`emit: {}` needs `{key}`", emit.as_str());
            let span = rule.shape.value("emit", rule.span.at_start());
            self.out
                .push(Diagnostic::new(Code::MissingKey, span, message).label(format!("`{key}` is missing")));
        };
        if rule.id.is_none() && rule.up_to.is_none() && (is_message || is_status || rule.as_text.is_some()) {
            missing("id");
        }
        let names_nobody =
            (is_status && rule.up_to.is_none()) || (kind == EventKind::Event && rule.as_text.is_none());
        if rule.contact.is_none() && !names_nobody {
            missing("contact");
        }
        if is_status && rule.status.is_none() {
            missing("status");
        }
        if is_message && rule.text.is_none() && rule.attachments.is_none() && rule.location.is_none() {
            let message = format!("`emit: {}` says nothing", emit.as_str());
            let span = rule.shape.value("emit", rule.span.at_start());
            let problem = Diagnostic::new(Code::MissingKey, span, message);
            self.out.push(problem.help("add `text:`, `attachments:` or `location:`"));
        }
        for (given, key, fits) in [
            (&rule.text, "text", is_message),
            (&rule.attachments, "attachments", is_message),
            (&rule.location, "location", is_message),
            (&rule.status, "status", is_status),
            (&rule.error, "error", is_status),
            (&rule.as_text, "as_text", !is_message && !is_status),
            (&rule.up_to, "up_to", is_status),
            (&rule.unless_sent, "unless_sent", is_message),
        ] {
            if let (Some(raw), false) = (given, fits) {
                let message = format!("`{key}` means nothing for `emit: {}`", emit.as_str());
                let problem = Diagnostic::new(Code::UnknownKey, rule.shape.key(key, raw.0.span), message);
                let emits = rule.shape.value("emit", rule.span);
                self.out.push(problem.label("not known here").secondary(emits, "because of this"));
            }
        }
        if let Some(status) = &rule.status {
            self.statuses(&status.0);
        }
        for (raw, keys, called) in [
            (&rule.location, &["latitude", "longitude", "name", "address"][..], "a location"),
            (&rule.error, &["code", "message"][..], "an error"),
        ] {
            if let Some(raw) = raw {
                self.members(&raw.0, keys, called);
            }
        }
        if let Some(raw) = &rule.attachments {
            self.attachments(&raw.0);
        }
        self.one_of_id_and_up_to(rule);
        // What is put together must be known when it comes.
        let later = if rule.collect.is_some() { names.prompt() } else { names.later() };
        let (id, id_owner) = self.event_id(rule.id.as_ref(), names);
        let mut made = |raw: &Option<Raw>, names: &Names| raw.as_ref().map(|raw| self.value(&raw.0, names));
        Emission {
            kind,
            id,
            id_owner,
            timestamp: made(&rule.timestamp, names),
            text: made(&rule.text, &later),
            attachments: made(&rule.attachments, &later).map(|list| list.postponing("url")),
            location: made(&rule.location, &later),
            status: made(&rule.status, names),
            error: made(&rule.error, names),
            as_text: made(&rule.as_text, &later),
            up_to: made(&rule.up_to, names),
            unless_sent: made(&rule.unless_sent, names),
            contact: rule.contact.as_ref().map_or_else(Vec::new, |it| self.contact(it, names, &later)),
            delay: self.delay(rule, is_message),
            collect: self.collect(rule, kind, names),
            late: later.reads_late(),
        }
    }

    fn event_id(&mut self, id: Option<&Raw>, names: &Names) -> (Template, IdOwner) {
        let Some(Raw(node)) = id else { return (Template::Literal(Value::Null), IdOwner::Provider) };
        match node.entry("own") {
            Some(own) if node.as_map().is_some_and(|entries| entries.len() == 1) => {
                (self.value(&own.value, names), IdOwner::Own)
            }
            _ => (self.value(node, names), IdOwner::Provider),
        }
    }

    pub(super) fn contact(
        &mut self,
        contact: &spec::ContactSpec,
        names: &Names,
        later: &Names,
    ) -> Vec<(ContactMember, Template)> {
        let mut members = vec![(ContactMember::Id, self.value(&contact.id.0, names))];
        for (member, raw) in [
            (ContactMember::Name, &contact.name),
            (ContactMember::FirstName, &contact.first_name),
            (ContactMember::LastName, &contact.last_name),
            (ContactMember::Avatar, &contact.avatar),
            (ContactMember::Country, &contact.country),
            (ContactMember::Email, &contact.email),
            (ContactMember::Phone, &contact.phone),
            (ContactMember::Language, &contact.language),
            (ContactMember::Locale, &contact.locale),
            (ContactMember::Timezone, &contact.timezone),
        ] {
            if let Some(raw) = raw {
                members.push((member, self.value(&raw.0, later)));
            }
        }
        members
    }

    /// The keys of attachments that are written out.
    fn attachments(&mut self, node: &Node) {
        const KEYS: &[&str] = &["url", "type", "mime", "name", "caption"];
        if let Some(items) = node.as_list() {
            items.iter().for_each(|item| self.attachments(item));
        } else if let Some(body) = node.get("$do") {
            self.attachments(body);
        } else {
            node.get("url").iter().for_each(|url| self.postponed_calls(url));
            self.members(node, KEYS, "an attachment");
        }
    }

    /// The keys of a map that is written out, where it is one.
    fn members(&mut self, node: &Node, keys: &[&'static str], called: &str) {
        let Some(entries) = node.as_map() else { return };
        if entries.iter().all(|entry| !entry.key.value.starts_with('$')) {
            crate::spec::unknown_keys(entries, keys, called, self.out);
        }
    }

    /// Every status that a value can be must be one.
    fn statuses(&mut self, node: &Node) {
        if let Some(text) = node.as_text() {
            let word = text.value.as_str();
            if !STATUSES.contains(&word) && !is_path(word) && !word.contains("{{") {
                let problem =
                    Diagnostic::new(Code::UnknownStatus, node.span, format!("`{word}` is not a status"));
                let problem = problem.label("unknown status").did_you_mean(word, STATUSES.iter().copied());
                self.out.push(match problem.fix {
                    Some(_) => problem,
                    None => problem
                        .help("the statuses are `sent`, `delivered`, `read`, `failed`, and `retry` or null for no news"),
                });
            }
            return;
        }
        if !node.is_null() && node.as_map().is_none() {
            let message = format!("a status is text, not {}", node.kind_name());
            self.out.push(Diagnostic::new(Code::UnknownStatus, node.span, message).help(
                "the statuses are `sent`, `delivered`, `read`, `failed`, and `retry` or null for no news",
            ));
            return;
        }
        if let Some(items) = node.get("$first").and_then(Node::as_list) {
            items.iter().for_each(|item| self.statuses(item));
        }
        if let Some(name) = node.get("$table").and_then(Node::as_text) {
            let table = self.tables.as_ref().and_then(|tables| tables.get(&name.value));
            let rows = table.map(|table| table.rows.clone()).unwrap_or_default();
            rows.iter().for_each(|row| self.statuses(row));
        }
        let branches = node.as_map().unwrap_or_default().iter().filter(|entry| {
            let key = entry.key.value.as_str();
            matches!(key, "$then" | "$else" | "$default")
                || (node.get("$switch").is_some() && key != "$switch")
        });
        for branch in branches {
            self.statuses(&branch.value);
        }
    }
}
