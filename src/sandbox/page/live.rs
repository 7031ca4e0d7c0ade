//! Tells open pages that something changed, as Server-Sent Events.
//!
//! A page that loses its stream comes back by itself, so a stream ends after ten minutes, and their number is
//! bounded.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

const STREAMS: usize = 32;
const LONGEST: Duration = Duration::from_mins(10);
const SETTLE: Duration = Duration::from_millis(100);

/// Hands out streams.
#[derive(Clone)]
pub struct Live(Arc<Semaphore>);

struct Watching {
    either: [watch::Receiver<u64>; 2],
    first: bool,
    until: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Live {
    /// No page is open yet.
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS)))
    }

    /// A stream that tells of every change of either; none where too many are open.
    pub fn stream(
        &self,
        either: [watch::Receiver<u64>; 2],
    ) -> Option<Sse<impl Stream<Item = Result<Event, Infallible>> + use<>>> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        let start = Watching { either, first: true, until: Instant::now() + LONGEST, _permit: permit };
        let events = stream::unfold(start, |mut watching| async move {
            watching.change().await?;
            Some((Ok(Event::default().event("changed").data("1")), watching))
        });
        Some(Sse::new(events).keep_alive(KeepAlive::default()))
    }
}

impl Watching {
    /// Waits for a change; none when the stream is to end. The first comes at once, since something may have
    /// changed while the page was loading.
    async fn change(&mut self) -> Option<()> {
        if std::mem::take(&mut self.first) {
            return Some(());
        }
        let [one, other] = &mut self.either;
        tokio::select! {
            changed = one.changed() => changed.ok()?,
            changed = other.changed() => changed.ok()?,
            () = tokio::time::sleep_until(self.until) => return None,
        }
        tokio::time::sleep(SETTLE).await;
        one.mark_unchanged();
        other.mark_unchanged();
        Some(())
    }
}
