//! What the store is asked for by consoles, the CLI and metrics, and how long it keeps things.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::entry::{Delivery, DeliveryId, State, WebhookId};
use super::lane::{Direction, Lane};
use crate::message::Status;
use crate::world::Millis;

/// A lane with something to do or a pause to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneDepth {
    /// The lane.
    pub lane: Lane,
    /// How many deliveries are queued.
    pub queued: u64,
    /// When the oldest of them was accepted.
    pub oldest: Option<Millis>,
    /// The last of them.
    pub newest: Option<DeliveryId>,
    /// The lane rests until then.
    pub paused_until: Option<Millis>,
}

/// Which deliveries of a stream are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Above {
    /// Above this id.
    pub id: DeliveryId,
    /// At most so many.
    pub limit: usize,
}

/// What is queued in a lane, in part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Of conversations.
    pub live: Vec<Arc<Delivery>>,
    /// Bulk.
    pub bulk: Vec<Arc<Delivery>>,
}

/// Which deliveries to list; newest first, unless `after` is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Only of this channel.
    pub channel: Option<SmolStr>,
    /// Only of this direction.
    pub direction: Option<Direction>,
    /// Only in one of these states; none is any.
    pub states: Vec<State>,
    /// Only of this contact.
    pub contact: Option<SmolStr>,
    /// Only with this message id.
    pub mid: Option<SmolStr>,
    /// Only what was accepted then or later.
    pub since: Option<Millis>,
    /// Only what was accepted earlier than this.
    pub until: Option<Millis>,
    /// Only below this id: the last one of the page before.
    pub before: Option<DeliveryId>,
    /// Only above this id, and oldest first: the last one of the page before, or 0.
    pub after: Option<DeliveryId>,
    /// At most so many; 0 means 50, never more than 1,000.
    pub limit: usize,
}

/// How many rows are given at once, of those that were asked for.
pub(super) fn page_size(limit: usize) -> usize {
    if limit == 0 { 50 } else { limit.min(1000) }
}

/// Which parked webhooks to list; oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ParkedFilter {
    /// Only of this channel.
    pub channel: Option<SmolStr>,
    /// Only of this mapping.
    pub mapping: Option<SmolStr>,
    /// Only of this route.
    pub route: Option<SmolStr>,
    /// Only what came then or later.
    pub since: Option<Millis>,
    /// Only what came earlier than this.
    pub until: Option<Millis>,
    /// Only above this id: the last one of the page before.
    pub after: WebhookId,
    /// At most so many; 0 means 50, never more than 1,000.
    pub limit: usize,
}

/// What waits for an operator, by channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Deliveries that failed, were given up or are held, in the order of their lanes.
    pub lost: Vec<LostCount>,
    /// Parked webhooks.
    pub parked: Vec<ParkedCount>,
}

/// How many deliveries of a lane failed, were given up or are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostCount {
    /// The lane.
    pub lane: Lane,
    /// Which of the three.
    pub state: State,
    /// How many.
    pub count: u64,
}

/// How many webhooks are parked for a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedCount {
    /// The channel; `None` for a shared route that named none.
    pub channel: Option<SmolStr>,
    /// The mapping.
    pub mapping: SmolStr,
    /// How many.
    pub count: u64,
}

/// How much of everything there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries that wait.
    pub queued: u64,
    /// Dead letters that are kept.
    pub dead: u64,
    /// Refused for good, that are kept.
    pub failed: u64,
    /// Held, since the other side may have taken them.
    pub held: u64,
    /// Parked webhooks.
    pub parked: u64,
    /// Receipts that wait for the message that they are about.
    pub waiting_receipts: u64,
}

/// Where a provider's message id leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentPart {
    /// Our id of the message.
    pub mid: SmolStr,
    /// The contact that it went to.
    pub contact: SmolStr,
    /// Which part of the message, from 0.
    pub part: usize,
    /// How far this part has come.
    pub status: Status,
    /// How far the whole message has come.
    pub message_status: Status,
}

/// How long things are kept, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Deliveries that were sent.
    pub settled: Millis,
    /// Journalled webhooks, but for those of dead letters, which are kept with them.
    pub journal: Millis,
    /// Dead letters, and parked webhooks that nobody replayed.
    pub lost: Millis,
    /// What redelivered webhooks are recognised by.
    pub dedupe: Millis,
    /// Provider ids, and aliases of message ids.
    pub ids: Millis,
    /// Receipts of messages that are not known.
    pub waiting: Millis,
}

impl Default for Retention {
    fn default() -> Self {
        const HOUR: Millis = 3_600_000;
        Self {
            settled: 7 * 24 * HOUR,
            journal: 7 * 24 * HOUR,
            lost: 30 * 24 * HOUR,
            dedupe: 48 * HOUR,
            ids: 30 * 24 * HOUR,
            waiting: 48 * HOUR,
        }
    }
}

/// What a purge removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Deliveries.
    pub deliveries: u64,
    /// Journalled webhooks.
    pub webhooks: u64,
    /// Keys of de-duplication.
    pub keys: u64,
    /// Provider ids, message statuses and aliases.
    pub ids: u64,
    /// Receipts that nobody waited for.
    pub receipts: u64,
    /// What was remembered for a time that is over.
    pub memories: u64,
}

impl std::ops::AddAssign for Purged {
    fn add_assign(&mut self, more: Self) {
        self.deliveries += more.deliveries;
        self.webhooks += more.webhooks;
        self.keys += more.keys;
        self.ids += more.ids;
        self.receipts += more.receipts;
        self.memories += more.memories;
    }
}
