//! What the gateway does of its own accord, offline.

use super::receiving::deliver;
use super::sending::{report, request_json};
use super::stage::Stage;
use crate::call::Scripted;
use crate::expression::{Template, Value};
use crate::message::Fault;
use crate::pipeline::{Errand, Ground, Next, Outcome, Page};
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

/// Runs it with a scripted provider; gives what a test compares with. A poll goes on at `cursor`; its request is given
/// `with`.
pub fn run(stage: &Stage<'_>, run: Run<'_>, cursor: &Value, with: &Value, provider: &Scripted) -> Value {
    let (plan, channel, calls, world) = (stage.plan, &*stage.channel, &stage.calls, &stage.world);
    let ground = Ground { plan, channel, calls, world, timeout: plan.limits.timeout };
    let mut errand = match run {
        Run::Steps(steps, contact) => {
            let errand = Errand::steps(ground, steps);
            match contact {
                Some(contact) => errand.of_contact(contact),
                None => errand,
            }
        }
        Run::LookUp(profile, contact) => Errand::value_of(ground, profile).of_contact(contact),
        Run::Poll(poll) => return pages(stage, ground, poll, (cursor.clone(), with), provider),
    };
    let outcome = drive(&mut errand, provider);
    result(stage, provider, &outcome, errand.value().clone(), &Page::default())
}

fn pages(
    stage: &Stage<'_>,
    ground: Ground<'_>,
    poll: &Poll,
    (mut cursor, with): (Value, &Value),
    provider: &Scripted,
) -> Value {
    let mut all = Page { cursor: cursor.clone(), ..Page::default() };
    let mut last = Value::Null;
    for _ in 0..poll.max_pages {
        let mut errand = Errand::page(ground, poll, cursor.clone(), with);
        let outcome = drive(&mut errand, provider);
        last = errand.value().clone();
        if !matches!(outcome, Outcome::Sent { .. }) {
            return result(stage, provider, &outcome, last, &all);
        }
        let page = errand.into_page();
        all.events.extend(page.events);
        all.failed = all.failed.or(page.failed);
        if !page.cursor.is_empty() {
            cursor = page.cursor;
            all.cursor = cursor.clone();
        }
        if !page.more {
            break;
        }
    }
    result(stage, provider, &Outcome::Sent { ids: Vec::new() }, last, &all)
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

fn result(stage: &Stage<'_>, provider: &Scripted, outcome: &Outcome, value: Value, page: &Page) -> Value {
    let (events, posted, _) = deliver(stage, &page.events, &mut std::collections::HashSet::new());
    let mut result = vec![
        ("requests", Value::list(provider.requests().iter().map(request_json).collect())),
        ("value", value),
        ("cursor", page.cursor.clone()),
        ("events", Value::list(events)),
        ("platform_requests", Value::list(posted)),
        ("reason", page.failed.as_deref().map_or(Value::Null, Value::text)),
    ];
    result.extend(report(outcome));
    Value::map(result)
}
