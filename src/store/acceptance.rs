//! What is accepted as one durable unit: a webhook with everything that follows from it, or a message of the
//! platform. Either all of it is on disk when the caller is answered, or the caller gets an error.

use std::sync::Arc;

use bytes::Bytes;
use smol_str::SmolStr;

use super::entry::{Delivery, NewDelivery, WebhookId};
use super::status_set::StatusSet;
use crate::memory::Remember;
use crate::message::{Fault, IdOwner, Status};
use crate::world::Millis;

/// What was decided about a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its events were queued.
    Accepted,
    /// The mapping wants nothing of it.
    Ignored,
    /// The mapping failed; it waits for a replay.
    Parked,
}

impl Verdict {
    /// `accepted`, `ignored` or `parked`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Ignored => "ignored",
            Self::Parked => "parked",
        }
    }
}

/// A received webhook as the journal keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalEntry {
    /// When it came.
    pub received_at: Millis,
    /// The channel; `None` for a shared route that named none.
    pub channel: Option<SmolStr>,
    /// The mapping that it was for.
    pub mapping: SmolStr,
    /// The route in the mapping.
    pub route: SmolStr,
    /// The HTTP method.
    pub method: SmolStr,
    /// The URL as the provider saw it.
    pub url: String,
    /// The headers as JSON text, secrets already redacted where the caller wants them to be.
    pub headers: String,
    /// The raw body.
    pub body: Bytes,
    /// What was decided.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
}

/// A journal entry with its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// What came.
    pub entry: JournalEntry,
}

/// A parked webhook that was taken through its mapping again.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    /// Its id.
    pub webhook: WebhookId,
    /// What was decided this time.
    pub verdict: Verdict,
    /// Why.
    pub reason: Option<String>,
}

/// What a provider says about a message that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// The channel.
    pub channel: SmolStr,
    /// The message's id: the provider's, or ours.
    pub id: SmolStr,
    /// Whose id it is.
    pub id_owner: IdOwner,
    /// How far the message has come.
    pub status: Status,
    /// Why it failed.
    pub error: Option<Fault>,
    /// When it happened.
    pub at: Millis,
    /// Which changes the channel posts to the platform.
    pub post: StatusSet,
}

/// What a provider says about everything that was sent to a contact up to a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Watermark {
    /// The channel.
    pub channel: SmolStr,
    /// The contact.
    pub contact: SmolStr,
    /// How far the messages have come.
    pub status: Status,
    /// The moment, by the provider's clock.
    pub up_to: Millis,
    /// When it was said.
    pub at: Millis,
    /// Which changes the channel posts to the platform.
    pub post: StatusSet,
}

/// A short form of a contact's id that the platform's rules do not allow; kept for good. (A message's id stays with its
/// delivery.)
#[derive(Clone, Debug, PartialEq)]
pub struct Alias {
    /// The channel.
    pub channel: SmolStr,
    /// The short form.
    pub alias: SmolStr,
    /// What it stands for.
    pub original: SmolStr,
}

/// One durable unit.
#[derive(Clone, Debug, Default)]
pub struct Acceptance {
    /// The time of acceptance.
    pub at: Millis,
    /// The webhook to journal.
    pub webhook: Option<JournalEntry>,
    /// A parked webhook that this replays; of one that is not parked any more nothing is written.
    pub replays: Option<Replay>,
    /// What goes into the queue, in this order.
    pub deliveries: Vec<NewDelivery>,
    /// What providers say about sent messages; folded after the deliveries are queued.
    pub receipts: Vec<Receipt>,
    /// What providers say about all messages up to a moment; folded after the receipts.
    pub watermarks: Vec<Watermark>,
    /// What is remembered, whatever becomes of the deliveries.
    pub remember: Vec<Remember>,
    /// Aliases to remember; known ones are left alone.
    pub aliases: Vec<Alias>,
}

/// What came of an [`Acceptance`].
#[derive(Clone, Debug, Default)]
pub struct Accepted {
    /// What was queued, statuses from receipts and messages whose last piece came included, in queue order.
    pub new: Vec<Arc<Delivery>>,
    /// How many deliveries were known already and dropped.
    pub duplicates: usize,
    /// The id of the journalled webhook.
    pub webhook: Option<WebhookId>,
}
