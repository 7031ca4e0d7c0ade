//! What a lane is allowed and how it behaves.

use std::sync::Arc;
use std::time::Duration;

use super::breaker::BreakerPolicy;
use super::credential::Credential;
use super::rate::Rate;
use super::retry::RetryPolicy;
use crate::store::{Lane, Slot, StatusSet};

/// How a lane behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneSettings {
    /// At most so many requests.
    pub rate: Rate,
    /// At most so many requests for one contact.
    pub per_contact: Rate,
    /// What the provider allows the credential of the lane, which others may have too.
    pub credential: Option<Credential>,
    /// At most so many requests at once (at least one).
    pub in_flight: usize,
    /// At most so many deliveries of a contact in one request, of those that wait already (at least one).
    pub batch: usize,
    /// When attempts are repeated.
    pub retry: RetryPolicy,
    /// What the other side may have taken is held for an operator instead of being tried again.
    pub hold_doubtful: bool,
    /// When the lane pauses because the host that it sends to fails again and again.
    pub breaker: BreakerPolicy,
    /// Which changes of outbound messages the platform is told.
    pub post: StatusSet,
    /// The longest that an attempt may take, all its steps together.
    pub time_limit: Duration,
    /// At most so many deliveries are held in memory; the others wait in the store.
    pub window: usize,
}

impl LaneSettings {
    /// The slot of a lane that behaves like this: lanes that share a credential are in one, so one process has them all.
    pub fn slot(&self, lane: &Lane) -> Slot {
        match &self.credential {
            Some(credential) => Slot::of_credential(&credential.key),
            None => Slot::of_lane(lane),
        }
    }
}

impl Default for LaneSettings {
    fn default() -> Self {
        Self {
            rate: Rate::default(),
            per_contact: Rate::UNLIMITED,
            credential: None,
            in_flight: 32,
            batch: 1,
            retry: RetryPolicy::default(),
            hold_doubtful: false,
            breaker: BreakerPolicy::default(),
            post: StatusSet::default(),
            time_limit: Duration::from_mins(2),
            window: 1000,
        }
    }
}

/// The settings of each lane; `None` for a lane that is not to run now (its deliveries stay in the store).
pub type SettingsOf = Arc<dyn Fn(&Lane) -> Option<LaneSettings> + Send + Sync>;
