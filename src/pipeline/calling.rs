//! The calls that an evaluation wants: handed out request by request, told the responses, until the value is known.
//!
//! Like [`Sending`](super::Sending) it does no input or output itself. A call may want others, for its token or its
//! steps: a stack. What calls without a cache came to is part of the progress of a message, so a retry does not
//! make them again; what is cached is not, since it may be a secret.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;

use super::receive::enter;
use super::remember::{forget, remember};
use super::sending::Outcome;
use crate::call::{
    Cached, CallCache, Claim, Lookup, Meaning, Outgoing, Response, TransportError, build, interpret,
    millis_of,
};
use crate::expression::{Env, Failure, Known, Scope, Value, Wanted, hex};
use crate::memory::{Memory, Remember};
use crate::message::Fault;
use crate::plan::{Cache, Call, CallAction, Channel, Exchange, Memo, Owner, Plan};
use crate::world::{Millis, World};

/// The code of a failure that is the mapping's own.
const MAPPING: &str = "mapping";
/// How many calls may need each other.
const DEEPEST: usize = 16;
/// The most calls for one message or event.
const MOST: usize = 1000;

/// How far calls have come, for a later attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallProgress {
    /// What calls without a cache came to.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    answers: Known,
    /// The calls under way: each wants the one behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stack: Vec<Frame>,
}

impl CallProgress {
    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.stack.is_empty()
    }
}

/// A call under way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Frame {
    call: SmolStr,
    key: String,
    arguments: Value,
    /// The step that is next.
    at: usize,
    /// The values of earlier steps, by slot.
    results: Vec<(usize, Value)>,
    /// The value of the last step.
    value: Value,
    /// For how long it can be used again, in milliseconds.
    ttl: Option<u64>,
    again: Again,
}

/// What is known of requests that are made more than once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Again {
    /// How often the request was repeated.
    repeated: u32,
    /// A cached value was fetched anew for it.
    refreshed: bool,
    /// It was redone.
    redone: bool,
    /// The values that it is redone with, by slot.
    pub(super) with: Vec<(usize, Value)>,
}

impl Again {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What follows from the response to a request.
pub(super) enum Followed {
    /// It succeeded; this is what it returns, with the provider's ids.
    Done(Value, Vec<String>),
    /// The request is made again, after so many milliseconds.
    Again(u64),
    /// It did not succeed.
    Ended(Outcome),
}

/// What is to be done next for a call.
pub(super) enum CallStep {
    /// Nothing: no call is under way.
    Idle,
    /// Send this request.
    Request(Box<Outgoing>),
    /// Somebody else makes this call; wait for it.
    Wait(String),
}

/// Calls on their way.
pub(super) struct Calling<'p, 'w> {
    plan: &'p Plan,
    channel: SmolStr,
    contact: SmolStr,
    memory: Memory,
    /// The scope `store`, which is `memory`.
    store: Value,
    /// What is to be remembered because of the requests that were made, and forgotten.
    remember: Vec<Remember>,
    base: Env<'w>,
    cache: Arc<CallCache>,
    progress: CallProgress,
    known: Arc<Known>,
    /// The cached answers among those known: by key, the call and the place in the cache.
    cached: BTreeMap<String, (usize, String)>,
    claims: Vec<(String, Claim)>,
    /// The surroundings of the request that was handed out.
    under_way: Option<Env<'w>>,
    rest: Option<u64>,
    timeout: std::time::Duration,
    made: usize,
    /// The provider refused the credentials of a request.
    is_refused: bool,
}

impl<'p, 'w> Calling<'p, 'w> {
    pub(super) fn new(
        plan: &'p Plan,
        channel: &Channel,
        cache: Arc<CallCache>,
        progress: CallProgress,
        world: &'w World,
        timeout: std::time::Duration,
    ) -> Self {
        let mut base = Env::new(world);
        enter(channel, &mut base);
        let known = Arc::new(progress.answers.clone());
        Self {
            plan,
            channel: channel.name.clone(),
            contact: SmolStr::default(),
            memory: Memory::default(),
            store: Value::Null,
            remember: Vec::new(),
            base,
            cache,
            progress,
            known,
            cached: BTreeMap::new(),
            claims: Vec::new(),
            under_way: None,
            rest: None,
            timeout,
            made: 0,
            is_refused: false,
        }
    }

