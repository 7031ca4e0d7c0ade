//! What the gateway does of its own accord: lifecycle, actions, polls, look-ups.

use std::time::Duration;

use smol_str::SmolStr;

use super::{Compiler, Named};
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Key, Names, Read, Scope, Template};
use crate::plan::{CallStep, Exchange, Life, LookUp, Poke, Poll, Rule};
use crate::spec::{self, Errands, FromNode, Map, Raw};
use crate::yaml::{Node, Text};

const LIFE: &[Scope] = &[Scope::Config, Scope::Deployment, Scope::Channel, Scope::Store];
/// How many pages a poll fetches at once.
const PAGES: u64 = 50;
/// How often a poll may be at most.
const OFTEN: Duration = Duration::from_secs(1);
/// How long what was looked up about a contact is good.
const PROFILE_TTL: Duration = Duration::from_hours(7 * 24);

/// What a contact's profile may say.
const PROFILE: &[&str] = &[
    "name",
    "first_name",
    "last_name",
    "avatar",
    "country",
    "email",
    "phone",
    "language",
    "locale",
    "timezone",
];

/// The polls of a mapping, before any of them is compiled.
pub(super) struct Polls(Vec<(SmolStr, Read)>);

impl Polls {
    /// A poll that has no `every` is only run where a rule asks for it.
    pub(super) fn of(spec: &spec::Mapping, named: &mut Vec<Named>) -> Self {
        let polls = spec.poll.0.iter().map(|(name, poll)| {
            let read = Read::default();
            if poll.every.is_some() || poll.shape.is_unread("every") {
                read.mark();
            }
            named.push(Named { what: "poll", name: name.clone(), read: read.clone() });
            (name.value.clone(), read)
        });
        Self(polls.collect())
    }
}

