//! Calls: what they do, who uses them, and that none needs itself.

use std::collections::BTreeSet;

use smol_str::SmolStr;

use super::{Compiler, Named};
use crate::diagnostic::{Code, Diagnostic, suggest};
use crate::expression::{Call as CallUse, Key, Names, Read, Scope, Template, Value};
use crate::plan::{Cache, Call, CallAction, CallStep, Exchange, Repeat};
use crate::spec::{self, Raw};
use crate::yaml::{Entry, Kind, Node, Text};

const CALL: &[Scope] = &[Scope::Config, Scope::Deployment, Scope::Channel, Scope::Arg, Scope::Store];
/// The status that shows that a cached value is no good any more, unless the mapping says otherwise.
const UNAUTHORIZED: u16 = 401;

/// The calls of a mapping, before any of them is compiled.
pub(super) struct Calls {
    names: Vec<(Text, Read)>,
    /// The calls that each uses, by place.
    uses: Vec<BTreeSet<SmolStr>>,
    /// The calls that members of `http` use: the member, the names.
    http: Vec<(&'static str, BTreeSet<SmolStr>)>,
}

impl Calls {
    pub(super) fn of(spec: &spec::Mapping, root: &Node, named: &mut Vec<Named>) -> Self {
        let used_by = |node: Option<&Node>| {
            let mut found = BTreeSet::new();
            node.iter().for_each(|node| uses(node, &mut found));
            found
        };
        let names = spec.calls.0.iter().map(|(name, _)| {
            let read = Read::default();
            named.push(Named { what: "call", name: name.clone(), read: read.clone() });
            (name.clone(), read)
        });
        let names: Vec<_> = names.collect();
        let node = root.get("calls");
        let direct: Vec<_> =
            names.iter().map(|(name, _)| used_by(node.and_then(|node| node.get(&name.value)))).collect();
        let mut calls = Self { names, uses: direct, http: Vec::new() };
        let http = root.get("http");
        calls.http = ["auth", "headers", "query", "sign"]
            .into_iter()
            .map(|member| (member, used_by(http.and_then(|http| http.get(member)))))
            .map(|(member, direct)| (member, calls.reach(direct)))
            .collect();
        calls
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.names.len()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|(known, _)| known.value == name)
    }

    /// What is used directly or through other calls.
    fn reach(&self, direct: BTreeSet<SmolStr>) -> BTreeSet<SmolStr> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<SmolStr> = direct.into_iter().collect();
        while let Some(name) = open.pop() {
            let next = self.place(&name).and_then(|place| self.uses.get(place)).into_iter().flatten();
            let next: Vec<SmolStr> = next.cloned().collect();
            if reached.insert(name) {
                open.extend(next);
            }
        }
        reached
    }
}

/// The names that a node calls.
fn uses(node: &Node, found: &mut BTreeSet<SmolStr>) {
    match &node.kind {
        Kind::List(items) => items.iter().for_each(|item| uses(item, found)),
        Kind::Map(entries) => {
            for entry in entries {
                if let ("$call", Some(name)) = (entry.key.value.as_str(), entry.value.as_text()) {
                    found.insert(name.value.clone());
                }
                uses(&entry.value, found);
            }
        }
        _ => {}
    }
}