    /// The same with the contact that it is about and what is remembered.
    pub(super) fn about(mut self, contact: SmolStr, memory: Memory) -> Self {
        self.contact = contact;
        self.store = memory.scope();
        self.memory = memory;
        self
    }

    /// What is to be remembered because of the requests that were made, and forgotten.
    pub(super) fn remembered(&self) -> &[Remember] {
        &self.remember
    }

    /// Forgets what could be used only once.
    pub(super) fn consume(&mut self, names: &[(Owner, SmolStr)]) {
        let changes =
            names.iter().filter_map(|(owner, name)| forget(*owner, name, &self.channel, &self.contact).ok());
        self.change(changes.collect());
    }

    /// Remembers what a response says. Its request was made, so what can't be remembered is no reason to make it
    /// again.
    fn remember(&mut self, memos: &[Memo], env: &mut Env<'_>) {
        match remember(memos, &self.channel, &self.contact, env) {
            Ok(changes) => self.change(changes),
            Err(failure) => tracing::warn!(channel = %self.channel, %failure, "not remembered"),
        }
    }

    fn change(&mut self, changes: Vec<Remember>) {
        if !changes.is_empty() {
            changes.iter().for_each(|change| self.memory.apply(change));
            self.store = self.memory.scope();
            self.remember.extend(changes);
        }
    }

    /// The answers that are known.
    pub(super) fn known(&self) -> &Arc<Known> {
        &self.known
    }

    pub(super) fn timeout(&mut self, timeout: std::time::Duration) {
        self.timeout = timeout;
    }

    pub(super) fn progress(&self) -> &CallProgress {
        &self.progress
    }

    /// How far calls have come, without those that failed: a later attempt makes them again.
    pub(super) fn progress_without_failures(&self) -> CallProgress {
        let mut progress = self.progress.clone();
        progress.answers.retain(|_, answer| answer.is_ok());
        progress
    }

    /// Whether the provider refused the credentials of a request.
    pub(super) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Whether a request was handed out that is a call's.
    pub(super) fn is_asking(&self) -> bool {
        self.under_way.is_some()
    }

    /// Lets an evaluation know what is known.
    pub(super) fn inform(&self, env: &mut Env<'_>) {
        env.answers.known = self.known.clone();
        env.set(Scope::Store, self.store.clone());
        env.answers.wanted = None;
        env.answers.fault = None;
        env.refill();
    }

    /// A call that an evaluation wants.
    pub(super) fn want(&mut self, wanted: Wanted) -> Result<(), Failure> {
        self.made += 1;
        if self.progress.stack.len() >= DEEPEST || self.made > MOST {
            return Err(Failure(format!("the mapping makes too many calls; `{}` was not made", wanted.key)));
        }
        let Some(call) = self.plan.calls.get(wanted.index) else {
            return Err(Failure(format!("there is no call `{}`", wanted.key)));
        };
        let Wanted { arguments, key, .. } = wanted;
        self.progress.stack.push(Frame { call: call.name.clone(), key, arguments, ..Frame::default() });
        Ok(())
    }

    /// What is to be done next.
    pub(super) fn step(&mut self) -> CallStep {
        loop {
            let Some(frame) = self.progress.stack.last().cloned() else { return CallStep::Idle };
            let Some((index, call)) = self.find(&frame.call) else {
                let message = "the mapping does not have this call any more".to_string();
                self.finish(Err(Fault { code: MAPPING.into(), message }));
                continue;
            };
            let mut env = self.surroundings(&frame);
            if let Some(cache) = &call.cache {
                match self.claim(call, cache, &frame, &mut env) {
                    Ok(Lookup::Make(claim)) => self.claims.push((frame.key.clone(), claim)),
                    Ok(Lookup::Busy) => return CallStep::Wait(self.cache_key(call, &frame, &mut env)),
                    Ok(Lookup::Found(value)) => {
                        let place = self.cache_key(call, &frame, &mut env);
                        self.cached.insert(frame.key.clone(), (index, place));
                        Arc::make_mut(&mut self.known).insert(frame.key, value);
                        self.progress.stack.pop();
                        continue;
                    }
                    Err(None) => {}
                    Err(Some(failure)) => {
                        self.unless_wanted(failure, &mut env);
                        continue;
                    }
                }
            }
            let Some(step) = call.steps.get(frame.at) else {
                self.finish(Ok(frame.value));
                continue;
            };
            match self.prepare(step, &frame, &mut env) {
                Ok(Prepared::Nothing) => self.settle(None, frame.value),
                Ok(Prepared::Value(value)) => {
                    let ttl = ttl(call, &mut env);
                    self.settle(step.result, value);
                    self.note_ttl(ttl);
                }
                Ok(Prepared::Request(request)) => {
                    self.under_way = Some(env);
                    return CallStep::Request(request);
                }
                Err(failure) => self.unless_wanted(failure, &mut env),
            }
        }
    }

