//! What consoles, the CLI and metrics read. Nothing here changes anything, so it also works beside the process that
//! has the store.

use smol_str::SmolStr;

use super::entry::{DeliveryId, Record, WebhookId};
use super::finding::Finding;
use super::query::{Counts, Filter, LaneDepth, ParkedFilter, Retention, Tally};
use super::{Answer, Webhook};
use crate::world::Millis;

/// The readable side of a database.
pub trait Records: Send + Sync {
    /// The lanes that have something queued or a pause on record.
    fn lanes(&self) -> Answer<Vec<LaneDepth>>;

    /// How much of everything there is.
    fn counts(&self) -> Answer<Counts>;

    /// What waits for an operator, by channel.
    fn tally(&self) -> Answer<Tally>;

    /// The deliveries that pass the filter.
    fn list(&self, filter: Filter) -> Answer<Vec<Record>>;

    /// One delivery.
    fn show(&self, id: DeliveryId) -> Answer<Option<Record>>;

    /// The parked webhooks that pass the filter, oldest first.
    fn parked(&self, filter: ParkedFilter) -> Answer<Vec<Webhook>>;

    /// One journalled webhook.
    fn webhook(&self, id: WebhookId) -> Answer<Option<Webhook>>;

    /// Everything about the store that can't be right, given the channels that there are and how long things are kept.
    fn examine(&self, channels: Vec<SmolStr>, keep: Retention, now: Millis) -> Answer<Vec<Finding>>;
}
