//! Webhooks: routes, proofs, answers, rules.

use smol_str::SmolStr;

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic, Span, suggest};
use crate::expression::{Names, Scope, Template, Value};
use crate::message::{EventKind, IdOwner};
use crate::plan::{
    Answer, AnswerBody, ContactMember, Emission, Emit, Encoding, Lets, Proof, Rule, Segment, Signature,
    Verify, Webhook,
};
use crate::spec::{self, FromNode, Map, Raw};
use crate::yaml::{Node, Text};

/// The statuses that a mapping may say.
const STATUSES: &[&str] = &["sent", "delivered", "read", "failed"];
/// The methods that a route may have.
const METHODS: &[&str] = &["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
/// How far a signature's moment may be away.
const TOLERANCE: std::time::Duration = std::time::Duration::from_mins(5);

const SHARED: &[Scope] = &[Scope::It, Scope::Root, Scope::Request, Scope::Deployment];
const CHANNEL: &[Scope] =
    &[Scope::It, Scope::Root, Scope::Request, Scope::Deployment, Scope::Config, Scope::Channel];

impl Compiler<'_> {
    /// Judges what holds for all webhooks or requests where there are none that it would hold for.
    pub(super) fn defaults(&mut self, spec: &spec::Mapping) {
        if spec.webhooks.is_empty() {
            let names = self.names(CHANNEL);
            spec.verify.iter().for_each(|verify| drop(self.verify(verify, &names)));
        }
        if let (Some(http), None) = (&spec.http, &spec.send) {
            self.unused_http(http);
        }
    }

    pub(super) fn webhooks(&mut self, spec: &spec::Mapping) -> Vec<Webhook> {
        let mut seen: Vec<(SmolStr, bool, Vec<Segment>, Span)> = Vec::new();
        let mut webhooks = Vec::new();
        for webhook in &spec.webhooks {
            let shared = webhook.shared.is_some_and(|flag| flag.0);
            // A webhook without a sound route has other things that are worth to be told.
            let route = (!webhook.shape.is_unread("route")).then(|| self.route(&webhook.route, shared));
            let (methods, path) = route.flatten().unwrap_or_default();
            for method in &methods {
                let same =
                    seen.iter().find(|(m, s, p, _)| m == method && *s == shared && same_path(p, &path));
                if let Some((_, _, _, first)) = same {
                    let problem = Diagnostic::new(
                        Code::DuplicateRoute,
                        webhook.route.span,
                        "this route is there already",
                    );
                    self.out.push(problem.label("the second").secondary(*first, "the first"));
                }
                seen.push((method.clone(), shared, path.clone(), webhook.route.span));
            }
            webhooks.push(self.webhook(spec, webhook, methods, path, shared));
        }
        webhooks
    }

    fn route(&mut self, route: &Text, shared: bool) -> Option<(Vec<SmolStr>, Vec<Segment>)> {
        let text = route.value.as_str();
        let (methods, path) = text.split_once(' ').unwrap_or((text, ""));
        let mut sound = true;
        let mut start = 0;
        for method in methods.split('|') {
            if !METHODS.contains(&method) {
                let span = route.span_of(start..start + method.len());
                let problem =
                    Diagnostic::new(Code::InvalidRoute, span, format!("`{method}` is not a method"));
                let meant = METHODS.iter().copied().find(|known| known.eq_ignore_ascii_case(method));
                let meant = meant.or_else(|| suggest(method, METHODS.iter().copied()));
                let problem = match meant {
                    Some(meant) => problem.fix(span, meant, format!("did you mean `{meant}`?")),
                    None if text.contains(' ') => {
                        problem.help(format!("the methods are {}", quoted(METHODS)))
                    }
                    None => problem
                        .label("a method is expected here")
                        .help("a route is a method, a blank and a path: `POST receive`, `GET|POST status`"),
                };
                self.out.push(problem);
                sound = false;
            }
            start += method.len() + 1;
        }
        let mut segments = Vec::new();
        if path
            .trim()
            .trim_matches('/')
            .split_once('/')
            .is_some_and(|(first, rest)| first == "actions" && !rest.contains('/'))
            && !shared
        {
            let at = text.rfind("actions").unwrap_or(0);
            let span = route.span_of(at..at + "actions".len());
            let problem =
                Diagnostic::new(Code::InvalidRoute, span, "the routes `actions/NAME` are the platform's");
            let problem = problem.label("here IS-Messenger asks for the mapping's `actions`");
            self.out.push(problem.help("choose another path, such as `receive`"));
            sound = false;
        }
        if matches!(path.trim().trim_matches('/'), "message" | "message/message") && !shared {
            let at = text.rfind("message").unwrap_or(0);
            let span = route.span_of(at..at + "message".len());
            let problem = Diagnostic::new(Code::InvalidRoute, span, "the route `message` is the platform's");
            let problem = problem.label("here IS-Messenger posts what it wants to have sent");
            self.out.push(problem.help("choose another path, such as `receive`"));
            sound = false;
        }
        for segment in path.trim().trim_matches('/').split('/').filter(|segment| !segment.is_empty()) {
            match segment.strip_prefix('{').map(|rest| rest.strip_suffix('}')) {
                Some(Some(name)) if !name.is_empty() => segments.push(Segment::Bound(SmolStr::new(name))),
                None if !segment.contains(['{', '}', '?', '#', ' ']) => {
                    segments.push(Segment::Fixed(SmolStr::new(segment)));
                }
                _ => {
                    let at = methods.len() + path.find(segment).unwrap_or(0) + 1;
                    let span = route.span_of(at..at + segment.len());
                    let problem = Diagnostic::new(
                        Code::InvalidRoute,
                        span,
                        format!("`{segment}` is not a segment of a path"),
                    );
                    self.out
                        .push(problem.help("a segment is fixed text, or a name in braces: `status/{id}`"));
                    sound = false;
                }
            }
        }
        sound.then(|| (methods.split('|').map(SmolStr::new).collect(), segments))
    }

    fn webhook(
        &mut self,
        spec: &spec::Mapping,
        webhook: &spec::Webhook,
        methods: Vec<SmolStr>,
        path: Vec<Segment>,
        shared: bool,
    ) -> Webhook {
        let outer = self.names(if shared { SHARED } else { CHANNEL }).prompt();
        let inner = self.names(CHANNEL).with(&[Scope::Store]).prompt();
        let verify: Vec<Verify> = spec
            .verify
            .iter()
            .chain(&webhook.verify)
            .filter_map(|verify| self.verify(verify, &outer))
            .collect();
        let told = spec.shape.is_unread("verify") || webhook.shape.is_unread("verify");
        if verify.is_empty() && spec.verify.is_empty() && webhook.verify.is_empty() && !told {
            let problem = Diagnostic::new(
                Code::UnverifiedRoute,
                webhook.route.span,
                "nothing proves who calls this route",
            );
            let problem = problem.label("anybody who knows the URL can post to it");
            self.out.push(problem.help("add `verify:` with the provider's signature or a shared secret"));
        }
        if shared
            && webhook.channel.is_none()
            && webhook.reply.is_none()
            && !webhook.shape.is_unread("channel")
        {
            let message = "a shared route needs `channel:`, which says where the payload names the channel";
            self.out.push(Diagnostic::new(Code::MissingKey, webhook.route.span, message));
        }
        if let Some(channel) = &webhook.channel {
            if !shared {
                let problem = Diagnostic::new(
                    Code::InvalidValue,
                    webhook.shape.key("channel", channel.span),
                    "`channel` is for shared routes",
                );
                self.out.push(problem.help("add `shared: true`, or leave `channel` out"));
            }
            if !self.address {
                let problem = Diagnostic::new(
                    Code::MissingKey,
                    channel.span,
                    "no `config` item is the channel's address",
                );
                self.out.push(problem.help("mark the one that the payload names with `address: true`"));
            }
        }
        let reply = webhook.reply.as_ref().and_then(|raw| self.reply(&raw.0, &outer));
        let unread = ["reply", "events"].into_iter().any(|key| webhook.shape.is_unread(key));
        if webhook.reply.is_none() && webhook.events.is_empty() && !unread {
            let problem = Diagnostic::new(Code::MissingKey, webhook.route.span, "this webhook does nothing");
            self.out.push(problem.help("add `events:`, or `reply:` for a handshake"));
        }
        let ack = webhook.ack.as_ref();
        let unspecified = || Answer {
            status: Template::Literal(Value::Int(200)),
            content_type: Template::Literal(Value::Null),
            body: AnswerBody::Json(Template::Literal(Value::map::<SmolStr>([]))),
        };
        let mut names = inner.clone();
        let rule_spec = (&webhook.unique, &webhook.when, &webhook.r#let, &webhook.ignore);
        if webhook.shape.is_unread("let") {
            names.open();
        }
        let (unique, when, lets, ignore) = self.head(rule_spec, &mut names);
        let rules = webhook.events.iter().map(|rule| self.rule(rule, &names)).collect();
        let ok = ack.and_then(|ack| ack.ok.as_ref()).map(|answer| self.answer(answer, &outer));
        let ignored = ack.and_then(|ack| ack.ignored.as_ref()).map(|answer| self.answer(answer, &outer));
        Webhook {
            methods,
            path,
            shared,
            address: webhook.channel.as_ref().map(|channel| self.value(&channel.address.0, &outer)),
            decode: webhook.decode,
            verify,
            reply,
            ack_ok: ok.unwrap_or_else(unspecified),
            ack_ignored: ignored.unwrap_or_else(unspecified),
            ack_error: ack.and_then(|ack| ack.error.as_ref()).map(|answer| self.answer(answer, &outer)),
            require: self.optional_condition(webhook.require.as_ref(), &outer),
            each: webhook.each.as_ref().map(|raw| self.value(&raw.0, &outer)),
            rule: Rule {
                each: None,
                unique,
                when,
                lets,
                ignore,
                emit: None,
                poll: None,
                remember: None,
                also: false,
                rules,
            },
        }
    }

    fn verify(&mut self, verify: &spec::Verify, names: &Names) -> Option<Verify> {
        let when = self.optional_condition(verify.when.as_ref(), names);
        let proof = match (&verify.equal, &verify.signature) {
            (Some(pair), None) => {
                let [left, right] = pair.as_slice() else {
                    let problem = Diagnostic::new(
                        Code::InvalidValue,
                        verify.shape.value("equal", verify.span),
                        "`equal` compares two values",
                    );
                    self.out.push(problem.help(
                        "for example `equal: [\"{{request.headers.x-token}}\", \"{{config.token}}\"]`",
                    ));
                    return None;
                };
                Proof::Equal(self.value(&left.0, names), self.value(&right.0, names))
            }
            (None, None) if verify.shape.is_unread("equal") || verify.shape.is_unread("signature") => {
                return None;
            }
            (None, Some(signature)) => Proof::Signature(Box::new(Signature {
                algorithm: signature.alg,
                key: self.value(&signature.key.0, names),
                over: self.value(&signature.over.0, names),
                encoding: signature.encoding.unwrap_or(Encoding::Hex),
                actual: self.value(&signature.actual.0, names),
                prefix: signature.prefix.as_ref().map(|text| text.value.clone()).unwrap_or_default(),
                timestamp: signature.timestamp.as_ref().map(|raw| {
                    (
                        self.value(&raw.0, names),
                        signature.tolerance.map_or(TOLERANCE, |tolerance| tolerance.0),
                    )
                }),
            })),
            _ => {
                let message = "a proof is either `equal` or `signature`";
                let (code, span) = match verify.signature {
                    Some(_) => (Code::InvalidValue, verify.shape.key("signature", verify.span)),
                    None => (Code::MissingKey, verify.shape.key("equal", verify.span)),
                };
                self.out.push(
                    Diagnostic::new(code, span, message).help("write two entries where both must hold"),
                );
                return None;
            }
        };
        let on_fail = verify.on_fail.map_or(401, |status| u16::try_from(status.0).unwrap_or(0));
        if !(400..600).contains(&on_fail) {
            self.out.push(Diagnostic::new(
                Code::InvalidValue,
                verify.shape.value("on_fail", verify.span),
                "`on_fail` is an HTTP status from 400 to 599",
            ));
        }
        Some(Verify { when, proof, on_fail })
    }

    fn reply(&mut self, node: &Node, names: &Names) -> Option<Answer> {
        if node.as_map().is_some() {
            let answer = spec::AnswerSpec::from_node(node, self.out)?;
            return Some(self.answer(&answer, names));
        }
        Some(Answer {
            status: Template::Literal(Value::Int(200)),
            content_type: Template::Literal(Value::text("text/plain")),
            body: AnswerBody::Text(self.value(node, names)),
        })
    }

    fn answer(&mut self, answer: &spec::AnswerSpec, names: &Names) -> Answer {
        if answer.body.is_some() && answer.json.is_some() {
            self.out.push(Diagnostic::new(
                Code::InvalidValue,
                answer.shape.key("json", answer.span),
                "an answer has one of `body` and `json`",
            ));
        }
        let mut value = |raw: &Option<Raw>, otherwise: Value| {
            raw.as_ref().map_or(Template::Literal(otherwise), |raw| self.value(&raw.0, names))
        };
        Answer {
            status: value(&answer.status, Value::Int(200)),
            content_type: value(&answer.r#type, Value::Null),
            body: match (&answer.json, &answer.body) {
                (Some(_), _) => AnswerBody::Json(value(&answer.json, Value::Null)),
                (None, Some(_)) => AnswerBody::Text(value(&answer.body, Value::Null)),
                (None, None) if answer.r#type.is_some() => AnswerBody::Text(Template::Literal(Value::Null)),
                (None, None) => AnswerBody::Json(Template::Literal(Value::map::<SmolStr>([]))),
            },
        }
    }

    /// `let` names: compiles each with those before it.
    pub(super) fn lets(&mut self, lets: &Map<Raw>, names: &mut Names) -> Lets {
        let base = names.depth();
        let mut values = Vec::new();
        for (name, raw) in &lets.0 {
            self.reserved(name);
            let later = names.later();
            values.push(self.value(&raw.0, &later));
            let slot = self.bind("name", name, names);
            if later.reads_late() {
                names.make_late(slot);
            }
        }
        Lets { base, values }
    }

    /// A name must not be that of a scope, nor of a constant.
    pub(super) fn reserved(&mut self, name: &Text) {
        self.taken(name);
        if let Some(scope) = Scope::ALL.iter().find(|scope| scope.name() == name.value) {
            let message = format!("`{}` has a meaning already", scope.name());
            let problem = Diagnostic::new(Code::InvalidValue, name.span, message);
            let problem = problem.label(scope.about().trim_end_matches('.').to_lowercase());
            self.out.push(problem.help("choose another name"));
        }
    }

    #[allow(clippy::type_complexity)] // the head of a rule, as it comes from two places
    fn head(
        &mut self,
        (unique, when, lets, ignore): (&Option<Raw>, &Option<Raw>, &Map<Raw>, &Option<Raw>),
        names: &mut Names,
    ) -> (Option<Template>, Option<crate::expression::Condition>, Lets, Option<crate::expression::Condition>)
    {
        let unique = unique.as_ref().map(|raw| self.value(&raw.0, names));
        let when = self.optional_condition(when.as_ref(), names);
        let lets = self.lets(lets, names);
        let ignore = ignore.as_ref().map(|raw| self.condition(&raw.0, names));
        (unique, when, lets, ignore)
    }

    pub(super) fn rule(&mut self, rule: &spec::Rule, outer: &Names) -> Rule {
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
        let poll = self.poke(rule, &names);
        let remember = self.rule_memos(rule, &names);
        let rules: Vec<Rule> = rule.events.iter().map(|inner| self.rule(inner, &names)).collect();
        let unread =
            ["emit", "poll", "ignore", "events", "remember"].into_iter().any(|key| rule.shape.is_unread(key));
        if rule.emit.is_none()
            && poll.is_none()
            && rules.is_empty()
            && ignore.is_none()
            && remember.is_none()
            && !unread
            && !told
        {
            let span = rule.shape.key("", rule.span.at_start());
            let problem = Diagnostic::new(Code::MissingKey, span, "this rule does nothing");
            self.out.push(problem.help("add `emit:`, `ignore:`, `remember:` or nested `events:`"));
        }
        Rule {
            each,
            unique,
            when,
            lets,
            ignore,
            emit,
            poll,
            remember,
            also: rule.also.is_some_and(|flag| flag.0),
            rules,
        }
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

    fn emission(&mut self, rule: &spec::Rule, emit: Emit, names: &Names) -> Emission {
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
            attachments: made(&rule.attachments, &later),
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

    fn contact(
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
            if !STATUSES.contains(&word) && !super::value::is_path(word) && !word.contains("{{") {
                let problem =
                    Diagnostic::new(Code::UnknownStatus, node.span, format!("`{word}` is not a status"));
                let problem = problem.label("unknown status").did_you_mean(word, STATUSES.iter().copied());
                self.out.push(match problem.fix {
                    Some(_) => problem,
                    None => problem
                        .help("the statuses are `sent`, `delivered`, `read`, `failed`, or null for no news"),
                });
            }
            return;
        }
        if !node.is_null() && node.as_map().is_none() {
            let message = format!("a status is text, not {}", node.kind_name());
            self.out.push(
                Diagnostic::new(Code::UnknownStatus, node.span, message)
                    .help("the statuses are `sent`, `delivered`, `read`, `failed`, or null for no news"),
            );
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

/// Whether two paths can match the same request.
fn same_path(left: &[Segment], right: &[Segment]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(left, right)| match (left, right) {
            (Segment::Fixed(left), Segment::Fixed(right)) => left == right,
            (Segment::Bound(_), Segment::Bound(_)) => true,
            _ => false,
        })
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