    /// Tells what came of the request that was handed out. An outcome means that the attempt is over.
    pub(super) fn answer(&mut self, answer: Result<Response, TransportError>) -> Option<Outcome> {
        let mut env = self.under_way.take()?;
        let frame = self.progress.stack.last()?.clone();
        let (_, call) = self.find(&frame.call)?;
        let step = call.steps.get(frame.at)?;
        let CallAction::Exchange(exchange) = &step.action else { return None };
        let mut again = frame.again.clone();
        let followed = self.follow(exchange, answer, &mut again, &mut env);
        if let Some(frame) = self.progress.stack.last_mut() {
            frame.again = again;
        }
        match followed {
            Followed::Done(value, _) => {
                let ttl = ttl(call, &mut env);
                self.settle(step.result, value);
                self.note_ttl(ttl);
                None
            }
            Followed::Again(0) => None,
            Followed::Again(after) => Some(Outcome::Later { after }),
            Followed::Ended(Outcome::Failed { fault } | Outcome::OptOut { fault }) => {
                self.finish(Err(fault));
                None
            }
            Followed::Ended(outcome) => Some(outcome),
        }
    }

    /// How long nobody should send, in milliseconds, by the latest response.
    pub(super) fn rest(&self) -> Option<u64> {
        self.rest
    }

    /// What follows from a response, for a call's request as for a message's.
    pub(super) fn follow(
        &mut self,
        exchange: &Exchange,
        answer: Result<Response, TransportError>,
        again: &mut Again,
        env: &mut Env<'_>,
    ) -> Followed {
        let used = std::mem::take(&mut env.answers.used);
        let status = answer.as_ref().map_or(0, |response| response.status);
        let (mut meaning, value) = interpret(&exchange.response, answer, env);
        self.rest = match &meaning {
            Meaning::Success { rest, .. } => *rest,
            _ => None,
        };
        if let Meaning::Fail { fault } | Meaning::Refuse { fault } = &meaning
            && used.iter().any(|key| self.is_stale(key, status, env))
        {
            meaning = Meaning::Reauth { fault: fault.clone() };
        }
        if let Meaning::Success { .. } = meaning {
            self.remember(&exchange.response.remember, env);
        }
        match meaning {
            Meaning::Success { ids, .. } => match &exchange.repeat {
                None => Followed::Done(value, ids),
                Some(repeat) => match repeat.until.holds(env) {
                    Ok(true) => Followed::Done(value, ids),
                    Ok(false) if again.repeated + 1 >= repeat.max => {
                        let message = format!("not done after {} requests", repeat.max);
                        Followed::Ended(Outcome::Failed { fault: Fault { code: "repeat".into(), message } })
                    }
                    Ok(false) => {
                        again.repeated += 1;
                        let delay = repeat.delay.as_ref().map_or(Ok(Value::Int(1)), |delay| delay.eval(env));
                        Followed::Again(delay.ok().as_ref().and_then(millis_of).unwrap_or(1000))
                    }
                    Err(failure) => Followed::Ended(broken(&failure)),
                },
            },
            Meaning::Retry { fault, after } => Followed::Ended(Outcome::Retry { fault, after }),
            Meaning::Throttle { fault, after } => Followed::Ended(Outcome::Throttled { fault, after }),
            Meaning::Fail { fault } => Followed::Ended(Outcome::Failed { fault }),
            Meaning::Refuse { fault } => {
                self.is_refused = true;
                Followed::Ended(Outcome::Failed { fault })
            }
            Meaning::OptOut { fault } => Followed::Ended(Outcome::OptOut { fault }),
            Meaning::Reauth { fault } if again.refreshed => Followed::Ended(Outcome::Failed { fault }),
            Meaning::Reauth { fault } => {
                if !self.forget(&used) {
                    return Followed::Ended(Outcome::Failed { fault });
                }
                again.refreshed = true;
                Followed::Again(0)
            }
            Meaning::Redo { fault, .. } if again.redone => Followed::Ended(Outcome::Failed { fault }),
            Meaning::Redo { with, .. } => {
                again.redone = true;
                again.with = with;
                Followed::Again(0)
            }
        }
    }

