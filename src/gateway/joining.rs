//! Events that go to the platform in one request with the one before them.

use std::sync::Arc;

use super::parcel::Parcel;
use super::to_platform::{Beside, ToPlatform};
use crate::load::ChannelSettings;
use crate::message::EventKind;
use crate::platform::Posting;
use crate::store::Delivery;

/// How much the events of one request may take together, in bytes, as they are kept.
const LARGEST: usize = 256 << 10;

impl ToPlatform {
    /// Adds to what is posted of `first` as many of `more` as may go with it; [`Beside`] tells how many. What has to be
    /// asked for anything, or is not posted, goes alone, and so does what would make the request too large.
    pub(super) async fn join(
        &self,
        channel: &ChannelSettings,
        posting: &mut Posting,
        first: &Delivery,
        more: &[Arc<Delivery>],
        beside: &mut Beside,
    ) {
        let (mut is_named, mut bytes) = (first.kind == EventKind::Message, first.payload.len());
        for delivery in more {
            bytes += delivery.payload.len();
            let parcel = serde_json::from_slice::<Parcel>(&delivery.payload).ok();
            let Some(parcel) = parcel.filter(|parcel| bytes <= LARGEST && parcel.is_plain()) else { return };
            let mut event = parcel.event;
            // All of them are of one contact, which is looked up once.
            if !is_named {
                self.name(channel, &mut event, &mut beside.remember).await;
            }
            is_named |= event.kind == EventKind::Message;
            if self.media.link(channel, &mut event).await.is_err() {
                return;
            }
            match Posting::of(&channel.platform, &event) {
                Ok(Some(next)) if posting.join(&next, channel.platform_batch) => beside.joined += 1,
                _ => return,
            }
        }
    }
}
