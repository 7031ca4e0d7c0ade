//! One message on its way to the provider: hands out a request, is told the response, and so on to an outcome.
//!
//! It does no input or output itself, so `dry-run`, tests, a simulation and the gateway run the same code.
//! Invariant: what [`Progress`] says was sent is never sent again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::calling::{Again, CallProgress, CallStep, Calling, Followed, broken, broken_in};
use super::parts::{attachment_value, parts, reply_value};
use super::receive::enter;
use crate::call::{CallCache, Outgoing, Response, TransportError, build};
use crate::expression::{Env, Failure, Scope, Turn, Value};
use crate::memory::{Memory, Remember};
use crate::message::{Fault, Outbound};
use crate::plan::{Channel, Plan, Send, Step, StepEach};
use crate::world::World;

/// How far a message has come, for a later attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// How many items of steps are settled: sent, or passed over because their step does not apply.
    pub done: usize,
    /// How many requests succeeded.
    #[serde(default)]
    pub sent: usize,
    /// The provider's ids, one list for each request that succeeded and gave some.
    pub ids: Vec<Vec<String>>,
    /// The results that later steps see (`id:` of a step), by slot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    results: Vec<(usize, Value)>,
    /// How far the calls have come that values ask for.
    #[serde(default, skip_serializing_if = "CallProgress::is_empty")]
    calls: CallProgress,
    /// What is known of the next request, if it was made before.
    #[serde(default, skip_serializing_if = "Again::is_default")]
    again: Again,
}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every request succeeded; the provider's ids, one list per request.
    Sent {
        /// The ids.
        ids: Vec<Vec<String>>,
        /// How long nobody should send, in milliseconds, where the provider says.
        rest: Option<u64>,
    },
    /// It failed for now.
    Retry {
        /// Why.
        fault: Fault,
        /// The shortest wait, in milliseconds, where the provider says.
        after: Option<u64>,
    },
    /// The provider wants fewer requests.
    Throttled {
        /// Why.
        fault: Fault,
        /// The shortest wait, in milliseconds, where the provider says.
        after: Option<u64>,
    },
    /// It failed for good.
    Failed {
        /// Why.
        fault: Fault,
    },
    /// The contact wants no messages.
    OptOut {
        /// Why.
        fault: Fault,
    },
    /// It is under way, and goes on after so many milliseconds: the provider is not done yet.
    Later {
        /// How long to wait, in milliseconds.
        after: u64,
    },
}

impl Outcome {
    /// `sent`, `retry`, `throttled`, `failed` or `opt_out`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Retry { .. } | Self::Later { .. } => "retry",
            Self::Throttled { .. } => "throttled",
            Self::Failed { .. } => "failed",
            Self::OptOut { .. } => "opt_out",
        }
    }

    /// Why it was not sent.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Sent { .. } | Self::Later { .. } => None,
            Self::Retry { fault, .. }
            | Self::Throttled { fault, .. }
            | Self::Failed { fault }
            | Self::OptOut { fault } => Some(fault),
        }
    }

    /// The shortest wait, in milliseconds.
    pub fn after(&self) -> Option<u64> {
        match self {
            Self::Retry { after, .. } | Self::Throttled { after, .. } | Self::Sent { rest: after, .. } => {
                *after
            }
            Self::Later { after } => Some(*after),
            _ => None,
        }
    }
}

/// What is to be done next.
#[derive(Debug)]
pub enum Next {
    /// Send this request and tell [`Sending::answer`] what came of it.
    Request(Box<Outgoing>),
    /// Somebody else is making a call that this message needs: wait for it ([`CallCache::wait`]), then go on.
    Wait(String),
    /// Nothing; this is what it came to.
    Done(Outcome),
}

/// One attempt to send a message.
pub struct Sending<'p, 'w> {
    send: &'p Send,
    message: &'p Outbound,
    env: Env<'w>,
    calling: Calling<'p, 'w>,
    /// The parts of the message; none before they are known.
    parts: Option<Vec<Value>>,
    /// The answers of calls that the message as a whole was made with.
    used: Vec<String>,
    /// The step that is next, none of whose items is settled before it is reached.
    step: usize,
    /// The items of that step, each with a request of its own; none before the step is reached.
    items: Option<Vec<Value>>,
    /// How many of them are settled.
    at: usize,
    /// How many items are settled in an earlier attempt and are to be passed over.
    passed: usize,
    progress: Progress,
    outcome: Option<Outcome>,
    timeout: std::time::Duration,
}

