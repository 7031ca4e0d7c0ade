//! When a request goes: told by the connection that takes it, since until then it may have fetched a file, connected or
//! waited for a core.

use std::cell::Cell;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// The moment at which a request was written to its connection; where several were tried, the last one.
#[derive(Clone, Debug, Default)]
pub struct Departure(Arc<Mutex<Option<Instant>>>);

impl Departure {
    /// The moment, once there is one.
    pub fn at(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It goes at that moment.
    pub fn note(&self, at: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// A body that notes when its request is taken.
    pub(super) fn of<B>(&self, body: B) -> Departing<B> {
        Departing { body, departure: self.clone(), is_noted: Cell::new(false) }
    }
}

/// A body that tells when its connection first asks something of it: in the same step it is written, behind its head.
pub(super) struct Departing<B> {
    body: B,
    departure: Departure,
    is_noted: Cell<bool>,
}

impl<B> Departing<B> {
    fn note(&self) {
        if !self.is_noted.replace(true) {
            self.departure.note(Instant::now());
        }
    }
}

impl<B: Body + Unpin> Body for Departing<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.note();
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.note();
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
