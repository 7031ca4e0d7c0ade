//! The last gate before the network: whether this process may send is asked at every single write to a connection, so that
//! one that stood still between its decision and its sending does not send what is another's by now.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower::Service;

/// Tells whether this process may send.
pub type Fence = Arc<dyn Fn() -> bool + Send + Sync>;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("this node's leases have lapsed")]
pub(super) struct Lapsed;

/// Connects, and puts a fence before what is written.
#[derive(Clone)]
pub(super) struct Fenced<C> {
    pub(super) connector: C,
    /// None where nobody else could send.
    pub(super) fence: Option<Fence>,
}

/// A connection with a fence.
pub(super) struct Stream<S> {
    inner: S,
    fence: Option<Fence>,
}

impl<C> Service<Uri> for Fenced<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = Stream<C::Response>;
    type Error = C::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (connecting, fence) = (self.connector.call(to), self.fence.clone());
        Box::pin(async { Ok(Stream { inner: connecting.await?, fence }) })
    }
}

impl<S> Stream<S> {
    fn may_write(&self) -> io::Result<()> {
        if self.fence.as_ref().is_none_or(|may_send| may_send()) {
            Ok(())
        } else {
            Err(io::Error::other(Lapsed))
        }
    }
}

impl<S: Connection> Connection for Stream<S> {
    fn connected(&self) -> Connected {
        self.inner.connected()
    }
}

impl<S: Read + Unpin> Read for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: Write + Unpin> Write for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.may_write()?;
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.may_write()?;
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }
}