impl<'p, 'w> Sending<'p, 'w> {
    /// An attempt that goes on where `progress` stopped. `cache` has the values of calls that are used again.
    pub fn new(
        plan: &'p Plan,
        channel: &Channel,
        memory: Memory,
        message: &'p Outbound,
        mut progress: Progress,
        cache: Arc<CallCache>,
        world: &'w World,
    ) -> Result<Self, Failure> {
        let Some(send) = &plan.send else {
            return Err(Failure(format!("the mapping `{}` can't send messages", plan.name)));
        };
        let mut env = Env::new(world);
        enter(channel, &mut env);
        env.set(Scope::Message, message_scope(message));
        env.set(Scope::Contact, Value::map([("id", Value::text(&message.contact_id))]));
        let calls = std::mem::take(&mut progress.calls);
        let timeout = plan.limits.timeout;
        Ok(Self {
            send,
            message,
            env,
            calling: Calling::new(plan, channel, cache, calls, world, timeout)
                .about(SmolStr::new(&message.contact_id), memory),
            parts: None,
            used: Vec::new(),
            step: 0,
            items: None,
            at: 0,
            passed: progress.done,
            progress,
            outcome: None,
            timeout,
        })
    }

    /// Lets a channel's own limit stand in for the mapping's.
    #[must_use]
    pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
        self.timeout = timeout;
        self.calling.timeout(timeout);
        self
    }

    /// The parts that the message was cut into; null while a call must be made before that is known.
    pub fn parts(&mut self) -> Result<&Value, Failure> {
        self.calling.inform(&mut self.env);
        match self.begin() {
            Err(failure) if self.env.answers.wanted.is_none() => Err(failure),
            _ => Ok(self.env.scope(Scope::Parts)),
        }
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        Progress { calls: self.calling.progress().clone(), ..self.progress.clone() }
    }

    /// How long nobody should send, in milliseconds, by the latest response.
    pub fn rest(&self) -> Option<u64> {
        self.calling.rest()
    }

    /// What is to be remembered because of the requests that were made, and forgotten.
    pub fn remembered(&self) -> &[Remember] {
        self.calling.remembered()
    }

    /// What is to be done next.
    pub fn step(&mut self) -> Next {
        if let Some(outcome) = &self.outcome {
            return Next::Done(outcome.clone());
        }
        loop {
            match self.calling.step() {
                CallStep::Idle => {}
                CallStep::Request(request) => return Next::Request(request),
                CallStep::Wait(key) => return Next::Wait(key),
            }
            self.calling.inform(&mut self.env);
            match self.prepare() {
                Ok(Prepared::Request(request)) => return Next::Request(request),
                Ok(Prepared::Nothing) => self.settle(),
                Ok(Prepared::End) if self.progress.sent == 0 => {
                    let message = "nothing of this message can be sent to the provider".to_string();
                    return self.end(Outcome::Failed { fault: Fault { code: "nothing".into(), message } });
                }
                Ok(Prepared::End) => {
                    return self.end(Outcome::Sent { ids: self.progress.ids.clone(), rest: self.rest() });
                }
                Err(Unprepared::Ended(outcome)) => return self.end(outcome),
                Err(Unprepared::Failed(failure)) => match self.env.answers.wanted.take() {
                    Some(wanted) => {
                        // A name may have wanted it, which gets its value then.
                        self.parts = None;
                        if let Err(failure) = self.calling.want(wanted) {
                            return self.end(broken(&failure));
                        }
                    }
                    None => {
                        let outcome = broken_in(&mut self.env, &failure);
                        return self.end(outcome);
                    }
                },
            }
        }
    }

    fn end(&mut self, outcome: Outcome) -> Next {
        self.outcome = Some(outcome.clone());
        Next::Done(outcome)
    }

    /// Cuts the message into parts, once.
    fn begin(&mut self) -> Result<(), Failure> {
        if self.parts.is_some() {
            return Ok(());
        }
        self.send.lets.bind(&mut self.env)?;
        let parts = parts(&self.send.parts, &self.message.content, &mut self.env)?;
        self.env.set(Scope::Parts, Value::list(parts.clone()));
        for (slot, value) in &self.progress.results {
            self.env.set_local(*slot, value.clone());
        }
        self.parts = Some(parts);
        self.used = self.env.answers.used.clone();
        Ok(())
    }

    /// The request of the next item.
    fn prepare(&mut self) -> Result<Prepared, Unprepared> {
        self.begin()?;
        let (step, items) = loop {
            let Some(step) = self.send.steps.get(self.step) else { return Ok(Prepared::End) };
            let items = match self.items.take() {
                Some(items) => items,
                None => {
                    let items = self.items_of(step)?;
                    self.at = self.passed.min(items.len());
                    self.passed -= self.at;
                    items
                }
            };
            if self.at < items.len() {
                break (step, items);
            }
            self.step += 1;
        };
        self.env.turn = Turn { index: self.at, count: items.len() };
        self.env.set(Scope::It, Value::Null);
        let item = items.get(self.at).cloned().unwrap_or_default();
        self.items = Some(items);
        match &step.each {
            StepEach::Once => {}
            StepEach::Parts => drop(self.env.set(Scope::Part, item)),
            StepEach::List(_, slot) => self.env.set_local(*slot, item),
        }
        if let Some(when) = &step.when
            && !when.holds(&mut self.env)?
        {
            return Ok(Prepared::Nothing);
        }
        self.env.world.reach(step);
        step.lets.bind_with(&mut self.env, &self.progress.again.with)?;
        if let Some(require) = &step.require
            && !require.holds(&mut self.env)?
        {
            let message = "the message lacks what the mapping requires".to_string();
            let fault = Fault { code: "require".into(), message };
            return Err(Unprepared::Ended(Outcome::Failed { fault }));
        }
        let request = build(&step.exchange.request, self.timeout, &mut self.env)?;
        Ok(Prepared::Request(Box::new(request)))
    }

    /// What a step has a request for each of. Its list may come from the response to an earlier step.
    fn items_of(&mut self, step: &Step) -> Result<Vec<Value>, Failure> {
        Ok(match &step.each {
            StepEach::Once => vec![Value::Null],
            StepEach::Parts => self.parts.clone().unwrap_or_default(),
            StepEach::List(list, _) => match list.eval(&mut self.env)? {
                Value::List(items) => items.to_vec(),
                Value::Null => Vec::new(),
                other => vec![other],
            },
        })
    }

    /// Whether the request that [`Sending::step`] handed out is one of a call, and not of the message itself.
    pub fn is_asking(&self) -> bool {
        self.calling.is_asking()
    }

    /// Tells what came of the request that [`Sending::step`] handed out.
    pub fn answer(&mut self, answer: Result<Response, TransportError>) {
        if self.calling.is_asking() {
            self.outcome = self.calling.answer(answer);
            return;
        }
        let Some(step) = self.send.steps.get(self.step) else { return };
        let known = self.calling.remembered().len();
        self.env.answers.used.extend_from_slice(&self.used);
        let followed = self.calling.follow(&step.exchange, answer, &mut self.progress.again, &mut self.env);
        if !matches!(followed, Followed::Again(_)) {
            self.calling.consume(&step.consume);
        }
        match followed {
            Followed::Done(value, ids) => {
                if let Some(slot) = step.result {
                    self.progress.results.retain(|(known, _)| *known != slot);
                    self.progress.results.push((slot, value.clone()));
                    self.progress.results.sort_by_key(|(slot, _)| *slot);
                    self.env.set_local(slot, value);
                }
                self.progress.sent += 1;
                if !ids.is_empty() {
                    self.progress.ids.push(ids);
                }
                self.settle();
            }
            Followed::Again(0) => {}
            Followed::Again(after) => self.outcome = Some(Outcome::Later { after }),
            Followed::Ended(outcome) => self.outcome = Some(outcome),
        }
        if self.calling.remembered().len() > known {
            // Later steps see what is remembered now, as the next attempt would.
            self.parts = None;
        }
    }

    fn settle(&mut self) {
        self.at += 1;
        self.progress.done += 1;
        self.progress.again = Again::default();
    }
}

