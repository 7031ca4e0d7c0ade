//! One message on its way to the provider: hands out a request, is told the response, and so on to an outcome.
//!
//! It does no input or output itself, so `dry-run`, tests, a simulation and the gateway run the same code.
//! Invariant: what [`Progress`] says was sent is never sent again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::parts::{attachment_value, parts, reply_value};
use super::receive::enter;
use super::remember::{forget, remember};
use crate::call::{Meaning, Outgoing, Response, TransportError, build, interpret};
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
}

/// What one attempt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every request succeeded; the provider's ids, one list per request.
    Sent {
        /// The ids.
        ids: Vec<Vec<String>>,
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
}

impl Outcome {
    /// `sent`, `retry`, `throttled`, `failed` or `opt_out`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Retry { .. } => "retry",
            Self::Throttled { .. } => "throttled",
            Self::Failed { .. } => "failed",
            Self::OptOut { .. } => "opt_out",
        }
    }

    /// Why it was not sent.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Sent { .. } => None,
            Self::Retry { fault, .. }
            | Self::Throttled { fault, .. }
            | Self::Failed { fault }
            | Self::OptOut { fault } => Some(fault),
        }
    }

    /// The shortest wait, in milliseconds.
    pub fn after(&self) -> Option<u64> {
        match self {
            Self::Retry { after, .. } | Self::Throttled { after, .. } => *after,
            _ => None,
        }
    }
}

/// What is to be done next.
#[derive(Debug)]
pub enum Next {
    /// Send this request and tell [`Sending::answer`] what came of it.
    Request(Box<Outgoing>),
    /// Nothing; this is what it came to.
    Done(Outcome),
}

/// One attempt to send a message.
pub struct Sending<'p, 'w> {
    send: &'p Send,
    env: Env<'w>,
    parts: Vec<Value>,
    /// The step that is next, none of whose items is settled before it is reached.
    step: usize,
    /// The items of that step, each with a request of its own; none before the step is reached.
    items: Option<Vec<Value>>,
    /// How many of them are settled.
    at: usize,
    /// How many items are settled in an earlier attempt and are to be passed over.
    passed: usize,
    progress: Progress,
    channel: SmolStr,
    contact: SmolStr,
    memory: Memory,
    /// What is to be remembered because of the requests that were made, and forgotten.
    remember: Vec<Remember>,
    outcome: Option<Outcome>,
    timeout: std::time::Duration,
}

impl<'p, 'w> Sending<'p, 'w> {
    /// An attempt that goes on where `progress` stopped.
    pub fn new(
        plan: &'p Plan,
        channel: &Channel,
        memory: Memory,
        message: &Outbound,
        progress: Progress,
        world: &'w World,
    ) -> Result<Self, Failure> {
        let Some(send) = &plan.send else {
            return Err(Failure(format!("the mapping `{}` can't send messages", plan.name)));
        };
        let mut env = Env::new(world);
        enter(channel, &mut env);
        env.set(Scope::Message, message_scope(message));
        env.set(Scope::Contact, Value::map([("id", Value::text(&message.contact_id))]));
        env.set(Scope::Store, memory.scope());
        send.lets.bind(&mut env)?;
        let parts = parts(&send.parts, &message.content, &mut env)?;
        env.set(Scope::Parts, Value::list(parts.clone()));
        for (slot, value) in &progress.results {
            env.set_local(*slot, value.clone());
        }
        Ok(Self {
            send,
            env,
            parts,
            step: 0,
            items: None,
            at: 0,
            passed: progress.done,
            progress,
            channel: channel.name.clone(),
            contact: SmolStr::new(&message.contact_id),
            memory,
            remember: Vec::new(),
            outcome: None,
            timeout: plan.limits.timeout,
        })
    }

