//! Events that could not be made as a whole when their webhook came: they need a call, or what is remembered.

use std::time::Duration;

use super::parcel::Deferred;
use super::to_platform::ToPlatform;
use super::to_provider::recall;
use crate::call;
use crate::delivery::Outcome;
use crate::load::ChannelSettings;
use crate::memory::Remember;
use crate::message::{Event, Fault};
use crate::pipeline::{self, CallProgress, Late, Making, Origin, Site};
use crate::store::Delivery;

/// After so many attempts a call that fails for now counts as failed for good: what the contact says next waits
/// behind this message.
const PATIENCE: u32 = 8;

impl ToPlatform {
    /// The event as a whole; an outcome where it can't be had now.
    pub(super) async fn whole(
        &self,
        channel: &ChannelSettings,
        delivery: &Delivery,
        known: &Event,
        deferred: &Deferred,
        remember: &mut Vec<Remember>,
    ) -> Result<Event, Outcome> {
        let later = |fault: Fault, after: Option<u64>, progress: Option<String>| Outcome::Retry {
            after: after.map(Duration::from_millis),
            fault: Fault { message: channel.channel.redact(&fault.message).into_owned(), ..fault },
            progress,
        };
        let memory = recall(&*self.store, channel, &known.contact.id, self.world.now())
            .await
            .map_err(|error| later(Fault { code: "store".into(), message: error.to_string() }, None, None))?;
        let progress = delivery.progress.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let (shared, request) = deferred.request();
        let site = Site {
            plan: &channel.plan,
            channel: (!shared).then_some(&*channel.channel),
            deployment: &channel.channel.deployment,
            directory: &*self.channels,
            world: &self.world,
        };
        let origin = Origin { site, shared, request: &request, place: &deferred.place, known };
        let mut late =
            Late::new(origin, &channel.channel, memory, progress.unwrap_or_default(), self.calls.clone());
        let whole = loop {
            match late.step() {
                Making::Request(request) => late.answer(call::send(&*self.transport, &request).await),
                Making::Wait(key) => {
                    self.calls.wait(&key).await;
                }
                Making::Whole(whole) => break *whole,
                Making::Ended(outcome) => {
                    remember.extend_from_slice(late.remembered());
                    let progress = written(&late.progress());
                    let (fault, after) = match outcome {
                        pipeline::Outcome::Later { after } => {
                            let (after, progress) =
                                (Duration::from_millis(after), progress.unwrap_or_default());
                            return Err(Outcome::Partly { after, progress, rest: None });
                        }
                        other => (other.fault().cloned().unwrap_or_default(), other.after()),
                    };
                    if delivery.attempts < PATIENCE {
                        return Err(later(fault, after, progress));
                    }
                    break late.without_calls(&fault.to_string());
                }
            }
        };
        remember.extend_from_slice(late.remembered());
        if let Some(problem) = &whole.problem {
            let problem = channel.channel.redact(problem);
            if whole.is_refused {
                tracing::error!(channel = %channel.channel.name, id = %known.id, %problem, "the provider refuses our credentials: a message waits");
                let fault = Fault { code: "credentials".into(), message: problem.into_owned() };
                return Err(later(fault, None, written(&late.progress())));
            }
            tracing::warn!(channel = %channel.channel.name, id = %known.id, %problem, "a message is not whole");
        }
        Ok(whole.event)
    }
}

fn written(progress: &CallProgress) -> Option<String> {
    (!progress.is_empty()).then(|| serde_json::to_string(progress).ok()).flatten()
}
