//! HTTP in: routes, limits, answers, shutdown. The home of axum and hyper.
//!
//! Invariants: a request that takes too long to send its head or body is cut off, a body is never larger than the
//! cap, and the table of status codes is here and nowhere else.

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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::ServiceExt as _;

use crate::gateway::Gateway;
use crate::load::ServerSettings;

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
    let graceful = GracefulShutdown::new();
    tokio::pin!(shutdown);
    loop {
        let permit = tokio::select! {
            () = &mut shutdown => break,
            permit = room.clone().acquire_owned() => permit,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => connection(stream, peer, router.clone(), limits, &graceful, permit),
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
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%peer, %error, "a connection ended early");
        }
        drop(permit);
    });
}
