//! The names of contacts who wrote without one.
//!
//! Invariant: what can't be had in one short try is left out; no message waits for a name.

use std::time::Duration;

use smol_str::SmolStr;

use super::errand::drive;
use super::to_platform::ToPlatform;
use crate::expression::Value;
use crate::load::ChannelSettings;
use crate::memory::{LONGEST, Memory, Remember};
use crate::message::{Contact, Event, EventKind};
use crate::pipeline::{Errand, Ground, Outcome};
use crate::world::Millis;

/// Under which name a contact's profile is remembered. A mapping can't choose a name with a dot in it.
const PROFILE: &str = "lookup.profile";
/// How long the try may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// When it is tried again for a contact for whom it failed.
const AGAIN_AFTER: Duration = Duration::from_mins(10);

impl ToPlatform {
    /// Fills what an event does not say about its contact.
    pub(super) async fn name(
        &self,
        channel: &ChannelSettings,
        event: &mut Event,
        remember: &mut Vec<Remember>,
    ) {
        let Some(look_up) = &channel.plan.life.lookup_contact else { return };
        let contact = &event.contact;
        let named = contact.name.is_some() || contact.first_name.is_some() || contact.last_name.is_some();
        if event.kind != EventKind::Message || named {
            return;
        }
        let (name, id, now) = (channel.channel.name.clone(), SmolStr::new(&contact.id), self.world.now());
        let memory = match self.store.memory(name.clone(), id.clone(), now).await {
            Ok(memory) => memory,
            Err(error) => {
                tracing::warn!(channel = %name, %error, "a contact's name is not known");
                return;
            }
        };
        if let Some(profile) = memory.contact.get(PROFILE) {
            fill(&mut event.contact, profile);
            return;
        }
        let (profile, ttl) = match self.profile(channel, &id, memory, remember).await {
            Ok(profile) => (profile, look_up.ttl),
            Err(reason) => {
                let reason = channel.channel.redact(&reason);
                tracing::warn!(channel = %name, contact = %id, %reason, "a contact's name can't be looked up");
                (Value::map::<SmolStr>([]), AGAIN_AFTER)
            }
        };
        fill(&mut event.contact, &profile);
        let fits = profile.to_json().is_some_and(|json| json.len() <= LONGEST);
        remember.push(Remember {
            channel: name,
            contact: id,
            name: SmolStr::new_static(PROFILE),
            value: if fits { profile } else { Value::map::<SmolStr>([]) },
            expires_at: Some(now.saturating_add(Millis::try_from(ttl.as_millis()).unwrap_or(Millis::MAX))),
        });
    }

    async fn profile(
        &self,
        channel: &ChannelSettings,
        contact: &str,
        memory: Memory,
        remember: &mut Vec<Remember>,
    ) -> Result<Value, String> {
        let Some(look_up) = &channel.plan.life.lookup_contact else { return Ok(Value::Null) };
        let ground = Ground {
            plan: &channel.plan,
            channel: &channel.channel,
            calls: &self.calls,
            world: &self.world,
            timeout: channel.limits.timeout.min(PATIENCE),
        };
        let mut errand = Errand::value_of(ground, &look_up.profile).about(contact, memory);
        let driven = tokio::time::timeout(PATIENCE, drive(&mut errand, &*self.transport, &self.calls)).await;
        remember.extend_from_slice(errand.remembered());
        match driven.map(|driven| driven.outcome) {
            Err(_) => Err("no answer in time".into()),
            Ok(Outcome::Sent { .. }) => Ok(errand.value().clone()),
            Ok(other) => Err(other.fault().map(ToString::to_string).unwrap_or_default()),
        }
    }
}

/// Fills what is not known of a contact.
fn fill(contact: &mut Contact, profile: &Value) {
    for (name, place) in [
        ("name", &mut contact.name),
        ("first_name", &mut contact.first_name),
        ("last_name", &mut contact.last_name),
        ("avatar", &mut contact.avatar),
        ("country", &mut contact.country),
        ("email", &mut contact.email),
        ("phone", &mut contact.phone),
        ("language", &mut contact.language),
        ("locale", &mut contact.locale),
        ("timezone", &mut contact.timezone),
    ] {
        let known = profile.get(name).to_text();
        if place.is_none() && !known.is_empty() {
            *place = Some(known.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_fills_only_what_is_not_known() {
        let mut contact = Contact { email: Some("own@x.io".into()), ..Contact::default() };
        let profile = [("name", "Ada"), ("email", "other@x.io"), ("phone", ""), ("id", "other")];
        fill(&mut contact, &Value::map(profile.map(|(name, value)| (name, Value::text(value)))));
        let expected =
            Contact { name: Some("Ada".into()), email: Some("own@x.io".into()), ..Contact::default() };
        assert_eq!(contact, expected);
    }
}
