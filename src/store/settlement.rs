//! The outcome of an attempt, written as one durable unit with everything that follows from it.

use std::sync::Arc;

use super::entry::{Delivery, NewDelivery};
use super::status_set::StatusSet;
use crate::memory::Remember;
use crate::message::Fault;
use crate::world::Millis;

/// How an attempt ended, as far as the queue is concerned.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// The other side took it.
    Sent {
        /// The provider's ids per part of the message; a part may have several names. Empty for the platform.
        ids: Vec<Vec<String>>,
    },
    /// It stays in the queue.
    Retry {
        /// Not before this.
        not_before: Millis,
        /// Why.
        error: String,
        /// What the carrier noted about parts that are sent; replaces the earlier note.
        progress: Option<String>,
        /// The whole lane rests until then; remembered across a restart.
        pause_lane: Option<Millis>,
    },
    /// The other side refused it for good.
    Failed {
        /// Its reason.
        fault: Fault,
    },
    /// We gave up: a dead letter.
    Dead {
        /// Why, in a sentence for the operator and the agent.
        reason: String,
    },
    /// The other side may have taken it: it waits for an operator, and the platform is told nothing.
    Held {
        /// Why that is not known.
        reason: String,
    },
}

/// One durable unit: the outcome of an attempt of one delivery.
///
/// An outbound message that failed or died also queues a `failed` status for the platform, if `post` has it.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The time of the settlement.
    pub at: Millis,
    /// When the attempt began: what was sent in it was sent after this.
    pub begun_at: Millis,
    /// What was tried.
    pub delivery: Arc<Delivery>,
    /// Attempts made so far, this one included where it counts.
    pub attempts: u32,
    /// How it ended.
    pub ending: Ending,
    /// Which changes of an outbound message the channel posts to the platform.
    pub post: StatusSet,
    /// What else goes into the queue because of it.
    pub follow_ups: Vec<NewDelivery>,
    /// What is remembered because of it, and forgotten.
    pub remember: Vec<Remember>,
}

impl Settlement {
    /// A settlement of an attempt that took no time, from which nothing else follows.
    pub fn new(at: Millis, delivery: Arc<Delivery>, attempts: u32, ending: Ending) -> Self {
        Self {
            at,
            begun_at: at,
            delivery,
            attempts,
            ending,
            post: StatusSet::default(),
            follow_ups: Vec::new(),
            remember: Vec::new(),
        }
    }
}

/// What came of a [`Settlement`].
#[derive(Clone, Debug, Default)]
pub struct Settled {
    /// Whether it was still queued; a delivery is settled once, a second settlement changes nothing.
    pub applied: bool,
    /// What was queued because of it: statuses and follow-ups, in queue order.
    pub new: Vec<Arc<Delivery>>,
}
