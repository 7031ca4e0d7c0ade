//! An event whose webhook was answered before all of it was known, made as a whole when it is delivered.
//!
//! The webhook is evaluated once more, for one node, with what calls answer and with what is remembered. Invariant:
//! what was known when the webhook came (id, contact, time) stays as it was, and a message is never lost because
//! something of it can't be had.

use std::sync::Arc;

use smol_str::SmolStr;

use super::calling::{CallProgress, CallStep, Calling, broken};
use super::emit::Emitter;
use super::incoming::Incoming;
use super::receive::{Site, evaluate, find_route};
use super::sending::Outcome;
use crate::call::{CallCache, Outgoing, Response, TransportError};
use crate::expression::{Env, Wanted};
use crate::memory::{Memory, Remember};
use crate::message::{Event, EventKind, Fault};
use crate::plan::Channel;

/// What an agent reads where the rest of a message can't be had.
const LOST: &str = "[the content of this message could not be fetched]";

/// What was there when the webhook came.
pub struct Origin<'a> {
    /// Where it came in.
    pub site: Site<'a>,
    /// Whether its route is a shared one.
    pub shared: bool,
    /// The webhook.
    pub request: &'a Incoming,
    /// Which of its nodes the event is.
    pub place: &'a [usize],
    /// The event as far as it was known.
    pub known: &'a Event,
}

/// An event that is being made as a whole.
pub struct Late<'a> {
    origin: Origin<'a>,
    calling: Calling<'a, 'a>,
    ended: Option<Outcome>,
}

/// What is to be done next for an event.
#[derive(Debug)]
pub enum Making {
    /// Send this request and tell [`Late::answer`] what came of it.
    Request(Box<Outgoing>),
    /// Somebody else is making a call that this event needs: wait for it ([`CallCache::wait`]), then go on.
    Wait(String),
    /// Nothing; this is the event.
    Whole(Box<Whole>),
    /// Nothing for now: a call failed for now, or wants to wait.
    Ended(Outcome),
}

/// An event as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    /// The event.
    pub event: Event,
    /// What of it can't be had, if anything.
    pub problem: Option<String>,
    /// It says nothing because the provider refuses our credentials: the operator's to mend, and worth waiting for.
    pub is_refused: bool,
}

impl<'a> Late<'a> {
    /// An event of `channel` that goes on where `progress` stopped. `cache` has the values of calls that are used
    /// again.
    pub fn new(
        origin: Origin<'a>,
        channel: &Channel,
        memory: Memory,
        progress: CallProgress,
        cache: Arc<CallCache>,
    ) -> Self {
        let Site { plan, world, .. } = origin.site;
        let calling = Calling::new(plan, channel, cache, progress, world, plan.limits.timeout)
            .about(SmolStr::new(&origin.known.contact.id), memory);
        Self { origin, calling, ended: None }
    }

    /// What is to be done next.
    pub fn step(&mut self) -> Making {
        loop {
            if let Some(outcome) = &self.ended {
                return Making::Ended(outcome.clone());
            }
            match self.calling.step() {
                CallStep::Idle => {}
                CallStep::Request(request) => return Making::Request(request),
                CallStep::Wait(key) => return Making::Wait(key),
            }
            match self.make(false) {
                Ok(whole) => return Making::Whole(Box::new(whole)),
                Err(wanted) => {
                    if let Err(failure) = self.calling.want(wanted) {
                        self.ended = Some(broken(&failure));
                    }
                }
            }
        }
    }

    /// Tells what came of the request that [`Late::step`] handed out.
    pub fn answer(&mut self, answer: Result<Response, TransportError>) {
        self.ended = self.calling.answer(answer);
    }

    /// How far its calls have come, without those that failed: a later attempt makes them again.
    pub fn progress(&self) -> CallProgress {
        self.calling.progress_without_failures()
    }

    /// What is to be remembered because of its calls.
    pub fn remembered(&self) -> &[Remember] {
        self.calling.remembered()
    }

    /// The event without what its calls would say; `why` is why they can't be made.
    pub fn without_calls(&self, why: &str) -> Whole {
        let made = self.make(true).unwrap_or_else(|_| self.lost(why));
        Whole { problem: Some(why.to_string()), ..made }
    }

    /// The event as a whole, or the call that it needs first. A call that failed for good is null, as every call is
    /// that is not known and not to be made.
    fn make(&self, without_calls: bool) -> Result<Whole, Wanted> {
        let Origin { site, shared, request, place, known } = &self.origin;
        let route = match find_route(site.plan, *shared, &request.method, &request.route) {
            Ok(route) => route,
            Err(problem) => return Ok(self.lost(&problem.to_string())),
        };
        let mut env = Env::new(site.world);
        self.calling.inform(&mut env);
        env.answers.forgiving = true;
        env.answers.deferring = without_calls;
        let emitter = match evaluate(site, route, request, Emitter::only(place), &mut env) {
            Ok(emitter) => emitter,
            Err(problem) => return Ok(self.lost(&problem)),
        };
        if let Some(wanted) = env.answers.wanted.take() {
            return Err(wanted);
        }
        let events = emitter.events.iter().map(|routed| &routed.event);
        let of_kind: Vec<&Event> = events.filter(|event| event.kind == known.kind).collect();
        let same = of_kind.iter().find(|event| event.id == known.id);
        // An id that the mapping makes up is another each time.
        let only = of_kind.first().filter(|_| of_kind.len() == 1);
        let Some(found) = same.or(only) else {
            let why = emitter.failed.as_deref().or(emitter.ignored.as_deref());
            return Ok(self.lost(why.unwrap_or("the mapping makes no such event any more")));
        };
        let mut event = (*found).clone();
        event.id.clone_from(&known.id);
        event.timestamp = known.timestamp;
        event.contact.id.clone_from(&known.contact.id);
        let says = matches!(event.kind, EventKind::Message | EventKind::MessageEcho);
        let is_blank = says && event.content.is_empty();
        if is_blank {
            event.content.text = Some(LOST.into());
        }
        let failed =
            |(key, answer): (&String, &Result<_, Fault>)| Some(format!("{key}: {}", answer.as_ref().err()?));
        let problem = self.calling.known().iter().find_map(failed);
        Ok(Whole { event, problem, is_refused: is_blank && self.calling.is_refused() })
    }

    /// The event as far as it was known, and a word that there was more.
    fn lost(&self, why: &str) -> Whole {
        let mut event = self.origin.known.clone();
        let is_refused = event.content.is_empty() && self.calling.is_refused();
        let known = event.content.text.take().map(|text| format!("{text}\n"));
        event.content.text = Some(format!("{}{LOST}", known.unwrap_or_default()));
        Whole { event, problem: Some(why.to_string()), is_refused }
    }
}
