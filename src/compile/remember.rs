//! Memory: what is remembered, consumed, waited for and put together.

use std::time::Duration;

use smol_str::SmolStr;

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Names, Remembered};
use crate::message::EventKind;
use crate::plan::{Collect, Memo, Memos, Owner};
use crate::spec::{self, FromNode, Map, Raw};
use crate::yaml::{Kind, Node, Text};

/// The longest name, in bytes.
const LONGEST_NAME: usize = 64;
/// The longest that an event may wait, since what the contact says next waits behind it.
const LONGEST_DELAY: Duration = Duration::from_hours(1);
/// How long the first piece of a message waits for the others.
const TTL: Duration = Duration::from_mins(5);

/// The names that a mapping remembers anywhere, as `contact.NAME`.
pub(super) fn names_of(root: &Node) -> Remembered {
    fn find(node: &Node, found: &mut Vec<SmolStr>) {
        match &node.kind {
            Kind::List(items) => items.iter().for_each(|item| find(item, found)),
            Kind::Map(entries) => {
                for entry in entries {
                    if entry.key.value == "remember" {
                        let written = entry.value.as_map().unwrap_or_default().iter();
                        found.extend(written.map(|entry| entry.key.value.clone()));
                    }
                    find(&entry.value, found);
                }
            }
            _ => {}
        }
    }
    let mut names = Vec::new();
    find(root, &mut names);
    Remembered { names: names.into(), ..Remembered::default() }
}

