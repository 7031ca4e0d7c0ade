//! Rules: for which nodes they are, and what becomes of those.

use crate::compile::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Condition, Names, Scope, Template};
use crate::plan::{Lets, Rule};
use crate::spec::{self, Map, Raw};

impl Compiler<'_> {
    #[allow(clippy::type_complexity)] // the head of a rule, as it comes from two places
    pub(super) fn head(
        &mut self,
        (unique, when, lets, ignore): (&Option<Raw>, &Option<Raw>, &Map<Raw>, &Option<Raw>),
        names: &mut Names,
    ) -> (Option<Template>, Option<Condition>, Lets, Option<Condition>) {
        let unique = unique.as_ref().map(|raw| self.value(&raw.0, names));
        let when = self.optional_condition(when.as_ref(), names);
        let lets = self.lets(lets, names);
        let ignore = ignore.as_ref().map(|raw| self.condition(&raw.0, names));
        (unique, when, lets, ignore)
    }

    pub(in crate::compile) fn rule(&mut self, rule: &spec::Rule, outer: &Names) -> Rule {
        let each = rule.each.as_ref().map(|raw| self.value(&raw.0, outer));
        let mut names = outer.clone();
        if rule.shape.is_unread("let") {
            names.open();
        }
        let (unique, when, lets, ignore) =
            self.head((&rule.unique, &rule.when, &rule.r#let, &rule.ignore), &mut names);
        let mut told = false;
        let emit = match rule.emit {
            Some(emit) => Some(Box::new(self.emission(rule, emit, &names))),
            None => {
                told = self.without_emit(rule, &names);
                None
            }
        };
        let reply = rule.reply.as_ref().and_then(|raw| self.reply(&raw.0, &names)).map(Box::new);
        if let (Some(Raw(node)), true) = (&rule.reply, rule.emit.is_some() || !rule.events.is_empty()) {
            told = true;
            let span = rule.shape.key("reply", node.span);
            let problem = Diagnostic::new(Code::InvalidValue, span, "`reply` ends the request");
            let problem = problem.label("so this rule makes no events");
            self.out
                .push(problem.help("write a rule of its own; `ack` is the answer where there are events"));
        }
        let ack = rule.ack.as_ref().map(|ack| self.answer(ack, &names.with(&[Scope::Event]))).map(Box::new);
        if let (Some(ack), None, false) = (&rule.ack, rule.emit, rule.shape.is_unread("emit")) {
            told = true;
            let span = rule.shape.key("ack", ack.span);
            let problem = Diagnostic::new(Code::MissingKey, span, "`ack` without `emit`");
            let problem = problem.label("it answers what this rule emits");
            self.out.push(problem.help("add `emit:`, or write `reply:` to end the request"));
        }
        let poll = self.poke(rule, &names);
        let remember = self.rule_memos(rule, &names);
        let rules: Vec<Rule> = rule.events.iter().map(|inner| self.rule(inner, &names)).collect();
        let keys = ["emit", "poll", "ignore", "reply", "ack", "remember", "events"];
        let unread = keys.into_iter().any(|key| rule.shape.is_unread(key));
        let nothing = rule.emit.is_none()
            && rule.reply.is_none()
            && poll.is_none()
            && remember.is_none()
            && rules.is_empty()
            && ignore.is_none();
        if nothing && !unread && !told {
            let span = rule.shape.key("", rule.span.at_start());
            let problem = Diagnostic::new(Code::MissingKey, span, "this rule does nothing");
            self.out.push(problem.help("add `emit:`, `ignore:`, `reply:`, `remember:` or nested `events:`"));
        }
        let also = rule.also.is_some_and(|flag| flag.0);
        Rule { each, unique, when, lets, ignore, reply, emit, ack, poll, remember, also, rules }
    }

    /// The members of an event in a rule that makes none: they are judged all the same. Says whether it told
    /// that there are some.
    fn without_emit(&mut self, rule: &spec::Rule, names: &Names) -> bool {
        let members = [
            (&rule.id, "id"),
            (&rule.timestamp, "timestamp"),
            (&rule.text, "text"),
            (&rule.attachments, "attachments"),
            (&rule.location, "location"),
            (&rule.status, "status"),
            (&rule.error, "error"),
            (&rule.as_text, "as_text"),
            (&rule.unless_sent, "unless_sent"),
            (&rule.up_to, "up_to"),
        ];
        let mut told = false;
        for (raw, key) in members {
            let Some(raw) = raw else { continue };
            self.value(&raw.0, names);
            if !rule.shape.is_unread("emit") {
                told = true;
                let span = rule.shape.key(key, raw.0.span);
                let problem = Diagnostic::new(Code::MissingKey, span, format!("`{key}` without `emit`"));
                self.out.push(problem.label("a rule that emits nothing has none").help("add `emit:`"));
            }
        }
        if let Some(contact) = &rule.contact {
            self.contact(contact, names, &names.later());
        }
        told |= self.waits_for_nothing(rule);
        told
    }
}
