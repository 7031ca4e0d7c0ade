//! HTTP in: routes, limits, answers, shutdown. The home of axum and hyper.
//!
//! Invariants: a request that takes too long to send its head or body is cut off; a head, a body, all bodies together
//! and the number of connections are never larger than their caps, and whoever comes beyond them is told to come back;
//! the table of status codes is here and nowhere else.

mod admin;
mod answers;
mod forwarded;
mod metrics;
mod requests;
mod routes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use futures_util::{FutureExt as _, TryFutureExt as _};
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;

use crate::gateway::Gateway;
use crate::load::ServerSettings;
use crate::platform::Token;

/// How many callers beyond the allowed connections are told so at the same time; still more are cut off at once.
const TURNED_AWAY: usize = 64;
/// How long one of them may take to hear it.
const FAREWELL: Duration = Duration::from_secs(1);

/// How many connections of operators may be open.
const OPERATORS: usize = 64;

/// Where operators' requests come in, and whose are taken.
pub struct AdminDoor {
    /// The listener.
    pub listener: TcpListener,
    /// What callers prove themselves with; none where only this machine reaches the listener.
    pub token: Option<Token>,
}

/// Serves the gateway, and operators, until `shutdown` is over; then takes no more connections and delivers nothing
/// more, and waits for what is being answered and for deliveries under way, at most for `limits.drain`.
pub async fn serve(
    listener: TcpListener,
    admin: Option<AdminDoor>,
    gateway: Arc<Gateway>,
    limits: ServerSettings,
    shutdown: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let shutdown = shutdown.shared();
    let limits = Arc::new(limits);
    let router = routes::router(gateway.clone(), limits.clone());
    let public = take(listener, router, &limits, limits.connections, &graceful, shutdown.clone());
    let operators = async {
        if let Some(AdminDoor { listener, token }) = admin {
            let router = admin::router(&gateway, limits.clone(), token);
            take(listener, router, &limits, OPERATORS, &graceful, shutdown.clone()).await;
        }
    };
    tokio::join!(public, operators);
    // Both at the same time: a caller who never finishes must not keep an outcome from being written down.
    let (answered, ()) =
        tokio::join!(tokio::time::timeout(limits.drain, graceful.shutdown()), gateway.finish(limits.drain));
    if answered.is_err() {
        tracing::warn!("some connections were cut off after {} s", limits.drain.as_secs());
    }
}

/// Takes connections until `shutdown` is over, at most so many at once.
async fn take(
    listener: TcpListener,
    router: Router,
    limits: &ServerSettings,
    connections: usize,
    graceful: &GracefulShutdown,
    mut shutdown: impl Future<Output = ()> + Unpin,
) {
    let room = Arc::new(Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS)));
    let door = Arc::new(Semaphore::new(TURNED_AWAY));
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match room.clone().try_acquire_owned() {
                Ok(permit) => connection(stream, peer, router.clone(), limits, graceful, permit),
                Err(_) => turn_away(stream, &door),
            },
            Err(error) => {
                // Usually too many open files: wait for some to be closed.
                tracing::error!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: &ServerSettings,
    graceful: &GracefulShutdown,
    permit: OwnedSemaphorePermit,
) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request.map(Body::new)).map_ok(answers::without_needless_length)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(100)
        .max_buf_size(limits.max_head)
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