/// What the next item comes to.
enum Prepared {
    /// This request.
    Request(Box<Outgoing>),
    /// Nothing: its step does not apply.
    Nothing,
    /// There is no next item.
    End,
}

/// Why there is no next item.
enum Unprepared {
    /// A value can't be made, or not yet.
    Failed(Failure),
    /// The message ends here.
    Ended(Outcome),
}

impl From<Failure> for Unprepared {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// The scope `message`.
fn message_scope(message: &Outbound) -> Value {
    let content = &message.content;
    let attachments: Vec<_> = content.attachments.iter().map(attachment_value).collect();
    let location = content.location.as_ref().map(|location| {
        Value::map([
            ("latitude", Value::Float(location.latitude)),
            ("longitude", Value::Float(location.longitude)),
            ("name", Value::from(location.name.clone())),
            ("address", Value::from(location.address.clone())),
        ])
    });
    Value::record([
        ("id", Value::text(&message.id)),
        ("text", Value::from(content.text.clone())),
        ("attachment", attachments.first().cloned().unwrap_or_default()),
        ("attachments", Value::List(Arc::new(attachments))),
        ("location", location.unwrap_or_default()),
        ("quick_replies", Value::list(content.quick_replies.iter().map(reply_value).collect())),
        ("locale", Value::from(message.locale.clone())),
    ])
}