impl Compiler<'_> {
    /// What a rule remembers. It is written while the provider waits, so it must be known at once.
    pub(super) fn rule_memos(&mut self, rule: &spec::Rule, names: &Names) -> Option<Box<Memos>> {
        if rule.remember.0.is_empty() {
            return None;
        }
        let memos = self.memos(&rule.remember, names);
        let of_contact = rule.remember.0.iter().find(|(name, _)| name.value.starts_with("contact."));
        if let (Some((name, _)), None) = (of_contact, &rule.contact)
            && !rule.shape.is_unread("contact")
        {
            let message = format!("`{}` needs `contact`", name.value);
            let problem = Diagnostic::new(Code::MissingKey, name.span, message).label("whose is it?");
            self.out.push(problem.help("add `contact: {id: ..}` to this rule"));
        }
        let contact = of_contact.and(rule.contact.as_ref());
        let contact = contact.map(|contact| self.value(&contact.id.0, names));
        Some(Box::new(Memos { contact, memos }))
    }

    /// `contact.NAME: VALUE`, or `contact.NAME: {value: VALUE, ttl: 50s}`.
    pub(super) fn memos(&mut self, map: &Map<Raw>, names: &Names) -> Vec<Memo> {
        let mut memos = Vec::new();
        for (name, Raw(node)) in &map.0 {
            let (value, ttl) = self.memo_value(node);
            let value = self.value(value, names);
            if let Some((owner, name)) = self.memory_name(name) {
                memos.push(Memo { owner, name, value, ttl });
            }
        }
        memos
    }

    /// The value of a memo and how long it is kept. A map of other keys is a value itself.
    fn memo_value<'n>(&mut self, node: &'n Node) -> (&'n Node, Option<Duration>) {
        let entries = node.as_map().unwrap_or_default();
        let own = |key: &str| matches!(key, "value" | "ttl");
        if entries.is_empty() || !entries.iter().all(|entry| own(&entry.key.value)) {
            return (node, None);
        }
        let ttl = node.get("ttl").and_then(|ttl| spec::Duration::from_node(ttl, self.out));
        let Some(value) = node.get("value") else {
            self.out.push(Diagnostic::new(Code::MissingKey, node.span, "`ttl` without `value`"));
            return (node, None);
        };
        (value, ttl.map(|ttl| ttl.0))
    }

    /// What a step forgets.
    pub(super) fn consume(&mut self, names: &[Text]) -> Vec<(Owner, SmolStr)> {
        let mut consumed = Vec::new();
        for name in names {
            let Some(found) = self.memory_name(name) else { continue };
            if !self.memory.names.contains(&name.value) {
                let message = format!("nothing remembers `{}`", name.value);
                let problem = Diagnostic::new(Code::UnknownName, name.span, message).label("never written");
                let known = self.memory.names.iter().map(SmolStr::as_str);
                self.out.push(problem.did_you_mean(&name.value, known));
            }
            consumed.push(found);
        }
        consumed
    }

    fn memory_name(&mut self, text: &Text) -> Option<(Owner, SmolStr)> {
        let (owner, name) = text.value.split_once('.').unwrap_or(("", &text.value));
        let owner = match owner {
            "contact" => Some(Owner::Contact),
            "channel" => Some(Owner::Channel),
            _ => None,
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let sound = !name.is_empty() && name.len() <= LONGEST_NAME && name.chars().all(fits);
        match owner.filter(|_| sound) {
            Some(owner) => Some((owner, SmolStr::new(name))),
            None => {
                let message = format!("`{}` is not the name of a memory", text.value);
                let problem = Diagnostic::new(Code::InvalidValue, text.span, message);
                self.out.push(problem.help(format!(
                    "it is `contact.NAME` or `channel.NAME`, with at most {LONGEST_NAME} letters, digits and `_`"
                )));
                None
            }
        }
    }

    /// What says how an event is delivered in a rule that makes none; says whether it told that there is some.
    pub(super) fn waits_for_nothing(&mut self, rule: &spec::Rule) -> bool {
        let mut told = false;
        for (given, key) in [(rule.delay.is_some(), "delay"), (rule.collect.is_some(), "collect")] {
            if given && !rule.shape.is_unread("emit") {
                told = true;
                let span = rule.shape.key(key, rule.span);
                let problem = Diagnostic::new(Code::MissingKey, span, format!("`{key}` without `emit`"));
                self.out.push(problem.label("a rule that emits nothing has none").help("add `emit:`"));
            }
        }
        told
    }

    /// A status is about one message or about many.
    pub(super) fn one_of_id_and_up_to(&mut self, rule: &spec::Rule) {
        if let (Some(_), Some(up_to)) = (&rule.id, &rule.up_to) {
            let span = rule.shape.key("up_to", up_to.0.span);
            let problem = Diagnostic::new(Code::InvalidValue, span, "`up_to` stands instead of `id`");
            let problem = problem.secondary(rule.shape.key("id", rule.span), "the id of one message");
            self.out.push(problem.help("keep one of them"));
        }
    }

    /// How long an event waits.
    pub(super) fn delay(&mut self, rule: &spec::Rule, is_message: bool) -> Duration {
        let Some(spec::Duration(delay)) = rule.delay else { return Duration::ZERO };
        let span = rule.shape.key("delay", rule.span);
        if !is_message && rule.as_text.is_none() {
            let problem = Diagnostic::new(Code::UnknownKey, span, "`delay` is for what the agent reads");
            self.out.push(problem.label("not known here"));
        }
        if delay > LONGEST_DELAY {
            let span = rule.shape.value("delay", rule.span);
            let problem = Diagnostic::new(Code::InvalidValue, span, "an event waits for 1h at most");
            self.out.push(problem.label("what the contact says next would wait behind it"));
        }
        delay
    }

    /// How a rule's pieces are put together.
    pub(super) fn collect(&mut self, rule: &spec::Rule, kind: EventKind, names: &Names) -> Option<Collect> {
        let collect = rule.collect.as_ref()?;
        if kind != EventKind::Message {
            let span = rule.shape.key("collect", collect.span);
            let problem = Diagnostic::new(Code::UnknownKey, span, "`collect` is for `emit: message`");
            self.out.push(problem.label("not known here"));
        }
        Some(Collect {
            when: self.optional_condition(collect.when.as_ref(), names),
            key: self.value(&collect.key.0, names),
            index: self.value(&collect.index.0, names),
            total: self.value(&collect.total.0, names),
            ttl: collect.ttl.map_or(TTL, |ttl| ttl.0),
        })
    }
}
