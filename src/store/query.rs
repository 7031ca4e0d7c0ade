//! What the store is asked for by consoles, the CLI and metrics, and how long it keeps things.

use smol_str::SmolStr;

use super::entry::{DeliveryId, State};
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

/// Which deliveries to list; newest first.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only of this channel.
    pub channel: Option<SmolStr>,
    /// Only of this direction.
    pub direction: Option<Direction>,
    /// Only in this state.
    pub state: Option<State>,
    /// Only of this contact.
    pub contact: Option<SmolStr>,
    /// Only with this message id.
    pub mid: Option<SmolStr>,
    /// Only older than this: the last id of the page before.
    pub before: Option<DeliveryId>,
    /// At most so many; 0 means 50, never more than 1,000.
    pub limit: usize,
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
    /// Deliveries that left the queue.
    pub settled: Millis,
    /// Journalled webhooks.
    pub journal: Millis,
    /// Parked webhooks that nobody replayed.
    pub parked: Millis,
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
            parked: 30 * 24 * HOUR,
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
