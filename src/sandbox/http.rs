//! What both stand-ins need of HTTP: a listener that answers at once, JSON answers, request bodies with a cap,
//! and the refusal of what a foreign web page sends to a page on this machine.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use axum::response::{IntoResponse, Response};
use axum::serve::ListenerExt;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::recording::{Received, Verdict};
use crate::world::Millis;

/// The largest request body that is read, in bytes.
pub const MAX_BODY: usize = 4 << 20;

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, router: Router) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "can't set TCP_NODELAY");
        }
    });
    axum::serve(listener, router).await
}

/// A client that talks to the gateway directly, whatever proxy the environment names.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap_or_default()
}

/// An answer of JSON.
pub fn json_answer(status: StatusCode, body: &impl Serialize) -> Response {
    let text = serde_json::to_vec(body).unwrap_or_default();
    answer(status, "application/json", text)
}

/// `{"error":{"message":...}}`.
pub fn error_answer(status: StatusCode, message: &str) -> Response {
    json_answer(status, &json!({"error": {"message": message}}))
}

/// An answer of that type.
pub fn answer(status: StatusCode, mime: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(mime));
    response
}

/// An answer whose body breaks off before its first byte, which breaks the connection off.
pub fn hangup() -> Response {
    let broken = futures_util::stream::once(async { Err::<Bytes, _>(std::io::Error::other("hangup")) });
    Response::new(Body::from_stream(broken))
}

/// A header that is set or not, as its text is a legal value or not.
pub fn set_header(response: &mut Response, name: &str, value: &str) {
    let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else { return };
    response.headers_mut().insert(name, value);
}

/// An answer that ends the handling of a request before its time.
pub struct Early(Box<Response>);

impl IntoResponse for Early {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// The whole request, or the answer to one whose body can't be read.
pub async fn read(request: Request) -> Result<(Parts, Bytes), Early> {
    let (parts, body) = request.into_parts();
    match axum::body::to_bytes(body, MAX_BODY).await {
        Ok(body) => Ok((parts, body)),
        Err(error) => {
            let message = format!("the body can't be read, or is larger than {MAX_BODY} bytes: {error}");
            Err(Early(Box::new(error_answer(StatusCode::PAYLOAD_TOO_LARGE, &message))))
        }
    }
}

/// The body as JSON, or the answer to one that is not.
pub fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Early> {
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body is not the JSON that is expected: {error}");
        Early(Box::new(error_answer(StatusCode::BAD_REQUEST, &message)))
    })
}

/// The record of a request that is not judged yet.
pub fn record(parts: &Parts, body: &Bytes, at: Millis) -> Received {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Received {
        number: 0,
        at,
        method: parts.method.as_str().to_owned(),
        url: parts.uri.path_and_query().map_or("/", |url| url.as_str()).to_owned(),
        headers: parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        size: body.len(),
        body: body.clone(),
        verdict: Verdict::Accepted,
        status: 200,
        reason: None,
    }
}

/// The token of `Authorization: Bearer TOKEN`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A member of a query string.
pub fn query(parts: &Parts, name: &str) -> Option<String> {
    let query = parts.uri.query()?;
    url::form_urlencoded::parse(query.as_bytes())
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

/// Whether a browser sent this for a page of another origin (`Origin`, `Sec-Fetch-Site`).
pub fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if text("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return true;
    }
    text("origin").is_some_and(|origin| {
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        text("host") != Some(host)
    })
}

/// The text member of that name.
pub fn text_of<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

/// An error with all its causes.
pub fn whole(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
        list.iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_a_page_of_this_origin_may_post() {
        assert!(!is_foreign(&headers(&[("host", "localhost:1")])), "curl");
        assert!(!is_foreign(&headers(&[("host", "localhost:1"), ("origin", "http://localhost:1")])));
        assert!(is_foreign(&headers(&[("host", "localhost:1"), ("origin", "http://evil.example")])));
        assert!(is_foreign(&headers(&[("host", "localhost:1"), ("origin", "null")])));
        assert!(is_foreign(&headers(&[("sec-fetch-site", "cross-site")])));
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        assert_eq!(bearer(&headers(&[("authorization", "bearer abc")])), Some("abc"));
        assert_eq!(bearer(&headers(&[("authorization", "Basic abc")])), None);
    }
}