impl Compiler<'_> {
    pub(super) fn life(&mut self, spec: &spec::Mapping) -> Life {
        let http = spec.http.as_ref();
        let names = self.names(LIFE);
        let of_contact = names.with(&[Scope::Contact]);
        let lifecycle = spec.lifecycle.as_ref();
        if let Some(lifecycle) = lifecycle {
            let given = [&lifecycle.on_connect, &lifecycle.on_disconnect, &lifecycle.probe];
            let unread =
                ["on_connect", "on_disconnect", "probe"].iter().any(|key| lifecycle.shape.is_unread(key));
            if given.iter().all(|errands| errands.0.is_empty()) && !unread {
                let problem = Diagnostic::new(Code::MissingKey, lifecycle.span, "`lifecycle` says nothing");
                self.out.push(problem.help("add `on_connect:`, `on_disconnect:` or `probe:`"));
            }
        }
        let mut errands = |errands: Option<&Errands>, names: &Names| {
            errands.map(|errands| self.errands(http, errands, names)).unwrap_or_default()
        };
        let on_connect = errands(lifecycle.map(|it| &it.on_connect), &names);
        let on_disconnect = errands(lifecycle.map(|it| &it.on_disconnect), &names);
        let probe = errands(lifecycle.map(|it| &it.probe), &names);
        let actions = spec.actions.0.iter();
        let actions: Vec<_> =
            actions.map(|(name, steps)| (name.value.clone(), errands(Some(steps), &of_contact))).collect();
        self.action_names(&spec.actions);
        Life {
            on_connect,
            on_disconnect,
            probe,
            actions,
            polls: spec.poll.0.iter().map(|(name, poll)| self.poll(http, name, poll)).collect(),
            lookup_contact: spec.lookup_contact.as_ref().map(|Raw(node)| self.profile(node, &of_contact)),
        }
    }

    fn errands(&mut self, http: Option<&spec::Http>, errands: &Errands, names: &Names) -> Vec<CallStep> {
        self.chain(http, &errands.0, &mut names.clone())
    }

    fn poll(&mut self, http: Option<&spec::Http>, name: &Text, poll: &spec::Poll) -> Poll {
        if let Some(every) = poll.every.filter(|every| every.0 < OFTEN) {
            let span = poll.shape.value("every", poll.span);
            let message = format!("{} ms is too often", every.0.as_millis());
            self.out.push(Diagnostic::new(Code::InvalidValue, span, message).label("at least 1s"));
        }
        if poll.max_pages.is_some_and(|pages| pages.0 == 0) {
            let span = poll.shape.value("max_pages", poll.span);
            self.out.push(Diagnostic::new(Code::InvalidValue, span, "`max_pages` is at least 1"));
        }
        if let (Some(more), None) = (&poll.more, &poll.cursor)
            && !poll.shape.is_unread("cursor")
        {
            let span = poll.shape.key("more", more.0.span);
            let problem = Diagnostic::new(Code::MissingKey, span, "`more` without `cursor`");
            self.out.push(problem.label("the next page would be the same one").help("add `cursor:`"));
        }
        if poll.events.is_empty() && !poll.shape.is_unread("events") {
            let problem = Diagnostic::new(Code::MissingKey, name.span, "this poll does nothing");
            self.out.push(problem.help("add `events:`"));
        }
        let plain = self.names(LIFE);
        let names = plain.with(&[Scope::Arg, Scope::Cursor]);
        let page = names.with(super::send::RESPONSE);
        let judged = page.without_calls(super::send::NO_CALLS);
        let pages = poll.max_pages.map_or(PAGES, |pages| pages.0);
        let rules: Vec<Rule> = poll.events.iter().map(|rule| self.polled(rule, &page)).collect();
        // A rule with `each` of its own, around which is one without.
        let each = poll.each.as_ref().map(|raw| self.value(&raw.0, &page));
        let rule = Rule { rules: vec![Rule { each, rules, ..Rule::default() }], ..Rule::default() };
        Poll {
            name: name.value.clone(),
            every: poll.every.map(|every| every.0),
            with: self.arguments(&poll.with, &plain),
            exchange: Exchange {
                request: self.request(http, &poll.request, &names),
                response: poll.response.as_ref().map(|it| self.response(it, &page)).unwrap_or_default(),
                repeat: None,
            },
            cursor: poll.cursor.as_ref().map(|raw| self.value(&raw.0, &judged)),
            more: self.optional_condition(poll.more.as_ref(), &judged),
            max_pages: u32::try_from(pages).unwrap_or(u32::MAX),
            rule,
        }
    }

    /// A rule of a poll asks for no poll, or it might never end.
    fn polled(&mut self, rule: &spec::Rule, names: &Names) -> Rule {
        fn refuse(rule: &spec::Rule, out: &mut crate::diagnostic::Diagnostics) {
            if let Some(poll) = &rule.poll {
                let span = rule.shape.key("poll", poll.span);
                let problem = Diagnostic::new(Code::UnknownKey, span, "a poll asks for no poll");
                out.push(problem.label("not known here").help("`poll` is for the rules of webhooks"));
            }
            rule.events.iter().for_each(|inner| refuse(inner, out));
        }
        refuse(rule, self.out);
        self.rule(rule, names)
    }

    fn arguments(&mut self, with: &Map<Raw>, names: &Names) -> Template {
        let members: Vec<(Key, Template)> = with
            .0
            .iter()
            .map(|(name, raw)| (Key::Fixed(name.value.clone()), self.value(&raw.0, names)))
            .collect();
        Template::Map(members.into())
    }

    /// What a rule says about a poll.
    pub(super) fn poke(&mut self, rule: &spec::Rule, names: &Names) -> Option<Box<Poke>> {
        let with = self.arguments(&rule.with, names);
        let Some(name) = &rule.poll else {
            if let (Some((name, _)), false) = (rule.with.0.first(), rule.shape.is_unread("poll")) {
                let span = rule.shape.key("with", name.span);
                let problem = Diagnostic::new(Code::MissingKey, span, "`with` without `poll`");
                self.out.push(problem.label("what would see it?").help("add `poll:`"));
            }
            return None;
        };
        let polls = self.polls.as_ref()?;
        match polls.0.iter().find(|(known, _)| *known == name.value) {
            Some((_, read)) => read.mark(),
            None => {
                let known: Vec<String> = polls.0.iter().map(|(name, _)| format!("`{name}`")).collect();
                let message = format!("there is no poll `{}`", name.value);
                let problem =
                    Diagnostic::new(Code::UnknownName, name.span, message).label("not under `poll:`");
                let problem =
                    problem.did_you_mean(&name.value, polls.0.iter().map(|(name, _)| name.as_str()));
                self.out.push(match (&problem.fix, known.is_empty()) {
                    (Some(_), _) => problem,
                    (None, true) => problem.help("the mapping has no `poll:`"),
                    (None, false) => problem.help(format!("the polls are {}", known.join(", "))),
                });
            }
        }
        Some(Box::new(Poke { poll: name.value.clone(), with }))
    }

    /// A value, or `{value, ttl}`.
    fn profile(&mut self, node: &Node, names: &Names) -> LookUp {
        let entries = node.as_map().unwrap_or_default();
        let pair = node
            .get("value")
            .filter(|_| entries.iter().all(|entry| matches!(entry.key.value.as_str(), "value" | "ttl")));
        let ttl = pair.and(node.get("ttl")).and_then(|ttl| spec::Duration::from_node(ttl, self.out));
        let node = pair.unwrap_or(node);
        let entries = node.as_map().unwrap_or_default();
        if !entries.is_empty() && entries.iter().all(|entry| !entry.key.value.starts_with('$')) {
            crate::spec::unknown_keys(entries, PROFILE, "a profile", self.out);
        } else if entries.is_empty() && node.as_text().is_none() {
            let message = "`lookup_contact` is a call, or a map of what is known of the contact";
            let problem = Diagnostic::new(Code::WrongType, node.span, message);
            self.out
                .push(problem.help("for example `lookup_contact: {$call: profile, id: \"{{contact.id}}\"}`"));
        }
        LookUp { profile: self.value(node, names), ttl: ttl.map_or(PROFILE_TTL, |ttl| ttl.0) }
    }

    /// The names of actions are part of URLs.
    fn action_names(&mut self, actions: &Map<Errands>) {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        for (name, _) in &actions.0 {
            if name.value.is_empty() || !name.value.chars().all(fits) {
                let problem =
                    Diagnostic::new(Code::InvalidValue, name.span, "an action's name is part of its URL");
                self.out.push(problem.help("use letters, digits, `-`, `_` and `.`"));
            }
        }
    }
}
