//! A provider's webhook is taken through the pipeline and made durable.

use smol_str::SmolStr;

use super::parcel::{Deferred, Parcel};
use super::poll::Poke;
use super::{Channels, Gateway};
use crate::expression::Value;
use crate::load::ChannelSettings;
use crate::message::{Event, EventKind};
use crate::pipeline::{Incoming, NoRoute, Received, Reply, Routed, Site, Verdict, find_route, receive};
use crate::plan::ContactIdKind;
use crate::platform::contact_alias;
use crate::store::{
    self, Acceptance, Alias, JournalEntry, Lane, NewDelivery, Receipt, StatusSet, StoreError, Watermark,
};
use crate::world::Millis;

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
                pokes.into_iter().for_each(Poke::now);
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
        let shared = channel.is_none();
        if let Some(reason) = &received.parked {
            tracing::warn!(%mapping, ?channel, %route, reason, "webhook parked");
        }
        let verdict = store_verdict(received);
        let mut acceptance = Acceptance {
            at: self.world.now(),
            webhook: Some(JournalEntry {
                received_at: self.world.now(),
                channel: channel.or_else(|| received.events.first().map(|routed| routed.channel.clone())),
                mapping,
                route: route.clone(),
                method: request.method.clone(),
                url: called.channel.redact(&request.url).into_owned(),
                headers: headers_json(request),
                body: request.body.clone(),
                verdict,
                reason: received.reason.clone(),
            }),
            remember: received.remember.clone(),
            ..Acceptance::default()
        };
        let origin = Origin { request: Some(request), route, shared };
        for routed in &received.events {
            self.channels.add(&mut acceptance, routed, &origin);
        }
        acceptance
    }
}

impl Channels {
    /// Adds what follows from an event.
    pub(super) fn add(&self, acceptance: &mut Acceptance, routed: &Routed, origin: &Origin<'_>) {
        let Routed { channel, event, terms } = routed;
        match event.kind {
            EventKind::Message | EventKind::MessageEcho => {
                acceptance.deliveries.push(delivery(routed, origin, acceptance.at));
                self.alias(acceptance, channel, event);
                return;
            }
            EventKind::MessageStatus => {
                let Some(status) = event.status else { return };
                let post: StatusSet = self
                    .get(channel)
                    .map(|found| found.statuses.iter().copied().collect())
                    .unwrap_or_default();
                match event.up_to {
                    Some(up_to) => acceptance.watermarks.push(Watermark {
                        channel: channel.clone(),
                        contact: SmolStr::new(&event.contact.id),
                        status,
                        up_to,
                        at: event.timestamp,
                        post,
                    }),
                    None => acceptance.receipts.push(Receipt {
                        channel: channel.clone(),
                        id: SmolStr::new(&event.id),
                        id_owner: event.id_owner,
                        status,
                        error: event.error.clone(),
                        at: event.timestamp,
                        post,
                    }),
                }
            }
            EventKind::OptOut | EventKind::Contact | EventKind::Event => {
                tracing::info!(%channel, kind = ?event.kind, contact = %event.contact.id, id = %event.id, "event");
            }
        }
        acceptance.remember.extend(terms.remember.iter().cloned());
    }

    /// The short form under which the platform will know a contact whose id does not fit it.
    fn alias(&self, acceptance: &mut Acceptance, channel: &SmolStr, event: &Event) {
        let custom = self.get(channel).is_some_and(|found| found.platform.id_type == ContactIdKind::Custom);
        let alias = contact_alias(&event.contact.id);
        if custom && alias != event.contact.id {
            acceptance.aliases.push(Alias {
                channel: channel.clone(),
                alias: alias.into(),
                original: SmolStr::new(&event.contact.id),
            });
        }
    }
}

/// What the journal says of it.
pub(super) fn store_verdict(received: &Received) -> store::Verdict {
    match (&received.parked, received.verdict) {
        (Some(_), _) => store::Verdict::Parked,
        (None, Verdict::Ignored) => store::Verdict::Ignored,
        (None, _) => store::Verdict::Accepted,
    }
}

/// Where events come from.
pub(super) struct Origin<'a> {
    /// The webhook; none for the page of a poll, all of which is known when it comes.
    pub(super) request: Option<&'a Incoming>,
    /// The route, or the name of the poll.
    pub(super) route: &'a str,
    /// Whether the route is a shared one.
    pub(super) shared: bool,
}

fn delivery(routed: &Routed, origin: &Origin<'_>, at: Millis) -> NewDelivery {
    let Routed { channel, event, terms } = routed;
    let echo = if event.kind == EventKind::MessageEcho { "echo|" } else { "" };
    // All pieces of a message may have the id of the whole.
    let piece =
        terms.piece.as_ref().map(|piece| format!("{}|{}|", piece.key, piece.index)).unwrap_or_default();
    let deferred = terms.deferred.clone().zip(origin.request);
    let deferred = deferred.map(|(place, request)| Deferred::new(request, origin.shared, place));
    let parcel = Parcel { event: event.clone(), unless_sent: terms.unless_sent.clone(), deferred };
    // A parcel holds text, numbers and lists only, none of which can fail to become JSON.
    let payload = serde_json::to_vec(&parcel).unwrap_or_default().into();
    NewDelivery {
        dedupe: Some(format!("{}|{echo}{piece}{}", origin.route, event.id)),
        not_before: if terms.delay > 0 { at.saturating_add(terms.delay) } else { 0 },
        piece: terms.piece.clone(),
        remember: terms.remember.clone(),
        ..NewDelivery::new(Lane::inbound(channel.clone()), &event.contact.id, &event.id, event.kind, payload)
    }
}

/// The headers as the journal keeps them.
fn headers_json(request: &Incoming) -> String {
    let headers = redacted_headers(request).into_iter().map(|(name, value)| (name, Value::Text(value)));
    Value::map(headers).to_json().unwrap_or_default()
}

/// The headers, without the values of those that prove who calls.
pub(super) fn redacted_headers(request: &Incoming) -> Vec<(SmolStr, SmolStr)> {
    const SECRET: [&str; 6] = ["auth", "token", "secret", "cookie", "signature", "key"];
    let pairs = request.headers.iter().map(|(name, value)| {
        let secret = SECRET.iter().any(|word| name.contains(word));
        (name.clone(), if secret { SmolStr::new_static("[redacted]") } else { value.clone() })
    });
    pairs.collect()
}
