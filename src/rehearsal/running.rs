//! What the gateway does of its own accord, offline.

use super::kept::{Kept, shown};
use super::receiving::{deliver, event_json};
use super::sending::{report, request_json};
use super::stage::Stage;
use crate::call::{Outgoing, Scripted};
use crate::expression::{Template, Value};
use crate::memory::Remember;
use crate::message::Fault;
use crate::pipeline::{Errand, Ground, Next, Outcome};
use crate::plan::{CallStep, Poll};

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub enum Run<'p> {
    /// Exchanges; for an action with the contact's id.
    Steps(&'p [CallStep], Option<&'p str>),
    /// A contact's name.
    LookUp(&'p Template, &'p str),
    /// A poll.
    Poll(&'p Poll),
}

/// Runs it with a scripted provider; gives what a test compares with. A poll goes on at the cursor; its request is
/// given the map beside it. `kept` stands for the store.
pub fn run(
    stage: &Stage<'_>,
    run: Run<'_>,
    (cursor, with): (Value, &Value),
    provider: &Scripted,
    kept: &mut Kept,
) -> Value {
    let earlier = provider.requests().len();
    let (plan, channel, calls, world) = (stage.plan, &*stage.channel, &stage.calls, &stage.world);
    let ground = Ground { plan, channel, calls, world, timeout: plan.limits.timeout };
    let (errand, contact) = match run {
        Run::Steps(steps, contact) => (Errand::steps(ground, steps), contact.unwrap_or_default()),
        Run::LookUp(profile, contact) => (Errand::value_of(ground, profile), contact),
        Run::Poll(poll) => return pages(stage, ground, poll, (cursor, with), (provider, kept)),
    };
    let mut errand = errand.about(contact, kept.memory(contact, world.now()));
    let mut came = Came { outcome: drive(&mut errand, provider), ..Came::default() };
    came.value = errand.value().clone();
    came.changes = errand.remembered().to_vec();
    came.json(&provider.requests().split_off(earlier))
}

fn pages(
    stage: &Stage<'_>,
    ground: Ground<'_>,
    poll: &Poll,
    (cursor, with): (Value, &Value),
    (provider, kept): (&Scripted, &mut Kept),
) -> Value {
    let earlier = provider.requests().len();
    let mut came = Came { cursor, ..Came::default() };
    for _ in 0..poll.max_pages {
        let errand = Errand::page(ground, poll, came.cursor.clone(), with);
        let mut errand = errand.about("", kept.memory("", stage.world.now()));
        came.outcome = drive(&mut errand, provider);
        came.value = errand.value().clone();
        came.remember(errand.remembered(), kept);
        if !matches!(came.outcome, Outcome::Sent { .. }) {
            break;
        }
        let page = errand.into_page();
        came.remember(&page.remember, kept);
        for routed in &page.events {
            came.events.push(event_json(&routed.event));
            let told = (&mut came.requests, &mut came.reason, &mut came.changes);
            deliver(stage, routed, &routed.event, kept, told);
        }
        came.reason = came.reason.or(page.failed);
        if !page.cursor.is_empty() {
            came.cursor = page.cursor;
        }
        if !page.more {
            break;
        }
    }
    came.json(&provider.requests().split_off(earlier))
}

fn drive(errand: &mut Errand<'_>, provider: &Scripted) -> Outcome {
    loop {
        match errand.step() {
            Next::Request(request) => errand.answer(provider.answer(&request)),
            Next::Wait(key) => {
                let message = format!("nobody makes the call {key}");
                return Outcome::Failed { fault: Fault { code: "mapping".into(), message } };
            }
            Next::Done(Outcome::Later { .. }) => errand.resume(),
            Next::Done(outcome) => return outcome,
        }
    }
}

/// What came of it.
struct Came {
    outcome: Outcome,
    value: Value,
    cursor: Value,
    events: Vec<Value>,
    /// To the platform.
    requests: Vec<Value>,
    reason: Option<String>,
    changes: Vec<Remember>,
}

impl Default for Came {
    fn default() -> Self {
        Self {
            outcome: Outcome::Sent { ids: Vec::new(), rest: None },
            value: Value::Null,
            cursor: Value::Null,
            events: Vec::new(),
            requests: Vec::new(),
            reason: None,
            changes: Vec::new(),
        }
    }
}

impl Came {
    fn remember(&mut self, changes: &[Remember], kept: &mut Kept) {
        kept.remember(changes);
        self.changes.extend_from_slice(changes);
    }

    fn json(self, requests: &[Outgoing]) -> Value {
        let mut members = vec![
            ("requests", Value::list(requests.iter().map(request_json).collect())),
            ("value", self.value),
            ("cursor", self.cursor),
            ("events", Value::list(self.events)),
            ("platform_requests", Value::list(self.requests)),
            ("reason", self.reason.map_or(Value::Null, Value::from)),
        ];
        members.extend(report(&self.outcome));
        members.extend(shown(&self.changes).map(|changes| ("remembered", changes)));
        Value::map(members)
    }
}