    /// Lets a channel's own limit stand in for the mapping's.
    #[must_use]
    pub fn timeout(mut self, timeout: std::time::Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The parts that the message was cut into.
    pub fn parts(&self) -> &Value {
        self.env.scope(Scope::Parts)
    }

    /// How far it has come.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What is to be remembered because of the requests that were made, and forgotten.
    pub fn remembered(&self) -> &[Remember] {
        &self.remember
    }

    /// What is to be done next.
    pub fn step(&mut self) -> Next {
        if let Some(outcome) = &self.outcome {
            return Next::Done(outcome.clone());
        }
        loop {
            match self.prepare() {
                Ok(Prepared::Request(request)) => return Next::Request(request),
                Ok(Prepared::Nothing) => self.settle(),
                Ok(Prepared::End) if self.progress.sent == 0 => {
                    let message = "nothing of this message can be sent to the provider".to_string();
                    return self.end(Outcome::Failed { fault: Fault { code: "nothing".into(), message } });
                }
                Ok(Prepared::End) => return self.end(Outcome::Sent { ids: self.progress.ids.clone() }),
                Err(outcome) => return self.end(outcome),
            }
        }
    }

    fn end(&mut self, outcome: Outcome) -> Next {
        self.outcome = Some(outcome.clone());
        Next::Done(outcome)
    }

    /// The request of the next item.
    fn prepare(&mut self) -> Result<Prepared, Outcome> {
        let broken = |failure: Failure| Outcome::Failed {
            fault: Fault { code: "mapping".into(), message: failure.to_string() },
        };
        let (step, items) = loop {
            let Some(step) = self.send.steps.get(self.step) else { return Ok(Prepared::End) };
            let items = match self.items.take() {
                Some(items) => items,
                None => {
                    let items = self.items_of(step).map_err(broken)?;
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
            && !when.holds(&mut self.env).map_err(broken)?
        {
            return Ok(Prepared::Nothing);
        }
        step.lets.bind(&mut self.env).map_err(broken)?;
        if let Some(require) = &step.require
            && !require.holds(&mut self.env).map_err(broken)?
        {
            let message = "the message lacks what the mapping requires".to_string();
            return Err(Outcome::Failed { fault: Fault { code: "require".into(), message } });
        }
        let request = build(&step.request, self.timeout, &mut self.env).map_err(broken)?;
        Ok(Prepared::Request(Box::new(request)))
    }

    /// What a step has a request for each of. Its list may come from the response to an earlier step.
    fn items_of(&mut self, step: &Step) -> Result<Vec<Value>, Failure> {
        Ok(match &step.each {
            StepEach::Once => vec![Value::Null],
            StepEach::Parts => self.parts.clone(),
            StepEach::List(list, _) => match list.eval(&mut self.env)? {
                Value::List(items) => items.to_vec(),
                Value::Null => Vec::new(),
                other => vec![other],
            },
        })
    }

    /// Tells what came of the request that [`Sending::step`] handed out.
    pub fn answer(&mut self, answer: Result<Response, TransportError>) {
        let Some(step) = self.send.steps.get(self.step) else { return };
        let known = self.remember.len();
        self.consume(step);
        let (meaning, value) = interpret(&step.response, answer, &mut self.env);
        match meaning {
            Meaning::Success { ids } => {
                if let Some(slot) = step.result {
                    self.progress.results.retain(|(known, _)| *known != slot);
                    self.progress.results.push((slot, value.clone()));
                    self.progress.results.sort_by_key(|(slot, _)| *slot);
                    self.env.set_local(slot, value);
                }
                self.remember_from(step);
                self.progress.sent += 1;
                if !ids.is_empty() {
                    self.progress.ids.push(ids);
                }
                self.settle();
            }
            Meaning::Retry { fault, after } => self.outcome = Some(Outcome::Retry { fault, after }),
            Meaning::Throttle { fault, after } => self.outcome = Some(Outcome::Throttled { fault, after }),
            Meaning::Fail { fault } => self.outcome = Some(Outcome::Failed { fault }),
            Meaning::OptOut { fault } => self.outcome = Some(Outcome::OptOut { fault }),
            Meaning::Reauth { fault } | Meaning::Redo { fault, .. } => {
                self.outcome = Some(Outcome::Failed { fault });
            }
        }
        if self.remember.len() > known {
            self.refresh();
        }
    }

    /// What can be used only once is forgotten, whatever came of its request.
    fn consume(&mut self, step: &Step) {
        for (owner, name) in &step.consume {
            // A message has a contact, so there is something to forget.
            self.remember.extend(forget(*owner, name, &self.channel, &self.contact));
        }
    }

    /// What the response to a step's request says is remembered. The request was made, so what can't be remembered
    /// is no reason to make it again.
    fn remember_from(&mut self, step: &Step) {
        match remember(&step.response.remember, &self.channel, &self.contact, &mut self.env) {
            Ok(changes) => self.remember.extend(changes),
            Err(failure) => tracing::warn!(channel = %self.channel, %failure, "not remembered"),
        }
    }

    /// Lets later steps see what was remembered and forgotten, as the next attempt would.
    fn refresh(&mut self) {
        for change in &self.remember {
            self.memory.apply(change);
        }
        self.env.set(Scope::Store, self.memory.scope());
        if let Err(failure) = self.send.lets.bind(&mut self.env) {
            let fault = Fault { code: "mapping".into(), message: failure.to_string() };
            self.outcome.get_or_insert(Outcome::Failed { fault });
        }
        for (slot, value) in &self.progress.results {
            self.env.set_local(*slot, value.clone());
        }
    }

    fn settle(&mut self) {
        self.at += 1;
        self.progress.done += 1;
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
