//! `POST /channels/{channel}/actions/{name}`: something of a mapping that the platform asks for beside messages, such as
//! a typing indicator.
//!
//! It is made at once or not at all: nothing of it is kept.

use std::collections::HashMap;

use bytes::Bytes;
use smol_str::SmolStr;
use tokio::sync::Semaphore;

use super::Gateway;
use super::errand::drive;
use super::message::Refused;
use super::to_provider::recall;
use crate::expression::Value;
use crate::pipeline::{Errand, Ground, Outcome};

/// How many may be under way at once in each channel.
const AT_ONCE: usize = 8;

/// How many actions may still begin, by channel.
pub(super) struct Room(HashMap<SmolStr, Semaphore>);

impl Room {
    pub(super) fn new<'c>(channels: impl Iterator<Item = &'c SmolStr>) -> Self {
        Self(channels.map(|name| (name.clone(), Semaphore::new(AT_ONCE))).collect())
    }
}

impl Gateway {
    /// Does what the action of a channel's mapping says.
    pub async fn act(
        &self,
        channel: &str,
        action: &str,
        authorization: Option<&str>,
        body: Bytes,
    ) -> Result<(), Refused> {
        let channel = self.channel(channel, authorization)?;
        let life = &channel.plan.life;
        let steps = life.action(action).ok_or_else(|| {
            Refused::NoAction(format!("the mapping `{}` has no action `{action}`", channel.plan.name))
        })?;
        let given =
            Value::from_json(&body).map_err(|error| Refused::Message(format!("not JSON: {error}")))?;
        let contact = given.get("contactId").to_text();
        if contact.is_empty() {
            return Err(Refused::Message("`contactId` is missing".into()));
        }
        let contact = self.contact(channel, contact.into()).await?;
        let room = self.acting.0.get(&channel.channel.name);
        let Some(Ok(_place)) = room.map(Semaphore::try_acquire) else { return Err(Refused::Busy) };
        let memory = recall(&*self.store, channel, &contact, self.world.now()).await?;
        let ground = Ground {
            plan: &channel.plan,
            channel: &channel.channel,
            calls: &self.calls,
            world: &self.world,
            timeout: channel.limits.timeout,
        };
        let mut errand = Errand::steps(ground, steps).about(&contact, memory);
        let outcome = drive(&mut errand, &*self.transport, &self.calls).await.outcome;
        if !errand.remembered().is_empty() {
            self.store.remember(errand.remembered().to_vec()).await?;
        }
        match outcome {
            Outcome::Sent { .. } => Ok(()),
            other => {
                let reason = other.fault().map(ToString::to_string).unwrap_or_default();
                let reason = channel.channel.redact(&reason).into_owned();
                tracing::warn!(channel = %channel.channel.name, action, reason, "the action failed");
                Err(Refused::Provider(reason))
            }
        }
    }
}
