//! Requests as they come in, within bounds.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use smol_str::SmolStr;

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
}

pub(super) async fn read_body(body: Body, limits: ServerSettings) -> Result<Bytes, Refused> {
    let limited = Limited::new(body, limits.max_body).collect();
    match tokio::time::timeout(limits.body_timeout, limited).await {
        Err(_) => Err(Refused::TooSlow),
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refused::TooLarge(limits.max_body)),
        Ok(Err(error)) => Err(Refused::Broken(error.to_string())),
    }
}

/// A webhook request. Its URL is the public one, whatever proxy stands in between.
pub(super) async fn incoming(app: &App, route: String, request: Request) -> Result<Incoming, Refused> {
    let (parts, body) = request.into_parts();
    let body = read_body(body, app.limits).await?;
    let mut headers: Vec<(SmolStr, SmolStr)> = Vec::with_capacity(parts.headers.len());
    for name in parts.headers.keys() {
        let values =
            parts.headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let joined = values.collect::<Vec<_>>().join(", ");
        headers.push((SmolStr::new(name.as_str()), joined.into()));
    }
    let path_and_query = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    Ok(Incoming {
        method: SmolStr::new(parts.method.as_str()),
        url: format!("{}{path_and_query}", app.gateway.public_url()),
        route,
        query: parts.uri.query().unwrap_or_default().to_string(),
        headers,
        body,
        ip: parts.extensions.get::<SocketAddr>().map(|peer| peer.ip().to_string()).unwrap_or_default(),
    })
}
