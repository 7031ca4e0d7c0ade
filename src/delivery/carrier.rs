//! The other side of an attempt: what carries a delivery to where it belongs, and what it may say about it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use smol_str::SmolStr;

use crate::call::Departure;
use crate::memory::Remember;
use crate::message::Fault;
use crate::store::{Delivery, Direction};

/// How an attempt went.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The other side took it.
    Sent {
        /// The provider's ids per part of the message; a part may have several names. Empty for the platform.
        ids: Vec<Vec<String>>,
        /// How long the other side wants to be left alone, from its answer on; the whole lane rests.
        rest: Option<Duration>,
    },
    /// A request of several succeeded: the next one has its own place in the rate. No attempt is counted.
    Partly {
        /// When the next one is due; zero is at once.
        after: Duration,
        /// Small JSON about what is sent already; comes back with the next attempt.
        progress: String,
        /// See [`Outcome::Sent`].
        rest: Option<Duration>,
    },
    /// It may work later.
    Retry {
        /// The shortest wait before the next attempt; `None`: the policy alone decides.
        after: Option<Duration>,
        /// What was wrong.
        fault: Fault,
        /// Small JSON about parts that are sent already; comes back with the next attempt. `None` leaves the
        /// earlier note.
        progress: Option<String>,
    },
    /// The other side wants fewer requests: the whole lane rests. Not counted as an attempt.
    Throttled {
        /// How long it wants to be left alone, from its answer on; `None`: it did not say.
        after: Option<Duration>,
        /// What it said.
        fault: Fault,
        /// See [`Outcome::Retry`].
        progress: Option<String>,
    },
    /// It will never work.
    Failed {
        /// What was wrong.
        fault: Fault,
    },
    /// It will never work, because the contact wants no messages.
    OptOut {
        /// What was wrong.
        fault: Fault,
    },
}

/// What is to be written down about an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// How it went.
    pub outcome: Outcome,
    /// How many of those that could go with the first one went with it: the outcome is about them too.
    pub joined: usize,
    /// What is remembered because of it, and forgotten.
    pub remember: Vec<Remember>,
    /// The host that a request was made to, if one was made to one host.
    pub contacted: Option<Contacted>,
    /// Whether the other side may have taken what was sent, though no answer came.
    pub in_doubt: bool,
}

/// A host that a request was made to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contacted {
    /// Its name, with the port.
    pub host: SmolStr,
    /// Whether it did its work: no time-out, no lost connection and no 5xx, whatever it said.
    pub is_well: bool,
}

impl From<Outcome> for Report {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, joined: 0, remember: Vec::new(), contacted: None, in_doubt: false }
    }
}

/// Carries deliveries: over HTTP to the platform, through a mapping and HTTP to a provider.
pub trait Carrier: Send + Sync {
    /// Makes one attempt, which is one request: of `first`, and of as many of `more` as may go with it. Those are what
    /// comes next for the same contact, in order; none is left out between two that go.
    ///
    /// It must end by itself (every call with a time-out); a panic or an attempt that takes longer than the lane's
    /// time limit counts as [`Outcome::Retry`]. The moment at which the request goes is told at once: the rate counts
    /// from there.
    fn attempt<'a>(
        &'a self,
        first: &'a Arc<Delivery>,
        more: &'a [Arc<Delivery>],
        departure: Departure,
    ) -> BoxFuture<'a, Report>;
}

/// One carrier for each direction.
#[derive(Clone)]
pub struct ByDirection {
    /// To the platform.
    pub inbound: Arc<dyn Carrier>,
    /// To the providers.
    pub outbound: Arc<dyn Carrier>,
}

impl Carrier for ByDirection {
    fn attempt<'a>(
        &'a self,
        first: &'a Arc<Delivery>,
        more: &'a [Arc<Delivery>],
        departure: Departure,
    ) -> BoxFuture<'a, Report> {
        match first.lane.direction {
            Direction::Inbound => self.inbound.attempt(first, more, departure),
            Direction::Outbound => self.outbound.attempt(first, more, departure),
        }
    }
}
