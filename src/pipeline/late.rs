//! An event whose webhook was answered before all of it was known, made as a whole when it is delivered.
//!
//! The webhook is evaluated once more, for one node, with what calls answer and with what is remembered. Invariant:
//! what was known when the webhook came (id, contact, time) stays as it was, and a message is never lost because
//! something of it can't be had.

use std::sync::Arc;

use super::emit::Emitter;
use super::incoming::Incoming;
use super::receive::{Site, evaluate, find_route};
use crate::expression::{Env, Known, Scope, Wanted};
use crate::memory::Memory;
use crate::message::{Event, EventKind};

/// What an agent reads where the rest of a message can't be had.
const LOST: &str = "[the content of this message could not be fetched]";

/// An event that is to be made as a whole.
pub struct Late<'a> {
    /// Where its webhook came in.
    pub site: Site<'a>,
    /// Whether the route is a shared one.
    pub shared: bool,
    /// The webhook.
    pub request: &'a Incoming,
    /// Which of its nodes the event is.
    pub place: &'a [usize],
    /// The event as far as it was known.
    pub known: &'a Event,
    /// What is remembered about its contact and channel.
    pub memory: &'a Memory,
}

/// An event as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// The event.
    pub event: Event,
    /// What of it can't be had, if anything.
    pub problem: Option<String>,
}

impl Late<'_> {
    /// The event as a whole, or the call that it needs first. A call that failed for good is null.
    pub fn make(&self, answers: &Arc<Known>) -> Result<Whole, Wanted> {
        let route = match find_route(self.site.plan, self.shared, &self.request.method, &self.request.route) {
            Ok(route) => route,
            Err(problem) => return Ok(self.lost(&problem.to_string())),
        };
        let mut env = Env::new(self.site.world);
        env.answers.known = answers.clone();
        env.answers.forgiving = true;
        env.set(Scope::Store, self.memory.scope());
        let emitter = Emitter::only(self.place);
        let emitter = match evaluate(&self.site, route, self.request, emitter, &mut env) {
            Ok(emitter) => emitter,
            Err(problem) => return Ok(self.lost(&problem)),
        };
        if let Some(wanted) = env.answers.wanted.take() {
            return Err(wanted);
        }
        let of_kind = || {
            emitter.events.iter().map(|routed| &routed.event).filter(|event| event.kind == self.known.kind)
        };
        let same = of_kind().find(|event| event.id == self.known.id);
        // An id that the mapping makes up is another each time.
        let only = || of_kind().next().filter(|_| of_kind().count() == 1);
        let Some(found) = same.or_else(only) else {
            let why = emitter.failed.as_deref().or(emitter.ignored.as_deref());
            return Ok(self.lost(why.unwrap_or("the mapping makes no such event any more")));
        };
        let mut event = found.clone();
        event.id.clone_from(&self.known.id);
        event.timestamp = self.known.timestamp;
        event.contact.id.clone_from(&self.known.contact.id);
        let says = matches!(event.kind, EventKind::Message | EventKind::MessageEcho);
        if says && event.content.is_empty() {
            event.content.text = Some(LOST.into());
        }
        let problem =
            answers.iter().find_map(|(key, answer)| Some(format!("{key}: {}", answer.as_ref().err()?)));
        Ok(Whole { event, problem })
    }

    /// The event as far as it was known, and a word that there was more.
    pub fn lost(&self, why: &str) -> Whole {
        let mut event = self.known.clone();
        let known = event.content.text.take().map(|text| format!("{text}\n"));
        event.content.text = Some(format!("{}{LOST}", known.unwrap_or_default()));
        Whole { event, problem: Some(why.to_string()) }
    }
}
