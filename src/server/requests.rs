//! Requests as they come in, within bounds.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use smol_str::SmolStr;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::forwarded::caller;
use super::routes::App;
use crate::load::ServerSettings;
use crate::pipeline::Incoming;

/// Why a request could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body took too long")]
    TooSlow,
    #[error("the body could not be read: {0}")]
    Broken(String),
    #[error("too many requests are being answered")]
    NoRoom,
}

/// A body, and its share of the room for all bodies: to be held until the request is answered.
pub(super) struct Held {
    pub(super) bytes: Bytes,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// Reads a body into the room that is left for bodies.
pub(super) async fn read_body(
    body: Body,
    limits: &ServerSettings,
    room: &Arc<Semaphore>,
) -> Result<Held, Refused> {
    let max = limits.max_body;
    // One that says that it is too large is not read at all.
    if body.size_hint().lower() > max as u64 {
        return Err(Refused::TooLarge(max));
    }
    let reading = collect(Limited::new(body, max), max, room);
    tokio::time::timeout(limits.body_timeout, reading).await.unwrap_or(Err(Refused::TooSlow))
}

async fn collect(mut body: Limited<Body>, max: usize, bodies: &Arc<Semaphore>) -> Result<Held, Refused> {
    let mut bytes = BytesMut::new();
    let mut room: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() {
                Refused::TooLarge(max)
            } else {
                Refused::Broken(error.to_string())
            }
        })?;
        let Ok(data) = frame.into_data() else { continue };
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let more = bodies.clone().try_acquire_many_owned(size).map_err(|_| Refused::NoRoom)?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes: bytes.freeze(), room })
}

/// A webhook request, with its share of the room for bodies. Its URL is the public one, whatever proxy stands in between.
pub(super) async fn incoming(
    app: &App,
    route: String,
    request: Request,
) -> Result<(Incoming, Option<OwnedSemaphorePermit>), Refused> {
    let (parts, body) = request.into_parts();
    let Held { bytes: body, room } = read_body(body, &app.limits, &app.bodies).await?;
    let mut headers: Vec<(SmolStr, SmolStr)> = Vec::with_capacity(parts.headers.len());
    for name in parts.headers.keys() {
        let values =
            parts.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let joined = values.collect::<Vec<_>>().join(", ");
        headers.push((SmolStr::new(name.as_str()), joined.into()));
    }
    let peer = parts.extensions.get::<SocketAddr>().map(SocketAddr::ip);
    let forwarded = parts.headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let ip = peer.map(|peer| caller(peer, forwarded, &app.limits.trusted_proxies));
    let path_and_query = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let incoming = Incoming {
        method: SmolStr::new(parts.method.as_str()),
        url: format!("{}{path_and_query}", app.gateway.public_url()),
        route,
        query: parts.uri.query().unwrap_or_default().to_string(),
        headers,
        body,
        ip: ip.map(|ip| ip.to_string()).unwrap_or_default(),
    };
    Ok((incoming, room))
}
