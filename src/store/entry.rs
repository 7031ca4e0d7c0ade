//! One thing on its way: a [`Delivery`] as the queue holds it. Its id is its place in the queue: ids rise in
//! the order of commit, so the order per contact is the order of acceptance.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::lane::Lane;
use crate::memory::Remember;
use crate::message::{EventKind, Piece};
use crate::world::Millis;

/// The place of a delivery in the queue of the whole store; later is greater, never given out twice.
pub type DeliveryId = i64;

/// The id of a journalled webhook.
pub type WebhookId = i64;

/// A delivery that is still to be put into the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct NewDelivery {
    /// Where it goes.
    pub lane: Lane,
    /// The provider's address of the contact: what order is kept for.
    pub contact: SmolStr,
    /// Outbound: our id of the message. Inbound: the id of the event, the same on every attempt.
    pub mid: SmolStr,
    /// What it is.
    pub kind: EventKind,
    /// Inbound: the JSON of one canonical event. Outbound: the accepted message. The store does not look inside.
    pub payload: Bytes,
    /// What a redelivery of the same thing has in common with it, within its channel; `None`: never a duplicate.
    pub dedupe: Option<String>,
    /// Not to be tried before this; 0: at once.
    pub not_before: Millis,
    /// Of which message it is only a piece: it waits for the others instead of being queued.
    pub piece: Option<Piece>,
    /// What is remembered with it, unless it is a duplicate.
    pub remember: Vec<Remember>,
    /// It goes when nothing goes that is not bulk: a broadcast behind conversations.
    pub bulk: bool,
}

impl NewDelivery {
    /// A delivery that is due at once and never a duplicate.
    pub fn new(lane: Lane, contact: &str, mid: &str, kind: EventKind, payload: Bytes) -> Self {
        Self {
            lane,
            contact: SmolStr::new(contact),
            mid: SmolStr::new(mid),
            kind,
            payload,
            dedupe: None,
            not_before: 0,
            piece: None,
            remember: Vec::new(),
            bulk: false,
        }
    }
}

/// A delivery in the queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Its place in the queue.
    pub id: DeliveryId,
    /// Where it goes.
    pub lane: Lane,
    /// The provider's address of the contact.
    pub contact: SmolStr,
    /// Outbound: our id of the message. Inbound: the id of the event.
    pub mid: SmolStr,
    /// What it is.
    pub kind: EventKind,
    /// What is delivered; see [`NewDelivery::payload`].
    pub payload: Bytes,
    /// How many attempts have been made; throttled ones are not counted.
    pub attempts: u32,
    /// Not to be tried before this.
    pub not_before: Millis,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// What the carrier noted about parts that are sent already (small JSON).
    pub progress: Option<String>,
    /// An attempt was begun of which nothing is known.
    pub in_doubt: bool,
    /// See [`NewDelivery::bulk`].
    pub bulk: bool,
    /// The first of its contact's bulk deliveries that were queued when it came, if it is not bulk itself: they go
    /// before it.
    pub behind: Option<DeliveryId>,
    /// The webhook that it came with.
    pub webhook: Option<WebhookId>,
}

impl Delivery {
    /// One that was just given its place in the queue.
    pub(super) fn queued(
        id: DeliveryId,
        new: &NewDelivery,
        behind: Option<DeliveryId>,
        at: Millis,
        webhook: Option<WebhookId>,
    ) -> Self {
        Self {
            id,
            lane: new.lane.clone(),
            contact: new.contact.clone(),
            mid: new.mid.clone(),
            kind: new.kind,
            payload: new.payload.clone(),
            attempts: 0,
            not_before: new.not_before,
            accepted_at: at,
            progress: None,
            in_doubt: false,
            bulk: new.bulk,
            behind,
            webhook,
        }
    }
}

/// What has become of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for its turn, or for a retry.
    Queued,
    /// The other side took it.
    Sent,
    /// The other side refused it for good.
    Failed,
    /// We gave up on it: a dead letter.
    Dead,
    /// The other side may have taken it: an operator decides.
    Held,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Sent, Self::Failed, Self::Dead, Self::Held];
    /// Those in which it waits for an operator.
    pub const LOST: [Self; 3] = [Self::Failed, Self::Dead, Self::Held];

    /// The number that it is stored as: its place among [`State::ALL`].
    pub(super) fn number(self) -> i16 {
        match self {
            Self::Queued => 0,
            Self::Sent => 1,
            Self::Failed => 2,
            Self::Dead => 3,
            Self::Held => 4,
        }
    }

    /// The state that a number was stored for.
    pub(super) fn of(number: i16) -> Self {
        match number {
            0 => Self::Queued,
            1 => Self::Sent,
            2 => Self::Failed,
            3 => Self::Dead,
            _ => Self::Held,
        }
    }

    /// `queued`, `sent`, `failed`, `dead` or `held`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Held => "held",
        }
    }
}

/// A delivery with what has become of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The delivery.
    pub delivery: Delivery,
    /// What has become of it.
    pub state: State,
    /// When it left the queue.
    pub settled_at: Option<Millis>,
    /// Why the last attempt did not succeed.
    pub error: Option<String>,
}
