//! Sending: parts, steps, requests, responses.

use super::Compiler;
use crate::diagnostic::{Code, Diagnostic};
use crate::expression::{Names, Scope, Template};
use crate::plan::{Class, Decode, Exchange, Meaning, Response, Send, Step, StepEach};
use crate::spec::{self, Raw};
use crate::yaml::Text;

/// What every request can see.
pub(super) const SEND: &[Scope] =
    &[Scope::Config, Scope::Deployment, Scope::Channel, Scope::Message, Scope::Contact];
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
                response: self.response_or_default(step.response.as_ref(), &in_response),
                repeat: step.repeat.as_ref().map(|repeat| self.repeat(repeat, &in_response)),
            },
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

    /// What a response means, where the file need not say.
    pub(super) fn response_or_default(
        &mut self,
        response: Option<&spec::Response>,
        names: &Names,
    ) -> Response {
        match response {
            Some(response) => self.response(response, names),
            None => Response { quota: self.quota.clone(), ..Response::default() },
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
        if response.decode == Some(Decode::Multipart) {
            let span = response.shape.value("decode", response.span);
            let problem = Diagnostic::new(Code::InvalidValue, span, "no response is `multipart`");
            self.out.push(
                problem.label("webhooks are").help("the choice is `json`, `form`, `xml`, `text`, `none`"),
            );
        }
        Response {
            decode: response.decode,
            classes,
            ok: self.optional_condition(response.ok.as_ref(), names),
            id: response.id.as_ref().map(|raw| self.value(&raw.0, names)),
            returns: response.r#return.as_ref().map(|raw| self.value(&raw.0, names)),
            error_code: error.and_then(|error| error.code.as_ref()).map(|raw| self.value(&raw.0, names)),
            error_message: error
                .and_then(|error| error.message.as_ref())
                .map(|raw| self.value(&raw.0, names)),
            quota: self.quota.clone(),
        }
    }
}
