//! A provider's webhook is taken through the pipeline and made durable.

use smol_str::SmolStr;

use super::{Channels, Gateway};
use crate::expression::Value;
use crate::load::ChannelSettings;
use crate::message::{Event, EventKind};
use crate::pipeline::{Incoming, NoRoute, Received, Reply, Routed, Site, Verdict, find_route, receive};
use crate::plan::ContactIdKind;
use crate::platform::{contact_alias, message_alias};
use crate::store::{
    self, Acceptance, Alias, AliasOf, JournalEntry, NewDelivery, Receipt, StatusSet, StoreError,
    event_delivery,
};

/// What is answered to a provider.
#[derive(Debug)]
pub enum WebhookAnswer {
    /// The mapping's answer.
    Reply(Reply),
    /// There is no such channel or mapping.
    Unknown(String),
    /// There is no such route.
    NoRoute(NoRoute),
    /// It can't be stored now.
    Store(StoreError),
}

/// Whose URL was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called<'a> {
    /// A channel's.
    Channel(&'a str),
    /// A mapping's shared one.
    Shared(&'a str),
}

impl Gateway {
    /// Where the gateway is reached, without a slash at its end.
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Takes a webhook.
    pub async fn accept_webhook(&self, called: Called<'_>, request: Incoming) -> WebhookAnswer {
        let (found, channel) = match called {
            Called::Channel(name) => match self.channels.get(name) {
                Some(found) => (found, Some(&*found.channel)),
                None => return WebhookAnswer::Unknown(format!("there is no channel `{name}`")),
            },
            Called::Shared(name) => match self.channels.mappings.get(name) {
                Some(found) => (found, None),
                None => return WebhookAnswer::Unknown(format!("no channel uses a mapping `{name}`")),
            },
        };
        let (plan, deployment) = (&found.plan, &found.channel.deployment);
        let route = match find_route(plan, channel.is_none(), &request.method, &request.route) {
            Ok(route) => route,
            Err(problem) => return WebhookAnswer::NoRoute(problem),
        };
        let named = SmolStr::from(route.webhook.route());
        let site = Site { plan, channel, deployment, directory: &*self.channels, world: &self.world };
        let received = receive(&site, route, &request, &mut None);
        let name = channel.map(|channel| channel.name.clone());
        tracing::debug!(mapping = %plan.name, channel = ?name, route = %named, verdict = received.verdict.as_str(), reason = ?received.reason, "webhook");
        if received.parked.is_none() && matches!(received.verdict, Verdict::Rejected | Verdict::Replied) {
            return WebhookAnswer::Reply(received.reply);
        }
        let mut acceptance = self.acceptance(&received, &request, found, name, &named);
        let pokes = self.polls.due(&received.polls, &mut acceptance);
        match self.store.accept(acceptance).await {
            Ok(_) => {
                self.polls.poke(pokes);
                WebhookAnswer::Reply(received.reply)
            }
            Err(error) => WebhookAnswer::Store(error),
        }
    }

    /// The durable unit that a webhook becomes.
    fn acceptance(
        &self,
        received: &Received,
        request: &Incoming,
        called: &ChannelSettings,
        channel: Option<SmolStr>,
        route: &SmolStr,
    ) -> Acceptance {
        let mapping = called.plan.name.clone();
        if let Some(reason) = &received.parked {
            tracing::warn!(%mapping, ?channel, %route, reason, "webhook parked");
        }
        let verdict = match (&received.parked, received.verdict) {
            (Some(_), _) => store::Verdict::Parked,
            (None, Verdict::Ignored) => store::Verdict::Ignored,
            (None, _) => store::Verdict::Accepted,
        };
        let mut acceptance = Acceptance {
            at: self.world.now(),
            webhook: Some(JournalEntry {
                received_at: self.world.now(),
                channel: channel.or_else(|| received.events.first().map(|routed| routed.channel.clone())),
                mapping,
                route: route.clone(),
                method: request.method.clone(),
                url: called.channel.redact(&request.url).into_owned(),
                headers: redacted_headers(request),
                body: request.body.clone(),
                verdict,
                reason: received.reason.clone(),
            }),
            ..Acceptance::default()
        };
        for routed in &received.events {
            self.channels.add(&mut acceptance, routed, route);
        }
        acceptance
    }
}

impl Channels {
    /// Adds what follows from an event.
    pub(super) fn add(&self, acceptance: &mut Acceptance, routed: &Routed, route: &str) {
        let Routed { channel, event } = routed;
        match event.kind {
            EventKind::Message | EventKind::MessageEcho => {
                acceptance.deliveries.push(delivery(channel, event, route));
                self.aliases(acceptance, channel, event);
            }
            EventKind::MessageStatus => {
                let Some(status) = event.status else { return };
                let post: StatusSet = self
                    .get(channel)
                    .map(|found| found.statuses.iter().copied().collect())
                    .unwrap_or_default();
                acceptance.receipts.push(Receipt {
                    channel: channel.clone(),
                    id: SmolStr::new(&event.id),
                    id_owner: event.id_owner,
                    status,
                    error: event.error.clone(),
                    at: event.timestamp,
                    post,
                });
            }
            EventKind::OptOut | EventKind::Contact | EventKind::Event => {
                tracing::info!(%channel, kind = ?event.kind, contact = %event.contact.id, id = %event.id, "event");
            }
        }
    }

    /// The short forms under which the platform will know what does not fit it.
    fn aliases(&self, acceptance: &mut Acceptance, channel: &SmolStr, event: &Event) {
        let custom =
            self.get(channel).is_some_and(|found| found.platform.id_type == ContactIdKind::Custom);
        let mut add = |alias: &str, original: &str, of: AliasOf| {
            if alias != original {
                acceptance.aliases.push(Alias {
                    channel: channel.clone(),
                    alias: SmolStr::new(alias),
                    original: SmolStr::new(original),
                    of,
                });
            }
        };
        if custom {
            add(&contact_alias(&event.contact.id), &event.contact.id, AliasOf::Contact);
        }
        add(&message_alias(&event.id), &event.id, AliasOf::Message);
    }
}

fn delivery(channel: &SmolStr, event: &Event, route: &str) -> NewDelivery {
    let (contact, mid) = (SmolStr::new(&event.contact.id), SmolStr::new(&event.id));
    let mut delivery = event_delivery(channel, &contact, &mid, event);
    let echo = if event.kind == EventKind::MessageEcho { "echo|" } else { "" };
    delivery.dedupe = Some(format!("{route}|{echo}{}", event.id));
    delivery
}

/// The headers as JSON, without the values of those that prove who calls.
fn redacted_headers(request: &Incoming) -> String {
    const SECRET: [&str; 6] = ["auth", "token", "secret", "cookie", "signature", "key"];
    let pairs = request.headers.iter().map(|(name, value)| {
        let secret = SECRET.iter().any(|word| name.contains(word));
        (name.clone(), if secret { Value::text("[redacted]") } else { Value::Text(value.clone()) })
    });
    Value::map(pairs).to_json().unwrap_or_default()
}