    /// Whether a response shows that a cached answer is no good any more.
    fn is_stale(&self, key: &str, status: u16, env: &mut Env<'_>) -> bool {
        let call = self.cached.get(key).and_then(|(index, _)| self.plan.calls.get(*index));
        call.and_then(|call| call.cache.as_ref()).is_some_and(|cache| {
            cache.refresh_statuses.contains(&status)
                || cache.refresh_when.as_ref().is_some_and(|when| when.holds(env).unwrap_or(false))
        })
    }

    /// Forgets the cached ones among these answers; whether there were any.
    pub(super) fn forget(&mut self, used: &[String]) -> bool {
        let mut any = false;
        for key in used {
            if let Some((index, place)) = self.cached.remove(key) {
                if let Some(answer) = self.known.get(key) {
                    self.cache.forget(&place, answer);
                }
                let cache = self.plan.calls.get(index).and_then(|call| call.cache.as_ref());
                if cache.is_some_and(|cache| cache.persist) {
                    self.keep(&place, None);
                }
                Arc::make_mut(&mut self.known).remove(key);
                any = true;
            }
        }
        any
    }

    fn find(&self, name: &str) -> Option<(usize, &'p Call)> {
        self.plan.calls.iter().enumerate().find(|(_, call)| call.name == name)
    }

    fn surroundings(&self, frame: &Frame) -> Env<'w> {
        let mut env = self.base.clone();
        self.inform(&mut env);
        env.set(Scope::Arg, frame.arguments.clone());
        for (slot, value) in &frame.results {
            env.set_local(*slot, value.clone());
        }
        env
    }

    /// Asks the cache, where it was not asked for this call yet. `Err(None)`: it was, and this is who makes the call.
    fn claim(
        &self,
        call: &Call,
        cache: &Cache,
        frame: &Frame,
        env: &mut Env<'_>,
    ) -> Result<Lookup, Option<Failure>> {
        if self.claims.iter().any(|(key, _)| *key == frame.key) {
            return Err(None);
        }
        if let Some(key) = &cache.key {
            key.eval(env).map_err(Some)?;
        }
        let place = self.cache_key(call, frame, env);
        let found = self.cache.look_up(&place, env.now);
        if let (Lookup::Make(_), true) = (&found, cache.persist)
            && let Some(kept) = self.kept(&place)
        {
            self.cache.put(&place, kept.clone());
            return Ok(Lookup::Found(kept.value));
        }
        Ok(found)
    }

    /// What the store has of a value that outlives the process.
    fn kept(&self, place: &str) -> Option<Cached> {
        let kept = self.memory.channel.get(&kept_name(place))?;
        let expires_at = kept.get("until").to_int().and_then(|until| Millis::try_from(until).ok())?;
        let value = Ok(kept.get("value").clone());
        (expires_at > self.base.now).then_some(Cached { value, expires_at })
    }

    /// Keeps a value in the store, or nothing any more.
    fn keep(&mut self, place: &str, cached: Option<(&Value, Millis)>) {
        let value = cached.map_or(Value::Null, |(value, until)| {
            Value::map([("value", value.clone()), ("until", Value::Int(until.into()))])
        });
        let change = Remember {
            channel: self.channel.clone(),
            contact: SmolStr::default(),
            name: kept_name(place),
            value,
            expires_at: cached.map(|(_, until)| until),
        };
        self.change(vec![change]);
    }

    fn cache_key(&self, call: &Call, frame: &Frame, env: &mut Env<'_>) -> String {
        let own = call.cache.as_ref().and_then(|cache| cache.key.as_ref());
        match own.and_then(|key| key.eval(env).ok()) {
            Some(key) => format!("{} {} {}", self.channel, call.name, key.to_text()),
            None => format!("{} {}", self.channel, frame.key),
        }
    }

