//! Requests: their parts, their body, and how they prove who sends them.

use std::sync::Arc;

use smol_str::SmolStr;

use super::Compiler;
use super::send::SEND;
use crate::call::resolve;
use crate::diagnostic::{Code, Diagnostic, Span, suggest};
use crate::expression::{Key, Names, Scope, Template, Value};
use crate::plan::{Auth, Body, OAuth1, Quota, Request, ResetUnit, SigV4, Sign, Target};
use crate::spec::{self, AuthChoice, FromNode, Map, PartSpec, Raw};
use crate::yaml::{Entry, Node, Text};

const BODIES: [&str; 5] = ["json", "form", "xml", "multipart", "body"];
const AUTHS: [&str; 7] = ["basic", "bearer", "header", "query", "oauth1", "oauth2", "sigv4"];

impl Compiler<'_> {
    pub(super) fn request(
        &mut self,
        http: Option<&spec::Http>,
        request: &spec::Request,
        names: &Names,
    ) -> Request {
        let body = self.body(request, names);
        let (own_query, only_query) = self.own(request.query.as_ref(), "query", names);
        let (own_headers, only_headers) = self.own(request.headers.as_ref(), "headers", names);
        own_headers.iter().for_each(|(node, _)| self.header_names(node));
        let mut query: Vec<Template> = Vec::new();
        let mut headers: Vec<Template> = Vec::new();
        if let Some(http) = http {
            let (inherited_query, inherited_headers) = self.inherited(http, names);
            query.extend(inherited_query.filter(|_| !only_query));
            headers.extend(inherited_headers.filter(|_| !only_headers));
        }
        query.extend(own_query.map(|(_, template)| template));
        headers.extend(own_headers.map(|(_, template)| template));
        let auth = request.auth.as_ref().or_else(|| http.and_then(|http| http.auth.as_ref()));
        let sign = request.sign.as_ref().or_else(|| http.and_then(|http| http.sign.as_ref()));
        Request {
            target: self.target(http, &request.url, names),
            method: request.method.as_ref().map(|raw| self.value(&raw.0, names)),
            query,
            headers,
            auth: auth.map_or(Auth::None, |auth| self.auth(http, auth, names)),
            body,
            sign: sign.map(|sign| self.sign(sign, names)),
            media: self.media,
        }
    }

    /// Where a request goes. What is no URL is told to the message that needs it.
    pub(super) fn target(&mut self, http: Option<&spec::Http>, url: &Raw, names: &Names) -> Target {
        let base = http.and_then(|http| http.base.as_ref());
        let base = base.map(|raw| self.value(&raw.0, names).into_address());
        let url = self.value(&url.0, names).into_address();
        let fixed = match (base.as_ref().map(Template::literal), url.literal()) {
            (None, Some(Value::Text(url))) => resolve("", url).ok(),
            (Some(Some(Value::Text(base))), Some(Value::Text(url))) => resolve(base, url).ok(),
            _ => None,
        };
        fixed.map_or(Target::Made { base, url }, Target::Fixed)
    }

    /// The defaults of requests, where there is no request.
    pub(super) fn unused_http(&mut self, http: &spec::Http) {
        let names = &self.names(SEND);
        http.base.iter().for_each(|raw| drop(self.value(&raw.0, names)));
        self.inherited(http, names);
        http.auth.iter().for_each(|auth| drop(self.auth(Some(http), auth, names)));
        http.sign.iter().for_each(|sign| drop(self.sign(sign, names)));
    }

    /// The query and the headers that every request has.
    fn inherited(&mut self, http: &spec::Http, names: &Names) -> (Option<Template>, Option<Template>) {
        let query = http.query.as_ref().map(|raw| self.map_value(&raw.0, "query", names));
        let headers = http.headers.as_ref().map(|raw| {
            self.header_names(&raw.0);
            self.map_value(&raw.0, "headers", names)
        });
        (query, headers)
    }

    /// The members that a request has of its own, with their node, and whether they are the only ones (`$only`).
    fn own<'n>(
        &mut self,
        raw: Option<&'n Raw>,
        what: &str,
        names: &Names,
    ) -> (Option<(&'n Node, Template)>, bool) {
        let Some(Raw(node)) = raw else { return (None, false) };
        let entries = node.as_map().unwrap_or_default();
        let meant = |entry: &&Entry| {
            entry.key.value.starts_with('$') && suggest(&entry.key.value, ["$only"]).is_some()
        };
        let exact = entries.iter().find(|entry| entry.key.value == "$only");
        let Some(only) = exact.or_else(|| entries.iter().find(meant)) else {
            return (Some((node, self.map_value(node, what, names))), false);
        };
        if exact.is_none() {
            let message = format!("there is no operator `{}`", only.key.value);
            let problem = Diagnostic::new(Code::UnknownOperator, only.key.span, message);
            self.out.push(problem.label("unknown operator").did_you_mean(&only.key.value, ["$only"]));
        }
        for entry in entries.iter().filter(|entry| !std::ptr::eq(*entry, only)) {
            let message = format!("`{}` can't stand beside `$only`", entry.key.value);
            let problem = Diagnostic::new(Code::UnknownOperator, entry.key.span, message).label("not here");
            let problem = problem.secondary(only.key.span, "an operator is the only one in its map");
            self.out.push(problem.help("put it into the map of `$only`"));
        }
        (Some((&only.value, self.map_value(&only.value, what, names))), true)
    }

    /// A value that must make a map.
    fn map_value(&mut self, node: &Node, what: &str, names: &Names) -> Template {
        let template = self.value(node, names);
        let scalar = |value: &Value| !matches!(value, Value::Map(_) | Value::Null);
        if matches!(template, Template::List(_)) || template.literal().is_some_and(scalar) {
            let message = format!("`{what}` is a map, not {}", node.kind_name());
            let problem = Diagnostic::new(Code::WrongType, node.span, message);
            self.out.push(problem.label(format!("this is {}", node.kind_name())));
        }
        template
    }

    /// The keys of a fixed map are judged where it stands; what a value makes is judged when it is there.
    fn header_names(&mut self, node: &Node) {
        for entry in plain(node).unwrap_or_default() {
            if !entry.key.value.contains("{{") {
                self.header_name(&entry.key);
            }
        }
    }

    fn header_name(&mut self, name: &Text) -> bool {
        let sound = http::HeaderName::try_from(name.value.as_str()).is_ok();
        if !sound {
            self.out.push(Diagnostic::new(Code::InvalidValue, name.span, "this is not the name of a header"));
        }
        sound
    }

    pub(super) fn optional_value(&mut self, raw: Option<&Raw>, names: &Names) -> Template {
        raw.map_or(Template::Literal(Value::Null), |raw| self.value(&raw.0, names))
    }

    fn body(&mut self, request: &spec::Request, names: &Names) -> Body {
        let given = [
            request.json.is_some(),
            request.form.is_some(),
            request.xml.is_some(),
            request.multipart.is_some(),
            request.body.is_some(),
        ];
        let mut given = BODIES.iter().zip(given).filter(|(_, given)| *given).map(|(name, _)| *name);
        let _first = given.next();
        if let Some(second) = given.next() {
            let span = request.shape.key(second, request.span);
            let problem = Diagnostic::new(Code::InvalidValue, span, "a request has one body");
            self.out.push(problem.label("the second").help(format!("keep one of {}", listed(&BODIES))));
        }
        if let Some(Raw(node)) = &request.json {
            Body::Json(self.value(node, names))
        } else if let Some(Raw(node)) = &request.form {
            Body::Form(self.map_value(node, "form", names))
        } else if let Some(Raw(node)) = &request.xml {
            if plain(node).is_some_and(|entries| entries.len() != 1) {
                let problem = Diagnostic::new(Code::InvalidValue, node.span, "XML has one root element");
                self.out.push(problem.help("put all of it into a map with the name of the root"));
            }
            Body::Xml(self.map_value(node, "xml", names))
        } else if let Some(Raw(node)) = &request.multipart {
            self.part_shapes(node);
            Body::Multipart(self.map_value(node, "multipart", names))
        } else if let Some(body) = &request.body {
            self.raw_body(body, names)
        } else {
            Body::None
        }
    }

    fn raw_body(&mut self, body: &spec::BodySpec, names: &Names) -> Body {
        let content_type = body.r#type.as_ref().map(|raw| self.value(&raw.0, names));
        match (&body.text, &body.file) {
            (Some(text), None) => Body::Raw { content_type, content: self.value(&text.0, names) },
            (None, Some(file)) => Body::File { content_type, url: self.value(&file.url.0, names) },
            (text, _) => {
                if !["text", "file"].iter().any(|key| body.shape.is_unread(key)) {
                    let span = if text.is_some() { body.shape.key("file", body.span) } else { body.span };
                    let message = "`body` has exactly one of `text` and `file`";
                    self.out.push(Diagnostic::new(Code::InvalidValue, span, message));
                }
                Body::None
            }
        }
    }

    /// Judges those parts of a multipart body that the file spells out.
    fn part_shapes(&mut self, node: &Node) {
        for entry in plain(node).unwrap_or_default() {
            let items = entry.value.as_list().unwrap_or(std::slice::from_ref(&entry.value));
            for item in items.iter().filter(|item| plain(item).is_some_and(|entries| !entries.is_empty())) {
                let Some(part) = PartSpec::from_node(item, self.out) else { continue };
                let unread = ["value", "file"].iter().any(|key| part.shape.is_unread(key));
                if part.value.is_some() == part.file.is_some() && !unread {
                    let message = "a part has exactly one of `value` and `file`";
                    let problem = Diagnostic::new(Code::InvalidValue, item.span, message);
                    self.out.push(
                        problem.help("a map as the value of a field is written `{value: {$json: ..}}`"),
                    );
                }
            }
        }
    }

    fn sign(&mut self, sign: &spec::Sign, names: &Names) -> Sign {
        let mut names = names.with(&[Scope::Out]);
        if sign.shape.is_unread("let") {
            names.open();
        }
        let lets = self.lets(&sign.r#let, &mut names);
        sign.headers.iter().for_each(|raw| self.header_names(&raw.0));
        let mut members = |raw: &Option<Raw>, what: &str| match raw {
            Some(raw) => self.map_value(&raw.0, what, &names),
            None => Template::Literal(Value::Null),
        };
        Sign { lets, headers: members(&sign.headers, "headers"), query: members(&sign.query, "query") }
    }

    fn auth(&mut self, http: Option<&spec::Http>, auth: &AuthChoice, names: &Names) -> Auth {
        let AuthChoice::By(auth) = auth else { return Auth::None };
        let given = [
            auth.basic.is_some(),
            auth.bearer.is_some(),
            auth.header.is_some(),
            auth.query.is_some(),
            auth.oauth1.is_some(),
            auth.oauth2.is_some(),
            auth.sigv4.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            if !AUTHS.iter().any(|key| auth.shape.is_unread(key)) {
                let message = format!("`auth` is exactly one of {}", listed(&AUTHS));
                self.out.push(Diagnostic::new(Code::InvalidValue, auth.span, message));
            }
            return Auth::None;
        }
        if let Some(pair) = &auth.basic {
            return self.basic(pair, auth.shape.value("basic", auth.span), names);
        }
        if let Some(token) = &auth.bearer {
            return Auth::Bearer(self.value(&token.0, names));
        }
        if let Some(headers) = &auth.header {
            return Auth::Header(self.fixed_headers(headers, names));
        }
        if let Some(query) = &auth.query {
            return Auth::Query(self.raw_map(query, names));
        }
        if let Some(keys) = &auth.oauth1 {
            return Auth::OAuth1(Box::new(OAuth1 {
                consumer_key: self.value(&keys.consumer_key.0, names),
                consumer_secret: self.value(&keys.consumer_secret.0, names),
                token: self.optional_value(keys.token.as_ref(), names),
                token_secret: self.optional_value(keys.token_secret.as_ref(), names),
            }));
        }
        if let Some(oauth2) = &auth.oauth2 {
            return self.oauth2(http, oauth2);
        }
        let Some(keys) = &auth.sigv4 else { return Auth::None };
        Auth::SigV4(Box::new(SigV4 {
            access_key: self.value(&keys.access_key.0, names),
            secret_key: self.value(&keys.secret_key.0, names),
            session_token: self.optional_value(keys.session_token.as_ref(), names),
            region: self.value(&keys.region.0, names),
            service: self.value(&keys.service.0, names),
        }))
    }

    fn basic(&mut self, pair: &[Raw], span: Span, names: &Names) -> Auth {
        let [user, password] = pair else {
            let message = "`basic` is a list of a user name and a password";
            self.out.push(Diagnostic::new(Code::InvalidValue, span, message));
            return Auth::None;
        };
        Auth::Basic(self.value(&user.0, names), self.value(&password.0, names))
    }

    fn fixed_headers(&mut self, map: &Map<Raw>, names: &Names) -> Vec<(SmolStr, Template)> {
        let mut headers = Vec::new();
        for (name, raw) in &map.0 {
            if self.header_name(name) {
                headers.push((SmolStr::new(name.value.to_ascii_lowercase()), self.value(&raw.0, names)));
            }
        }
        headers
    }

    fn raw_map(&mut self, map: &Map<Raw>, names: &Names) -> Template {
        let members = map.0.iter();
        let members: Vec<_> =
            members.map(|(key, raw)| (Key::Fixed(key.value.clone()), self.value(&raw.0, names))).collect();
        Template::Map(members.into())
    }

    /// Which headers say how many requests remain.
    pub(super) fn quota(&mut self, limits: Option<&spec::Limits>) -> Option<Arc<Quota>> {
        let from = limits?.from_headers.as_ref()?;
        let mut name = |name: &Text, key: &str| {
            let sound = from.shape.is_unread(key) || self.header_name(name);
            sound.then(|| SmolStr::new(name.value.to_ascii_lowercase()))
        };
        let (remaining, reset) = (name(&from.remaining, "remaining"), name(&from.reset, "reset"));
        let unit = from.unit.unwrap_or(ResetUnit::Seconds);
        Some(Arc::new(Quota { remaining: remaining?, reset: reset?, unit }))
    }
}

/// The entries of a map that no operator makes.
fn plain(node: &Node) -> Option<&[Entry]> {
    node.as_map().filter(|entries| !entries.iter().any(|entry| entry.key.value.starts_with('$')))
}

/// `` `a`, `b` and `c` ``.
fn listed(words: &[&str]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((end, rest)) if !rest.is_empty() => format!("{} and {end}", rest.join(", ")),
        _ => words.concat(),
    }
}
