//! What the gateway does of its own accord, once: exchanges with the provider, a value that needs calls, or one page
//! of a poll.
//!
//! Like [`Sending`](super::Sending) it does no input or output itself: it hands out one request after another, is
//! told each response, and ends with an outcome. Nothing of it is kept for a later attempt.

use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;

use super::calling::{Again, CallProgress, CallStep as Step, Calling, Followed, broken_in};
use super::emit::Emitter;
use super::receive::{Routed, enter};
use super::sending::{Next, Outcome};
use crate::call::{CallCache, Outgoing, Response, TransportError, build};
use crate::expression::{Env, Failure, Map, Scope, Template, Value};
use crate::memory::{Memory, Remember};
use crate::plan::{CallAction, CallStep, Channel, Exchange, Plan, Poll};
use crate::world::World;

/// Where errands are run.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The mapping.
    pub plan: &'a Plan,
    /// The channel.
    pub channel: &'a Channel,
    /// The values of calls that are used again.
    pub calls: &'a Arc<CallCache>,
    /// Time and randomness.
    pub world: &'a World,
    /// How long a response may take.
    pub timeout: Duration,
}

/// What a page of a poll came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The events.
    pub events: Vec<Routed>,
    /// What is remembered without an event.
    pub remember: Vec<Remember>,
    /// Where the next page begins; null where the page does not say.
    pub cursor: Value,
    /// Whether the next page is to be fetched at once.
    pub more: bool,
    /// Why the mapping could not understand it, or all of it.
    pub failed: Option<String>,
}

/// One thing to be done.
pub struct Errand<'a> {
    work: Work<'a>,
    channel: &'a Channel,
    env: Env<'a>,
    calling: Calling<'a, 'a>,
    /// The step that is next.
    at: usize,
    again: Again,
    /// What came of it so far.
    value: Value,
    page: Page,
    ids: Vec<Vec<String>>,
    outcome: Option<Outcome>,
    timeout: Duration,
}