impl Compiler<'_> {
    pub(super) fn calls(&mut self, spec: &spec::Mapping) -> Vec<Call> {
        spec.calls
            .0
            .iter()
            .enumerate()
            .map(|(place, (name, call))| self.call(spec, place, name, call))
            .collect()
    }

    fn call(&mut self, spec: &spec::Mapping, place: usize, name: &Text, call: &spec::Call) -> Call {
        self.not_circular(place, name);
        let http = spec.http.as_ref().map(|http| self.http_for(&name.value, http));
        let names = self.names(CALL);
        let given = [call.request.is_some(), call.compute.is_some(), !call.steps.is_empty()];
        let unread = ["request", "compute", "steps"].iter().any(|key| call.shape.is_unread(key));
        if given.into_iter().filter(|given| *given).count() != 1 && !unread {
            let message = "a call is exactly one of `request`, `compute` and `steps`";
            self.out.push(Diagnostic::new(Code::InvalidValue, name.span, message));
        }
        let mut last = names.clone();
        let steps = if call.steps.is_empty() {
            let action = match (&call.request, &call.compute) {
                (Some(request), _) => {
                    self.exchange(http.as_ref(), request, call.response.as_ref(), None, &names)
                }
                (None, Some(Raw(node))) => CallAction::Compute(self.value(node, &names)),
                (None, None) => CallAction::Compute(Template::Literal(Value::Null)),
            };
            vec![CallStep { result: None, when: None, lets: crate::plan::Lets::default(), action }]
        } else {
            self.chain(http.as_ref(), &call.steps, &mut last)
        };
        let with_response = match steps.last().map(|step| &step.action) {
            Some(CallAction::Exchange(_)) => last.with(super::send::RESPONSE),
            _ => last,
        };
        let cache = call.cache.as_ref().map(|cache| self.cache(cache, &names, &with_response));
        Call { name: name.value.clone(), steps, cache }
    }

    /// The steps of a chain; each sees the values of those before it. `visible` is what all of them leave.
    pub(super) fn chain(
        &mut self,
        http: Option<&spec::Http>,
        steps: &[spec::CallStep],
        visible: &mut Names,
    ) -> Vec<CallStep> {
        for (at, step) in steps.iter().enumerate() {
            let Some(id) = &step.id else { continue };
            let earlier = steps.get(..at).unwrap_or_default().iter();
            if let Some(first) =
                earlier.filter_map(|step| step.id.as_ref()).find(|other| other.value == id.value)
            {
                let message = format!("two steps are called `{}`", id.value);
                let problem = Diagnostic::new(Code::DuplicateName, id.span, message).label("the second");
                self.out.push(problem.secondary(first.span, "the first"));
            }
            self.reserved(id);
        }
        let slots: Vec<Option<usize>> =
            steps.iter().map(|step| step.id.as_ref().map(|id| visible.bind(&id.value))).collect();
        let mut made = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let mut names = visible.clone();
            slots.iter().skip(at).flatten().for_each(|slot| names.hide(*slot));
            let when = self.optional_condition(step.when.as_ref(), &names);
            if step.shape.is_unread("let") {
                names.open();
            }
            let lets = self.lets(&step.r#let, &mut names);
            let action = match (&step.request, &step.compute) {
                (Some(request), None) => {
                    self.exchange(http, request, step.response.as_ref(), step.repeat.as_ref(), &names)
                }
                (None, Some(Raw(node))) => CallAction::Compute(self.value(node, &names)),
                _ => {
                    if !["request", "compute"].iter().any(|key| step.shape.is_unread(key)) {
                        let message = "a step is exactly one of `request` and `compute`";
                        let span = step.shape.key("", step.span.at_start());
                        self.out.push(Diagnostic::new(Code::InvalidValue, span, message));
                    }
                    CallAction::Compute(Template::Literal(Value::Null))
                }
            };
            made.push(CallStep { result: slots.get(at).copied().flatten(), when, lets, action });
        }
        made
    }

    fn exchange(
        &mut self,
        http: Option<&spec::Http>,
        request: &spec::Request,
        response: Option<&spec::Response>,
        repeat: Option<&spec::Repeat>,
        names: &Names,
    ) -> CallAction {
        let in_response = names.with(super::send::RESPONSE);
        CallAction::Exchange(Box::new(Exchange {
            request: self.request(http, request, names),
            response: self.response_or_default(response, &in_response),
            repeat: repeat.map(|repeat| self.repeat(repeat, &in_response)),
        }))
    }

    pub(super) fn repeat(&mut self, repeat: &spec::Repeat, in_response: &Names) -> Repeat {
        let names = in_response.without_calls(super::send::NO_CALLS);
        if repeat.max.0 == 0 && !repeat.shape.is_unread("max") {
            let span = repeat.shape.value("max", repeat.span);
            self.out.push(Diagnostic::new(Code::InvalidValue, span, "`max` is at least 1"));
        }
        Repeat {
            until: self.condition(&repeat.until.0, &names),
            delay: repeat.delay.as_ref().map(|raw| self.value(&raw.0, &names)),
            max: u32::try_from(repeat.max.0).unwrap_or(u32::MAX),
        }
    }

    fn cache(&mut self, cache: &spec::Cache, names: &Names, with_response: &Names) -> Cache {
        let with_response = with_response.without_calls(super::send::NO_CALLS);
        let refresh = cache.refresh_on.as_ref();
        if cache.persist.is_some_and(|flag| flag.0) {
            self.memory.read.mark();
        }
        let statuses = refresh.and_then(|refresh| refresh.status.as_ref());
        Cache {
            key: cache.key.as_ref().map(|raw| self.value(&raw.0, names)),
            ttl: self.value(&cache.ttl.0, &with_response),
            margin: cache.margin.map_or(std::time::Duration::ZERO, |margin| margin.0),
            negative_ttl: cache.negative_ttl.map(|ttl| ttl.0),
            persist: cache.persist.is_some_and(|flag| flag.0),
            refresh_statuses: match (statuses, refresh) {
                (Some(statuses), _) => {
                    statuses.iter().filter_map(|status| u16::try_from(status.0).ok()).collect()
                }
                (None, Some(_)) => Vec::new(),
                (None, None) => vec![UNAUTHORIZED],
            },
            refresh_when: refresh.and_then(|refresh| refresh.when.as_ref()).map(|raw| {
                let in_response = names.with(super::send::RESPONSE).without_calls(super::send::NO_CALLS);
                self.condition(&raw.0, &in_response)
            }),
        }
    }

    /// `http` for the requests of a call: without what the call is needed for.
    fn http_for(&self, name: &str, http: &spec::Http) -> spec::Http {
        let mut http = http.clone();
        let needed =
            self.calls.iter().flat_map(|calls| &calls.http).filter(|(_, names)| names.contains(name));
        for (member, _) in needed {
            match *member {
                "auth" => http.auth = None,
                "headers" => http.headers = None,
                "query" => http.query = None,
                _ => http.sign = None,
            }
        }
        http
    }

    fn not_circular(&mut self, place: usize, name: &Text) {
        let Some(calls) = &self.calls else { return };
        let direct = calls.uses.get(place).cloned().unwrap_or_default();
        if calls.reach(direct).contains(&name.value) {
            let message = format!("the call `{}` needs its own value", name.value);
            let problem = Diagnostic::new(Code::CircularCall, name.span, message).label("used by itself");
            self.out.push(problem.help("it is used in its own request, or in that of a call that it uses"));
        }
    }

    /// `{$call: NAME, ...}`.
    pub(super) fn call_use(
        &mut self,
        main: &Entry,
        entries: &[Entry],
        (when, on_error): (Option<&Node>, Option<&Node>),
        names: &Names,
    ) -> Template {
        let arguments: Vec<(Key, Template)> = entries
            .iter()
            .filter(|entry| !entry.key.value.starts_with('$'))
            .map(|entry| (Key::Fixed(entry.key.value.clone()), self.value(&entry.value, names)))
            .collect();
        for entry in entries {
            // Without the sign it would be one more argument, silently.
            if let meant @ ("when" | "on_error") = entry.key.value.as_str() {
                let message =
                    format!("`{meant}` is given to the call, it is not the operator's own `${meant}`");
                let problem = Diagnostic::new(Code::UnknownOperator, entry.key.span, message);
                let problem = problem.label("an argument can't be called so");
                self.out.push(problem.fix(entry.key.span, format!("${meant}"), format!("write `${meant}`")));
            }
        }
        let when = when.map(|node| self.value(node, names));
        let on_error = on_error.map(|node| self.value(node, names));
        if let Some(why) = names.forbids_calls() {
            let problem = Diagnostic::new(Code::NoCallHere, main.key.span, "no call can be made here");
            self.out.push(problem.label(why));
        }
        let Some(name) = main.value.as_text() else {
            self.out.push(Diagnostic::new(
                Code::WrongType,
                main.value.span,
                "`$call` takes the name of a call",
            ));
            return Template::Literal(Value::Null);
        };
        let Some(calls) = &self.calls else { return Template::Literal(Value::Null) };
        let Some(index) = calls.place(&name.value) else {
            self.unknown_call(name);
            return Template::Literal(Value::Null);
        };
        names.mark_late();
        calls.names.iter().skip(index).take(1).for_each(|(_, read)| read.mark());
        Template::Call(Box::new(CallUse {
            index,
            name: name.value.clone(),
            arguments: Template::Map(arguments.into()),
            when,
            on_error,
        }))
    }

    fn unknown_call(&mut self, name: &Text) {
        let known: Vec<SmolStr> =
            self.calls.iter().flat_map(|calls| &calls.names).map(|(name, _)| name.value.clone()).collect();
        let message = format!("there is no call `{}`", name.value);
        let problem = Diagnostic::new(Code::UnknownCall, name.span, message).label("not under `calls:`");
        let problem = if known.is_empty() {
            problem.help("the mapping has no `calls:`")
        } else if suggest(&name.value, known.iter().map(SmolStr::as_str)).is_some() {
            problem
        } else {
            let list: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
            problem.help(format!("the calls are {}", list.join(", ")))
        };
        self.out.push(problem.did_you_mean(&name.value, known.iter().map(SmolStr::as_str)));
    }
}
