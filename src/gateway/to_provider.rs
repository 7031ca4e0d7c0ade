//! Messages to providers.
//!
//! One attempt makes one request, so that each request has a place of its own in the rate, and what was sent is
//! on disk before the next part goes.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use super::Channels;
use crate::call::{self, CallCache, Departure, Transport, TransportError};
use crate::delivery::{Carrier, Contacted, Outcome, Report};
use crate::load::ChannelSettings;
use crate::memory::{Memory, Remember};
use crate::message::{Fault, Outbound};
use crate::pipeline::{self, Next, Progress, Sending};
use crate::plan::{Channel, InDoubt};
use crate::store::{Delivery, Store, StoreError};
use crate::world::{Millis, World};

pub(super) struct ToProvider {
    channels: Arc<Channels>,
    store: Arc<dyn Store>,
    transport: Arc<dyn Transport>,
    calls: Arc<CallCache>,
    world: World,
}

/// What there is to say of an attempt beside its outcome: see [`Report`].
#[derive(Default)]
struct Beside {
    remember: Vec<Remember>,
    contacted: Option<Contacted>,
    in_doubt: bool,
    departure: Departure,
}

impl ToProvider {
    pub(super) fn new(
        channels: Arc<Channels>,
        store: Arc<dyn Store>,
        transport: Arc<dyn Transport>,
        calls: Arc<CallCache>,
        world: World,
    ) -> Self {
        Self { channels, store, transport, calls, world }
    }

    async fn send(&self, delivery: &Delivery, beside: &mut Beside) -> Outcome {
        let Some(channel) = self.channels.get(&delivery.lane.channel) else {
            let fault = Fault { code: "channel".into(), message: "the channel is not configured".into() };
            return Outcome::Retry { after: None, fault, progress: None };
        };
        let message: Outbound = match serde_json::from_slice(&delivery.payload) {
            Ok(message) => message,
            Err(error) => {
                return failed("message", format!("the message in the store can't be read: {error}"));
            }
        };
        let progress =
            delivery.progress.as_deref().and_then(|text| serde_json::from_str::<Progress>(text).ok());
        let memory = match recall(&*self.store, channel, &message.contact_id, self.world.now()).await {
            Ok(memory) => memory,
            Err(error) => {
                let fault = Fault { code: "store".into(), message: error.to_string() };
                return Outcome::Retry { after: None, fault, progress: None };
            }
        };
        let sending = Sending::new(
            &channel.plan,
            &channel.channel,
            memory,
            &message,
            progress.unwrap_or_default(),
            self.calls.clone(),
            &self.world,
        );
        let mut sending = match sending {
            Ok(sending) => sending.timeout(channel.limits.timeout),
            Err(failure) => return failed("mapping", failure.to_string()),
        };
        let next = loop {
            match sending.step() {
                // Who may make the call now makes it: the attempt's place in the rate is not used yet.
                Next::Wait(key) if self.calls.wait(&key).await => {}
                next => break next,
            }
        };
        match next {
            Next::Request(mut request) => {
                request.departure = beside.departure.clone();
                let answer = if channel.retry.in_doubt == InDoubt::Hold && !sending.is_asking() {
                    call::send_once(&*self.transport, &request).await
                } else {
                    call::send(&*self.transport, &request).await
                };
                beside.contacted = super::contacted(&request, &answer);
                let is_doubtful = answer.as_ref().is_err_and(TransportError::is_doubtful);
                beside.in_doubt = is_doubtful && !sending.is_asking();
                sending.answer(answer);
            }
            // All that waited would go at once now; each has a place of its own in the rate.
            Next::Wait(_) => return partly(&sending.progress(), Duration::ZERO, None),
            Next::Done(_) => {}
        }
        beside.remember = sending.remembered().to_vec();
        // Steps that do not apply are passed over here; the next request, if there is one, waits for its turn.
        match sending.step() {
            Next::Request(_) | Next::Wait(_) => {
                let rest = sending.rest().map(Duration::from_millis);
                partly(&sending.progress(), Duration::ZERO, rest)
            }
            Next::Done(outcome) => ended(outcome, &sending.progress(), &channel.channel),
        }
    }
}

impl Carrier for ToProvider {
    /// No provider takes several messages in one request.
    fn attempt<'a>(
        &'a self,
        first: &'a Arc<Delivery>,
        _: &'a [Arc<Delivery>],
        departure: Departure,
    ) -> BoxFuture<'a, Report> {
        Box::pin(async move {
            let mut beside = Beside { departure, ..Beside::default() };
            let outcome = self.send(first, &mut beside).await;
            let Beside { remember, contacted, in_doubt, .. } = beside;
            Report { outcome, joined: 0, remember, contacted, in_doubt }
        })
    }
}

/// What is remembered about a contact, for a mapping that reads it.
pub(super) async fn recall(
    store: &dyn Store,
    channel: &ChannelSettings,
    contact: &str,
    now: Millis,
) -> Result<Memory, StoreError> {
    if channel.plan.reads_store {
        store.memory(channel.channel.name.clone(), contact.into(), now).await
    } else {
        Ok(Memory::default())
    }
}

/// Something is done, and something is left.
fn partly(progress: &Progress, after: Duration, rest: Option<Duration>) -> Outcome {
    match serde_json::to_string(progress) {
        Ok(progress) => Outcome::Partly { progress, after, rest },
        Err(error) => failed("mapping", format!("what is done can't be kept: {error}")),
    }
}

fn failed(code: &str, message: String) -> Outcome {
    Outcome::Failed { fault: Fault { code: code.into(), message } }
}

/// The outcome of an attempt, without the secrets that a provider may repeat in what it says.
fn ended(outcome: pipeline::Outcome, progress: &Progress, channel: &Channel) -> Outcome {
    let clean = |fault: Fault| Fault { message: channel.redact(&fault.message).into_owned(), ..fault };
    let kept = (*progress != Progress::default()).then(|| serde_json::to_string(progress).ok()).flatten();
    match outcome {
        pipeline::Outcome::Sent { ids, rest } => Outcome::Sent { ids, rest: rest.map(Duration::from_millis) },
        pipeline::Outcome::Later { after } => partly(progress, Duration::from_millis(after), None),
        pipeline::Outcome::Retry { fault, after } => {
            Outcome::Retry { after: after.map(Duration::from_millis), fault: clean(fault), progress: kept }
        }
        pipeline::Outcome::Throttled { fault, after } => Outcome::Throttled {
            after: after.map(Duration::from_millis),
            fault: clean(fault),
            progress: kept,
        },
        pipeline::Outcome::Failed { fault } => Outcome::Failed { fault: clean(fault) },
        pipeline::Outcome::OptOut { fault } => Outcome::OptOut { fault: clean(fault) },
    }
}