    fn prepare(
        &self,
        step: &'p crate::plan::CallStep,
        frame: &Frame,
        env: &mut Env<'w>,
    ) -> Result<Prepared, Failure> {
        if let Some(when) = &step.when
            && !when.holds(env)?
        {
            return Ok(Prepared::Nothing);
        }
        env.world.reach(step);
        step.lets.bind_with(env, &frame.again.with)?;
        match &step.action {
            CallAction::Compute(template) => Ok(Prepared::Value(template.eval(env)?)),
            CallAction::Exchange(exchange) => {
                Ok(Prepared::Request(Box::new(build(&exchange.request, self.timeout, env)?)))
            }
        }
    }

    /// An evaluation of the top call failed: it wants another call, or is broken.
    fn unless_wanted(&mut self, failure: Failure, env: &mut Env<'_>) {
        let result = match env.answers.wanted.take() {
            Some(wanted) => self.want(wanted),
            None => Err(failure),
        };
        if let Err(failure) = result {
            let fault = env.answers.fault.take();
            self.finish(Err(fault.unwrap_or(Fault { code: MAPPING.into(), message: failure.0 })));
        }
    }

    /// The top call's step is over.
    fn settle(&mut self, result: Option<usize>, value: Value) {
        let Some(frame) = self.progress.stack.last_mut() else { return };
        if let Some(slot) = result {
            frame.results.push((slot, value.clone()));
        }
        frame.value = value;
        frame.at += 1;
        frame.again = Again::default();
    }

    fn note_ttl(&mut self, ttl: Option<u64>) {
        if let Some(frame) = self.progress.stack.last_mut() {
            frame.ttl = ttl;
        }
    }

    /// The top call is over.
    fn finish(&mut self, value: Result<Value, Fault>) {
        let Some(frame) = self.progress.stack.pop() else { return };
        if let Some((index, call)) = self.find(&frame.call)
            && let Some(cache) = &call.cache
        {
            let place = self.cache_key(call, &frame, &mut self.surroundings(&frame));
            let ttl = match &value {
                Ok(_) => frame.ttl,
                // Credentials that are refused may be mended at any moment.
                Err(_) if self.is_refused => None,
                Err(_) => cache.negative_ttl.and_then(|ttl| u64::try_from(ttl.as_millis()).ok()),
            };
            if let Some(ttl) = ttl.and_then(|ttl| Millis::try_from(ttl).ok()).filter(|ttl| *ttl > 0) {
                let expires_at = self.base.now.saturating_add(ttl);
                self.cache.put(&place, Cached { value: value.clone(), expires_at });
                if let (Ok(value), true) = (&value, cache.persist) {
                    self.keep(&place, Some((value, expires_at)));
                }
            }
            self.cached.insert(frame.key.clone(), (index, place));
            self.claims.retain(|(key, _)| *key != frame.key);
        } else {
            self.progress.answers.insert(frame.key.clone(), value.clone());
        }
        Arc::make_mut(&mut self.known).insert(frame.key, value);
    }
}

/// The name under which a channel remembers the value of a call.
fn kept_name(place: &str) -> SmolStr {
    SmolStr::from(format!("call.{}", hex(Sha256::digest(place.as_bytes()).get(..16).unwrap_or_default())))
}

/// How long what a step gave could be used again, in milliseconds: the last step's counts.
fn ttl(call: &Call, env: &mut Env<'_>) -> Option<u64> {
    let cache = call.cache.as_ref()?;
    let ttl = cache.ttl.eval(env).ok().as_ref().and_then(millis_of);
    let margin = u64::try_from(cache.margin.as_millis()).unwrap_or(u64::MAX);
    ttl.map(|ttl| ttl.saturating_sub(margin))
}

enum Prepared {
    Nothing,
    Value(Value),
    Request(Box<Outgoing>),
}

/// A value that can't be made: because of a call that failed, or of the mapping.
pub(super) fn broken_in(env: &mut Env<'_>, failure: &Failure) -> Outcome {
    match env.answers.fault.take() {
        Some(fault) => Outcome::Failed { fault },
        None => broken(failure),
    }
}

/// A mapping that can't be evaluated.
pub(super) fn broken(failure: &Failure) -> Outcome {
    Outcome::Failed { fault: Fault { code: MAPPING.into(), message: failure.to_string() } }
}