enum Work<'a> {
    Steps(&'a [CallStep]),
    Value(&'a Template),
    /// Whether its exchange is done.
    Page(&'a Poll, bool),
}

impl<'a> Errand<'a> {
    fn new(ground: Ground<'a>, work: Work<'a>) -> Self {
        let Ground { plan, channel, calls, world, timeout } = ground;
        let mut env = Env::new(world);
        enter(channel, &mut env);
        let calling = Calling::new(plan, channel, calls.clone(), CallProgress::default(), world, timeout);
        Self {
            work,
            channel,
            env,
            calling,
            at: 0,
            again: Again::default(),
            value: Value::Null,
            page: Page::default(),
            ids: Vec::new(),
            outcome: None,
            timeout,
        }
    }

    /// Exchanges, one after the other.
    pub fn steps(ground: Ground<'a>, steps: &'a [CallStep]) -> Self {
        Self::new(ground, Work::Steps(steps))
    }

    /// A value.
    pub fn value_of(ground: Ground<'a>, value: &'a Template) -> Self {
        Self::new(ground, Work::Value(value))
    }

    /// One page of a poll, which goes on at `cursor`. `given` is a map over the poll's own `with`.
    pub fn page(ground: Ground<'a>, poll: &'a Poll, cursor: Value, given: &Value) -> Self {
        let mut errand = Self::new(ground, Work::Page(poll, false));
        errand.env.set(Scope::Cursor, cursor);
        errand.env.set(Scope::Arg, given.clone());
        errand
    }

    /// Lets it see a contact, empty for none, and what is remembered.
    #[must_use]
    pub fn about(mut self, contact: &str, memory: Memory) -> Self {
        if !contact.is_empty() {
            self.env.set(Scope::Contact, Value::map([("id", Value::text(contact))]));
        }
        self.calling = self.calling.about(SmolStr::new(contact), memory);
        self
    }

    /// What is to be remembered because of the requests that were made.
    pub fn remembered(&self) -> &[Remember] {
        self.calling.remembered()
    }

    /// What came of it: the value, or what the last exchange returned.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// What a page came to, once the outcome says that it was sent.
    pub fn into_page(self) -> Page {
        self.page
    }

    /// Whether the request that was handed out is that of a call which a value asked for.
    pub fn is_call(&self) -> bool {
        self.calling.is_asking()
    }

    /// Goes on after the wait that [`Outcome::Later`] asked for.
    pub fn resume(&mut self) {
        self.outcome.take_if(|outcome| matches!(outcome, Outcome::Later { .. }));
    }

    /// What is to be done next.
    pub fn step(&mut self) -> Next {
        loop {
            if let Some(outcome) = &self.outcome {
                return Next::Done(outcome.clone());
            }
            match self.calling.step() {
                Step::Idle => {}
                Step::Request(request) => return Next::Request(request),
                Step::Wait(key) => return Next::Wait(key),
            }
            self.calling.inform(&mut self.env);
            match self.prepare() {
                Ok(Some(request)) => return Next::Request(request),
                Ok(None) => {}
                Err(failure) => {
                    let result = match self.env.answers.wanted.take() {
                        Some(wanted) => self.calling.want(wanted),
                        None => Err(failure),
                    };
                    self.outcome = result.err().map(|failure| broken_in(&mut self.env, &failure));
                }
            }
        }
    }

    /// The next request; none where there was something to do without one.
    fn prepare(&mut self) -> Result<Option<Box<Outgoing>>, Failure> {
        match &mut self.work {
            Work::Value(template) => {
                self.value = template.eval(&mut self.env)?;
                self.end();
            }
            Work::Steps(steps) => {
                let Some(step) = steps.get(self.at) else {
                    self.end();
                    return Ok(None);
                };
                if let Some(when) = &step.when
                    && !when.holds(&mut self.env)?
                {
                    self.at += 1;
                    return Ok(None);
                }
                self.env.world.reach(step);
                step.lets.bind_with(&mut self.env, &self.again.with)?;
                match &step.action {
                    CallAction::Exchange(exchange) => {
                        return Ok(Some(Box::new(build(&exchange.request, self.timeout, &mut self.env)?)));
                    }
                    CallAction::Compute(template) => {
                        let value = template.eval(&mut self.env)?;
                        self.settle(step, value);
                    }
                }
            }
            Work::Page(poll, false) => {
                let given = self.env.scope(Scope::Arg).clone();
                let with = poll.with.eval(&mut self.env)?;
                let both = [&with, &given].into_iter().filter_map(Value::as_map).flat_map(Map::iter);
                let both: Map = both.map(|(name, value)| (name.clone(), value.clone())).collect();
                self.env.set(Scope::Arg, Value::Map(both.into()));
                return Ok(Some(Box::new(build(&poll.exchange.request, self.timeout, &mut self.env)?)));
            }
            Work::Page(poll, true) => {
                let poll = *poll;
                self.page = self.read(poll)?;
                self.end();
            }
        }
        Ok(None)
    }

    /// What a page says.
    fn read(&mut self, poll: &Poll) -> Result<Page, Failure> {
        let env = &mut self.env;
        env.set(Scope::It, self.value.clone());
        env.set(Scope::Root, self.value.clone());
        let mut emitter = Emitter::default();
        emitter.node(&poll.rule, &self.channel.name, env);
        if env.answers.wanted.is_some() {
            return Err(Failure("a call has not been made".into()));
        }
        env.set(Scope::It, self.value.clone());
        let Emitter { events, remember, mut failed, .. } = emitter;
        let mut told = |failure: Failure, what: &str| {
            failed.get_or_insert(format!("`{what}`: {failure}"));
        };
        let cursor = poll.cursor.as_ref().map_or(Ok(Value::Null), |cursor| cursor.eval(env));
        let cursor = cursor.unwrap_or_else(|failure| {
            told(failure, "cursor");
            Value::Null
        });
        let more = poll.more.as_ref().map_or(Ok(false), |more| more.holds(env));
        let more = more.unwrap_or_else(|failure| {
            told(failure, "more");
            false
        });
        Ok(Page { events, remember, cursor, more, failed })
    }

    /// Tells what came of the request that [`Errand::step`] handed out.
    pub fn answer(&mut self, answer: Result<Response, TransportError>) {
        if self.calling.is_asking() {
            self.outcome = self.calling.answer(answer);
            return;
        }
        let (step, exchange): (Option<&CallStep>, &Exchange) = match &self.work {
            Work::Steps(steps) => match steps.get(self.at).map(|step| (step, &step.action)) {
                Some((step, CallAction::Exchange(exchange))) => (Some(step), exchange),
                _ => return,
            },
            Work::Page(poll, false) => (None, &poll.exchange),
            _ => return,
        };
        match self.calling.follow(exchange, answer, &mut self.again, &mut self.env) {
            Followed::Done(value, ids) => {
                if !ids.is_empty() {
                    self.ids.push(ids);
                }
                match (step, &mut self.work) {
                    (Some(step), _) => self.settle(step, value),
                    (None, Work::Page(_, done)) => {
                        *done = true;
                        self.value = value;
                    }
                    _ => {}
                }
            }
            Followed::Again(0) => {}
            Followed::Again(after) => self.outcome = Some(Outcome::Later { after }),
            Followed::Ended(outcome) => self.outcome = Some(outcome),
        }
    }

    /// A step is over.
    fn settle(&mut self, step: &CallStep, value: Value) {
        if let Some(slot) = step.result {
            self.env.set_local(slot, value.clone());
        }
        self.value = value;
        self.at += 1;
        self.again = Again::default();
    }

    fn end(&mut self) {
        self.outcome = Some(Outcome::Sent { ids: std::mem::take(&mut self.ids), rest: None });
    }
}
