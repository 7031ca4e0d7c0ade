//! The URLs of this gateway that an event is posted with.

use std::time::Duration;

use super::token::{Keys, Token};
use crate::message::{Event, Source};
use crate::pipeline::wants_credentials;
use crate::plan::{Channel, Plan};
use crate::world::{Millis, World};

/// What URLs are made with.
#[derive(Clone, Copy)]
pub struct Links<'a> {
    /// What they are signed with.
    pub keys: &'a Keys,
    /// Where the gateway is reached.
    pub public_url: &'a str,
    /// How long they are good, at most.
    pub ttl: Duration,
}

impl Links<'_> {
    /// Gives each attachment that the platform can't fetch itself a URL of the gateway, good from now on.
    pub fn link(&self, plan: &Plan, channel: &Channel, event: &mut Event, world: &World) {
        let ttl = plan.fetch.ttl.map_or(self.ttl, |ttl| ttl.min(self.ttl));
        let ttl = Millis::try_from(ttl.as_millis()).unwrap_or(Millis::MAX);
        for attachment in &mut event.content.attachments {
            let source = attachment.source.take().or_else(|| {
                wants_credentials(plan, channel, &attachment.url, world)
                    .then(|| Source::Url { url: attachment.url.clone() })
            });
            let Some(source) = source else { continue };
            let token = self.keys.sign(&Token {
                channel: channel.name.clone(),
                source: source.clone(),
                mime: attachment.mime.clone(),
                name: attachment.name.clone(),
                expires_at: world.now().saturating_add(ttl),
            });
            attachment.url = format!("{}/media/{token}", self.public_url.trim_end_matches('/'));
            attachment.source = Some(source);
        }
    }
}
