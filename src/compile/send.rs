//! Sending: parts, steps, requests, responses.

use smol_str::SmolStr;

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Names, Scope, Template};
use crate::plan::{Auth, Body, Class, Exchange, Meaning, Request, Response, Send, Step, StepEach};
use crate::spec::{self, Map, Raw};
use crate::yaml::Text;

const SEND: &[Scope] =
    &[Scope::Config, Scope::Deployment, Scope::Channel, Scope::Message, Scope::Contact, Scope::Store];
pub(super) const RESPONSE: &[Scope] = &[Scope::It, Scope::Root, Scope::Response];

/// Why a response can ask for no call.
pub(super) const NO_CALLS: &str = "what a response means is decided from the response alone";

impl Compiler<'_> {
    pub(super) fn send(&mut self, spec: &spec::Mapping, send: &spec::Send) -> Option<Send> {
        let mut names = self.names(SEND);
        if send.shape.is_unread("let") {
            names.open();
        }
        let lets = self.lets(&send.r#let, &mut names);
        let parts = self.parts(send.plan.as_ref(), &names);
        let names = names.with(&[Scope::Parts]);
        if send.steps.is_empty() {
            if !send.shape.is_unread("steps") {
                let span = send.shape.key("steps", send.span);
                self.out.push(Diagnostic::new(Code::MissingKey, span, "`send` needs `steps`"));
            }
            spec.http.iter().for_each(|http| self.unused_http(http));
            return None;
        }
        let mut with_results = names.clone();
        let mut slots: Vec<Option<usize>> = Vec::new();
        for (at, step) in send.steps.iter().enumerate() {
            let earlier = send.steps.get(..at).unwrap_or_default();
            if let Some(id) = &step.id {
                self.step_id(id, earlier);
            }
            slots.push(step.id.as_ref().map(|id| with_results.bind(&id.value)));
        }
        let mut steps = Vec::new();
        for (at, step) in send.steps.iter().enumerate() {
            // A step sees the results of those before it.
            let mut visible = with_results.clone();
            slots.iter().skip(at).flatten().for_each(|slot| visible.hide(*slot));
            if step.shape.is_unread("let") {
                visible.open();
            }
            steps.push(self.step(spec.http.as_ref(), step, slots.get(at).copied().flatten(), &visible));
        }
        Some(Send { lets, parts, steps })
    }

    /// The name of a step's result must be its own.
    fn step_id(&mut self, id: &Text, earlier: &[spec::Step]) {
        let same = earlier.iter().filter_map(|step| step.id.as_ref()).find(|other| other.value == id.value);
        if let Some(first) = same {
            let message = format!("two steps are called `{}`", id.value);
            let problem = Diagnostic::new(Code::DuplicateName, id.span, message).label("the second");
            self.out
                .push(problem.secondary(first.span, "the first").help("give each step an `id` of its own"));
        }
        self.reserved(id);
    }

    /// The defaults of requests, where there is no request.
    pub(super) fn unused_http(&mut self, http: &spec::Http) {
        let names = self.names(SEND);
        http.base.iter().for_each(|raw| drop(self.value(&raw.0, &names)));
        self.headers(&http.headers, &names);
        self.raw_map(&http.query, &names);
        http.auth.iter().for_each(|auth| drop(self.auth(auth, &names)));
    }

    fn step(
        &mut self,
        http: Option<&spec::Http>,
        step: &spec::Step,
        result: Option<usize>,
        outer: &Names,
    ) -> Step {
        let mut names = outer.clone();
        let each = match &step.each {
            None => StepEach::Once,
            Some(Raw(node)) if node.as_text().is_some_and(|text| text.value == "parts") => {
                names = names.with(&[Scope::Part]);
                StepEach::Parts
            }
            Some(Raw(node)) => {
                let list = self.value(node, &names);
                let slot = match &step.r#as {
                    Some(name) => self.bind("item", name, &mut names),
                    None => {
                        if !step.shape.is_unread("as") {
                            let message = "`each` over a list needs `as:`, the name of the item";
                            let span = step.shape.key("each", node.span);
                            let problem = Diagnostic::new(Code::MissingKey, span, message);
                            self.out.push(problem.help("`each: parts` needs none: its item is `part`"));
                        }
                        names.open();
                        names.bind("")
                    }
                };
                StepEach::List(list, slot)
            }
        };
        let when = self.optional_condition(step.when.as_ref(), &names);
        let lets = self.lets(&step.r#let, &mut names);
        let in_response = names.with(RESPONSE);
        Step {
            result,
            each,
            when,
            lets,
            require: self.optional_condition(step.require.as_ref(), &names),
            exchange: Exchange {
                request: self.request(http, &step.request, &names),
                response: step
                    .response
                    .as_ref()
                    .map(|response| self.response(response, &in_response))
                    .unwrap_or_default(),
                repeat: step.repeat.as_ref().map(|repeat| self.repeat(repeat, &in_response)),
            },
            consume: self.consume(&step.consume),
        }
    }

    /// The other values that a request is made with once more.
    fn overrides(&mut self, class: &spec::Class, names: &Names) -> Vec<(usize, Template)> {
        if class.r#as != Meaning::Redo && !class.with.0.is_empty() {
            let span = class.shape.key("with", class.span);
            let problem = Diagnostic::new(Code::UnknownKey, span, "`with` is for `as: redo` alone");
            self.out.push(problem.label("not known here"));
        }
        let mut overrides = Vec::new();
        for (name, raw) in &class.with.0 {
            let value = self.value(&raw.0, names);
            match names.slot(&name.value) {
                Some(slot) => overrides.push((slot, value)),
                None => {
                    let message = format!("the step has no `let` name `{}`", name.value);
                    let problem =
                        Diagnostic::new(Code::UnknownName, name.span, message).label("unknown name");
                    self.out.push(problem.did_you_mean(&name.value, names.locals()));
                }
            }
        }
        overrides
    }

    pub(super) fn request(
        &mut self,
        http: Option<&spec::Http>,
        request: &spec::Request,
        names: &Names,
    ) -> Request {
        let bodies = [request.json.is_some(), request.form.is_some(), request.body.is_some()];
        if bodies.into_iter().filter(|given| *given).count() > 1 {
            let second = if request.body.is_some() { "body" } else { "form" };
            let problem = Diagnostic::new(
                Code::InvalidValue,
                request.shape.key(second, request.span),
                "a request has one body",
            );
            self.out.push(problem.label("the second").help("keep one of `json`, `form` and `body`"));
        }
        let mut query = Vec::new();
        if let Some(http) = http.filter(|http| !http.query.0.is_empty()) {
            query.push(self.raw_map(&http.query, names));
        }
        query.extend(request.query.as_ref().map(|raw| self.value(&raw.0, names)));
        let mut headers = http.map(|http| self.headers(&http.headers, names)).unwrap_or_default();
        headers.extend(self.headers(&request.headers, names));
        let body = match (&request.json, &request.form, &request.body) {
            (Some(raw), _, _) => Body::Json(self.value(&raw.0, names)),
            (_, Some(raw), _) => Body::Form(self.value(&raw.0, names)),
            (_, _, Some(body)) => Body::Raw {
                content_type: body.r#type.as_ref().map(|raw| self.value(&raw.0, names)),
                content: self.value(&body.text.0, names),
            },
            _ => Body::None,
        };
        let auth = request.auth.as_ref().or_else(|| http.and_then(|http| http.auth.as_ref()));
        Request {
            base: http.and_then(|http| http.base.as_ref()).map(|raw| self.value(&raw.0, names)),
            method: request.method.as_ref().map(|raw| self.value(&raw.0, names)),
            url: self.value(&request.url.0, names),
            query,
            headers,
            auth: auth.map_or(Auth::None, |auth| self.auth(auth, names)),
            body,
        }
    }

    fn raw_map(&mut self, map: &Map<Raw>, names: &Names) -> Template {
        let members: Vec<_> = map
            .0
            .iter()
            .map(|(key, raw)| (crate::expression::Key::Fixed(key.value.clone()), self.value(&raw.0, names)))
            .collect();
        Template::Map(members.into())
    }

    fn headers(&mut self, map: &Map<Raw>, names: &Names) -> Vec<(SmolStr, Template)> {
        let mut headers = Vec::new();
        for (name, raw) in &map.0 {
            if self.header_name(name) {
                headers.push((SmolStr::new(name.value.to_ascii_lowercase()), self.value(&raw.0, names)));
            }
        }
        headers
    }

    fn header_name(&mut self, name: &Text) -> bool {
        let sound = http::HeaderName::try_from(name.value.as_str()).is_ok();
        if !sound {
            self.out.push(Diagnostic::new(Code::InvalidValue, name.span, "this is not the name of a header"));
        }
        sound
    }

    fn auth(&mut self, auth: &spec::Auth, names: &Names) -> Auth {
        match (&auth.basic, &auth.bearer, &auth.header, &auth.query) {
            (Some(pair), None, None, None) => match pair.as_slice() {
                [user, password] => Auth::Basic(self.value(&user.0, names), self.value(&password.0, names)),
                _ => {
                    self.out.push(Diagnostic::new(
                        Code::InvalidValue,
                        auth.shape.value("basic", auth.span),
                        "`basic` is a list of a user name and a password",
                    ));
                    Auth::None
                }
            },
            (None, Some(token), None, None) => Auth::Bearer(self.value(&token.0, names)),
            (None, None, Some(headers), None) => Auth::Header(self.headers(headers, names)),
            (None, None, None, Some(query)) => Auth::Query(self.raw_map(query, names)),
            _ => {
                let unread =
                    ["basic", "bearer", "header", "query"].iter().any(|key| auth.shape.is_unread(key));
                if unread {
                    return Auth::None;
                }
                let message = "`auth` is exactly one of `basic`, `bearer`, `header` and `query`";
                self.out.push(Diagnostic::new(Code::InvalidValue, auth.span, message));
                Auth::None
            }
        }
    }

    pub(super) fn response(&mut self, response: &spec::Response, names: &Names) -> Response {
        let names = &names.without_calls(NO_CALLS);
        let classes = response
            .classify
            .iter()
            .map(|class| Class {
                when: self.condition(&class.when.0, names),
                meaning: class.r#as,
                after: class.after.as_ref().map(|raw| self.value(&raw.0, names)),
                with: self.overrides(class, names),
            })
            .collect();
        let error = response.error.as_ref();
        Response {
            decode: response.decode,
            classes,
            ok: self.optional_condition(response.ok.as_ref(), names),
            id: response.id.as_ref().map(|raw| self.value(&raw.0, names)),
            returns: response.r#return.as_ref().map(|raw| self.value(&raw.0, names)),
            remember: self.memos(&response.remember, names),
            error_code: error.and_then(|error| error.code.as_ref()).map(|raw| self.value(&raw.0, names)),
            error_message: error
                .and_then(|error| error.message.as_ref())
                .map(|raw| self.value(&raw.0, names)),
        }
    }
}
