//! Delivery: what is in the store's queue gets to the other side, in order, at the allowed rate, as often as it
//! takes.
//!
//! One task per active lane. The decisions (when a request may start, what an outcome means, who goes next) are
//! pure functions with the clock as a parameter; [`Carrier`] is the other side. Invariant: a delivery leaves the
//! queue only by a settlement that is on disk, so whatever happens it is sent, failed or dead, never lost.

mod attempt;
mod breaker;
mod carrier;
mod credential;
mod engine;
mod host;
mod judge;
mod lane;
mod pacer;
mod queue;
mod rate;
mod reserve;
mod retry;
mod settings;
mod spacing;
mod stats;

#[cfg(test)]
mod tests;

pub use breaker::{Breaker, BreakerPolicy};
pub use carrier::{ByDirection, Carrier, Contacted, Outcome, Report};
pub use credential::Credential;
pub use engine::{Engine, Parts};
pub use judge::{Judgement, judge};
pub use pacer::{Pacer, Ticket};
pub use rate::{Rate, RateError};
pub use retry::RetryPolicy;
pub use settings::{LaneSettings, SettingsOf};
pub use stats::LaneStats;
