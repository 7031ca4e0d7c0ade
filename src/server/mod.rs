//! HTTP in: routes, limits, answers, shutdown. The home of axum and hyper.
//!
//! Invariants: a request that takes too long to send its head or body is cut off; a head, a body, all bodies together
//! and the number of connections are never larger than their caps, and whoever comes beyond them is told to come back;
//! the table of status codes is here and nowhere else.

mod answers;
mod metrics;
mod requests;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;

use crate::gateway::Gateway;
use crate::load::ServerSettings;

/// How much of a request's head is taken, in bytes; beyond it the answer is 431.
const HEAD: usize = 32 << 10;
/// How many callers beyond the allowed connections are told so at the same time; still more are cut off at once.
const TURNED_AWAY: usize = 64;
/// How long one of them may take to hear it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Serves the gateway until `shutdown` is over; then takes no more connections and delivers nothing more, and waits
/// for what is being answered and for deliveries under way, at most for `limits.drain`.
pub async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    limits: ServerSettings,
    shutdown: impl Future<Output = ()>,
) {
    let router = routes::router(gateway.clone(), limits);
    let room = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let door = Arc::new(Semaphore::new(TURNED_AWAY));
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match room.clone().try_acquire_owned() {
                Ok(permit) => connection(stream, peer, router.clone(), limits, &graceful, permit),
                Err(_) => turn_away(stream, &door),
            },
            Err(error) => {
                // Usually too many open files: wait for some to be closed.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    // Both at the same time: a caller who never finishes must not keep an outcome from being written down.
    let (answered, ()) =
        tokio::join!(tokio::time::timeout(limits.drain, graceful.shutdown()), gateway.finish(limits.drain));
    if answered.is_err() {
        tracing::warn!("some connections were cut off after {} s", limits.drain.as_secs());
    }
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ServerSettings,
    graceful: &GracefulShutdown,
    permit: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(100)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
        drop(permit);
    });
}

/// Tells a caller that there is no room, without reading what it wants.
fn turn_away(mut stream: TcpStream, door: &Arc<Semaphore>) {
    let Ok(permit) = door.clone().try_acquire_owned() else { return };
    let told = async move {
        stream.write_all(answers::FULL.as_bytes()).await?;
        stream.shutdown().await?;
        // What it still sends is taken, or the answer might be lost in a reset of the connection.
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    tokio::spawn(async move {
        let _ = tokio::time::timeout(FAREWELL, told).await;
        drop(permit);
    });
}
