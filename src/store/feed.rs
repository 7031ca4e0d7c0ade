//! The way from the store to delivery: what was committed, in commit order.
//!
//! Invariant: it never blocks the one who pushes, it is bounded, and a loss is always noticed before anything
//! that was pushed after it is seen. Nothing is lost for good, since everything pushed is in the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, mpsc};

use super::entry::{Delivery, DeliveryId};
use super::lane::Lane;

/// What comes out of a feed.
#[derive(Clone, Debug, PartialEq)]
pub enum Fed {
    /// A committed delivery.
    New(Arc<Delivery>),
    /// Deliveries of a lane that another process committed: they are in the store.
    Elsewhere(Elsewhere),
    /// Some were left out: read the store for what there is.
    Missed,
}

/// What another process committed in a lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The lane.
    pub lane: Lane,
    /// How many deliveries.
    pub count: u64,
    /// The newest of them.
    pub newest: DeliveryId,
}

/// The end that is pushed into.
#[derive(Clone, Debug)]
pub struct Feed {
    items: mpsc::Sender<Fed>,
    loss: Arc<Loss>,
}

/// The end that is read.
#[derive(Debug)]
pub struct FeedReader {
    items: mpsc::Receiver<Fed>,
    loss: Arc<Loss>,
}

#[derive(Debug, Default)]
struct Loss {
    happened: AtomicBool,
    wake: Notify,
}

/// A feed that holds at most `capacity` deliveries.
pub fn feed(capacity: usize) -> (Feed, FeedReader) {
    let (sender, receiver) = mpsc::channel(capacity.max(1));
    let loss = Arc::new(Loss::default());
    (Feed { items: sender, loss: Arc::clone(&loss) }, FeedReader { items: receiver, loss })
}

impl Feed {
    /// Hands over a delivery that was committed; never blocks. When the feed is full the reader is told that it
    /// missed something.
    pub fn push(&self, delivery: &Arc<Delivery>) {
        self.put(Fed::New(Arc::clone(delivery)));
    }

    /// Tells of what another process committed, in the same way.
    pub fn tell(&self, elsewhere: Elsewhere) {
        self.put(Fed::Elsewhere(elsewhere));
    }

    fn put(&self, fed: Fed) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.items.try_send(fed) {
            self.miss();
        }
    }

    /// Tells the reader that it missed something.
    pub fn miss(&self) {
        self.loss.happened.store(true, Ordering::SeqCst);
        self.loss.wake.notify_one();
    }
}

impl FeedReader {
    /// The next thing; `None` when nobody can push any more and all was read.
    ///
    /// Cancel safe: nothing is lost when the future is dropped before it is ready.
    pub async fn next(&mut self) -> Option<Fed> {
        loop {
            // A loss comes first; what was received with it may have been pushed after it, and is in the store.
            let item = tokio::select! {
                biased;
                () = self.loss.wake.notified() => None,
                item = self.items.recv() => Some(item),
            };
            if self.loss.happened.swap(false, Ordering::SeqCst) {
                return Some(Fed::Missed);
            }
            if let Some(item) = item {
                return item;
            }
        }
    }

    /// The next thing that is there already.
    pub fn try_next(&mut self) -> Option<Fed> {
        let item = self.items.try_recv().ok();
        if self.loss.happened.swap(false, Ordering::SeqCst) {
            return Some(Fed::Missed);
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::delivery;

    #[tokio::test]
    async fn a_full_feed_tells_of_the_loss_before_anything_later() {
        let (feed, mut reader) = feed(2);
        for id in 1..=3 {
            feed.push(&delivery(id, "c"));
        }
        assert_eq!(reader.next().await, Some(Fed::Missed));
        assert!(matches!(reader.next().await, Some(Fed::New(it)) if it.id == 1));
        feed.push(&delivery(4, "c"));
        feed.push(&delivery(5, "c"));
        // The loss of 5 is told before 4 is seen, and 4 is found in the store.
        assert_eq!(reader.try_next(), Some(Fed::Missed));
        assert!(matches!(reader.try_next(), Some(Fed::New(it)) if it.id == 4));
        assert_eq!(reader.try_next(), None);
    }

    #[tokio::test]
    async fn a_feed_ends_when_nobody_can_push() {
        let (feed, mut reader) = feed(2);
        feed.push(&delivery(1, "c"));
        drop(feed);
        assert!(matches!(reader.next().await, Some(Fed::New(_))));
        assert_eq!(reader.next().await, None);
    }
}
