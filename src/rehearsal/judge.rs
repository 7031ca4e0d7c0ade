//! Test files: reading them, with everything told that can be known before a test runs.

use std::path::Path;

use crate::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::load::{Library, Loaded, read_source};
use crate::pipeline::{NoRoute, find_route};
use crate::plan::{ConfigField, Plan};
use crate::spec::{self, FromNode, MappingTests, Raw, TestCase, TestChannel};
use crate::yaml::{self, Kind, Node, Text};

const VERDICTS: &[&str] = &["accepted", "ignored", "rejected", "replied"];
const OUTCOMES: &[&str] = &["sent", "failed", "retry", "throttled", "opt_out"];

/// Reads the tests of a mapping and judges them by its plan and those of its variants, as far as there are. None if
/// there are errors, which the library has.
pub fn read_tests(path: &Path, mapping: &Loaded, library: &mut Library) -> Option<MappingTests> {
    let file = read_source(path, &mut library.sources, &mut library.problems)?;
    let mut found = Diagnostics::new();
    let tests = yaml::parse(file, &library.sources, &mut found)
        .and_then(|node| MappingTests::from_node(&node, &mut found));
    if let Some(tests) = &tests {
        Judge { mapping, plan: mapping.plan.as_deref(), out: &mut found }.file(tests);
    }
    let sound = !found.has_errors();
    library.problems.extend(found);
    tests.filter(|_| sound)
}

struct Judge<'a> {
    mapping: &'a Loaded,
    /// What the test that is judged is about.
    plan: Option<&'a Plan>,
    out: &'a mut Diagnostics,
}

impl Judge<'_> {
    fn file(&mut self, tests: &MappingTests) {
        if let Some(name) = self.mapping.name.as_deref()
            && tests.mapping.value != name
            && !tests.shape.is_unread("mapping")
        {
            let message = format!("these are the tests of `{name}`, not of `{}`", tests.mapping.value);
            let problem = Diagnostic::new(Code::UnknownMapping, tests.mapping.span, message);
            let problem = problem.label("another mapping");
            self.out.push(problem.fix(tests.mapping.span, name, format!("write `{name}`")));
        }
        tests.channel.iter().for_each(|channel| self.channel(channel));
        let mut names: Vec<&Text> = Vec::new();
        for case in &tests.tests {
            if let Some(first) = names.iter().find(|name| name.value == case.name.value) {
                let message = format!("two tests are called \"{}\"", case.name.value);
                let problem =
                    Diagnostic::new(Code::DuplicateName, case.name.span, message).label("the second");
                self.out.push(problem.secondary(first.span, "the first"));
            }
            if !case.shape.is_unread("name") {
                names.push(&case.name);
            }
            let variant = case.mapping.as_ref();
            variant.iter().for_each(|name| self.variant(name));
            self.plan = self.mapping.plan_of(variant.map(|name| name.value.as_str())).map(|plan| &**plan);
            case.channel.iter().for_each(|channel| self.channel(channel));
            self.case(case);
        }
    }

    /// A test is about the file's mapping or one of its variants.
    fn variant(&mut self, name: &Text) {
        let names = || self.mapping.names();
        if names().any(|known| name.value == known) {
            return;
        }
        let message = format!("the file makes no mapping `{}`", name.value);
        let problem = Diagnostic::new(Code::UnknownMapping, name.span, message).label("unknown mapping");
        let problem = problem.did_you_mean(&name.value, names());
        self.out.push(match problem.fix {
            Some(_) => problem,
            None => problem.help(format!("it makes {}", quoted(names()))),
        });
    }

    /// The values of a channel against what the mapping declares.
    fn channel(&mut self, channel: &TestChannel) {
        let Some(plan) = self.plan else { return };
        self.declared(&channel.config, &plan.config, "config");
        self.declared(&channel.deployment, &plan.deployment, "deployment");
    }

    fn declared(&mut self, given: &spec::Map<Raw>, fields: &[ConfigField], what: &str) {
        for (key, Raw(node)) in &given.0 {
            let Some(field) = fields.iter().find(|field| field.name == key.value) else {
                let known = || fields.iter().map(|field| field.name.as_str());
                let message = format!("the mapping declares no {what} item `{}`", key.value);
                let problem = Diagnostic::new(Code::UnknownKey, key.span, message).label("not declared");
                let problem = problem.did_you_mean(&key.value, known());
                self.out.push(match (&problem.fix, fields.is_empty()) {
                    (None, false) => problem.help(format!("it declares {}", quoted(known()))),
                    _ => problem,
                });
                continue;
            };
            if let Some(message) = field.refuses(&node.to_value()) {
                self.out.push(Diagnostic::new(Code::InvalidValue, node.span, message));
            }
        }
    }

    fn case(&mut self, case: &TestCase) {
        let unread = |key: &str| case.shape.is_unread(key);
        match (&case.receive, &case.send, &case.run) {
            (Some(received), None, None) => self.webhook(received, case),
            (None, Some(_), None) => {
                self.only_for(
                    case,
                    &["verdict", "reply", "events", "polls", "calls"],
                    "a webhook (`receive`)",
                );
                self.only_for(case, &["value", "cursor"], "what is `run`");
            }
            (None, None, Some(run)) => self.run(run, case),
            (None, None, None) if unread("receive") || unread("send") || unread("run") => {}
            (received, sent, _) => {
                let both = received.as_ref().map(drop).or(sent.as_ref().map(drop));
                let (code, key) = if both.is_some() {
                    (Code::InvalidValue, if case.run.is_some() { "run" } else { "send" })
                } else {
                    (Code::MissingKey, "name")
                };
                let span = case.shape.key(key, case.span);
                let problem =
                    Diagnostic::new(code, span, "a test is exactly one of `receive`, `send` and `run`");
                self.out.push(problem.help("a test of the other direction is a test of its own"));
            }
        }
        self.word(case.expect.verdict.as_ref(), VERDICTS, "a verdict");
        self.word(case.expect.outcome.as_ref(), OUTCOMES, "an outcome");
        for (raw, keys, called) in [
            (&case.expect.reply, &["status", "headers", "body", "json"][..], "`reply`"),
            (&case.expect.error, &["code", "message"][..], "`error`"),
        ] {
            let Some(Raw(node)) = raw else { continue };
            match &node.kind {
                Kind::Map(entries) => drop(spec::unknown_keys(entries, keys, called, self.out)),
                Kind::Null => {}
                _ => self.wrong_type(node, "a map"),
            }
        }
        for raw in [
            &case.expect.events,
            &case.expect.calls,
            &case.expect.requests,
            &case.expect.ids,
            &case.expect.platform,
        ] {
            if let Some(Raw(node)) = raw
                && node.as_list().is_none()
            {
                self.wrong_type(node, "a list");
            }
        }
    }

    fn webhook(&mut self, received: &spec::Receive, case: &TestCase) {
        self.only_for(case, &["requests", "outcome", "ids", "error", "retry_after"], "a message (`send`)");
        self.only_for(case, &["value", "cursor"], "what is `run`");
        let bodies = [
            ("json", received.json.is_some()),
            ("form", received.form.is_some()),
            ("xml", received.xml.is_some()),
            ("multipart", received.multipart.is_some()),
            ("body", received.body.is_some()),
            ("body_base64", received.body_base64.is_some()),
        ];
        if let [_, (second, _), ..] = bodies.iter().filter(|(_, given)| *given).collect::<Vec<_>>()[..] {
            let span = received.shape.key(second, received.span);
            let problem = Diagnostic::new(Code::InvalidValue, span, "a webhook has one body");
            self.out.push(problem.label("the second").help("keep one of them"));
        }
        let rejected = case.expect.verdict.as_ref().and_then(|raw| raw.0.as_text());
        let rejected = rejected.is_some_and(|verdict| verdict.value == "rejected");
        let status = case.expect.reply.as_ref().and_then(|raw| raw.0.get("status"));
        let refused = rejected || matches!(status.map(|status| &status.kind), Some(Kind::Int(404 | 405)));
        if received.shape.is_unread("route") || refused {
            return; // a test may well call a route that does not exist
        }
        let Some(plan) = self.plan else { return };
        let route = &received.route;
        let (method, path) = route.value.split_once(' ').unwrap_or(("POST", route.value.as_str()));
        let path = path.trim().trim_matches('/');
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let tried = [false, true].map(|shared| find_route(plan, shared, method, path).err());
        let [Some(own), Some(_)] = tried else { return };
        let known: Vec<String> = plan
            .webhooks
            .iter()
            .flat_map(|webhook| webhook.methods.iter().map(|method| format!("{method} {}", webhook.route())))
            .collect();
        let message = match own {
            NoRoute::Path { .. } => format!("the mapping has no route `{path}`"),
            NoRoute::Method { .. } => format!("the route `{path}` does not take {method}"),
        };
        let problem = Diagnostic::new(Code::InvalidRoute, route.span, message).label("not found");
        let problem = problem.did_you_mean(&route.value, known.iter().map(String::as_str));
        self.out.push(match problem.fix {
            Some(_) => problem,
            None => problem.help(format!("the routes are {}", quoted(known.iter().map(String::as_str)))),
        });
    }

    /// What is run must be there.
    fn run(&mut self, run: &spec::RunCase, case: &TestCase) {
        self.only_for(case, &["verdict", "reply", "polls", "calls"], "a webhook (`receive`)");
        let shape = &run.shape;
        let read = ["lifecycle", "action", "poll", "lookup_contact"].iter().all(|key| !shape.is_unread(key));
        if let Some(plan) = self.plan
            && let Err(problem) = super::suite::run_of(plan, run)
            && read
        {
            self.out.push(Diagnostic::new(Code::UnknownName, run.span, problem).label("not found"));
        }
        for (given, key, needs, is_there) in [
            (run.contact_id.is_some(), "contact_id", "action", run.action.is_some()),
            (!run.with.0.is_empty(), "with", "poll", run.poll.is_some()),
            (run.cursor.is_some(), "cursor", "poll", run.poll.is_some()),
        ] {
            if given && !is_there && read {
                let span = shape.key(key, run.span);
                let problem =
                    Diagnostic::new(Code::UnknownKey, span, format!("`{key}` is for `{needs}` alone"));
                self.out.push(problem.label("not known here"));
            }
        }
    }

    /// Expectations that only mean something in the other direction.
    fn only_for(&mut self, case: &TestCase, keys: &[&str], what: &str) {
        for key in keys {
            let expect = &case.expect;
            let given = match *key {
                "verdict" => expect.verdict.is_some(),
                "reply" => expect.reply.is_some(),
                "events" => expect.events.is_some(),
                "polls" => expect.polls.is_some(),
                "value" => expect.value.is_some(),
                "cursor" => expect.cursor.is_some(),
                "calls" => expect.calls.is_some(),
                "requests" => expect.requests.is_some(),
                "outcome" => expect.outcome.is_some(),
                "ids" => expect.ids.is_some(),
                "error" => expect.error.is_some(),
                _ => expect.retry_after.is_some(),
            };
            if given {
                let span = expect.shape.key(key, expect.span);
                let message = format!("`{key}` means nothing here: it is for the test of {what}");
                self.out.push(Diagnostic::new(Code::UnknownKey, span, message).label("never compared"));
            }
        }
    }

    fn word(&mut self, raw: Option<&Raw>, words: &[&str], what: &str) {
        let Some(Raw(node)) = raw else { return };
        match node.as_text() {
            Some(text) if words.contains(&text.value.as_str()) => {}
            Some(text) => {
                let message = format!("`{}` is not {what}", text.value);
                let problem =
                    Diagnostic::new(Code::InvalidValue, node.span, message).label("not one of them");
                let problem = problem.did_you_mean(&text.value, words.iter().copied());
                self.out.push(problem.help(format!("the choice is {}", quoted(words.iter().copied()))));
            }
            None => self.wrong_type(node, &format!("one of {}", quoted(words.iter().copied()))),
        }
    }

    fn wrong_type(&mut self, node: &Node, wanted: &str) {
        let message = format!("expected {wanted}, found {}", node.kind_name());
        let problem = Diagnostic::new(Code::WrongType, node.span, message);
        self.out.push(problem.label(format!("this is {}", node.kind_name())));
    }
}

fn quoted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    words.map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
