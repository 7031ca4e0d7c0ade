//! The API for operators, at an address of its own: what `patchcord messages` changes through the running gateway.
//!
//! Invariants: with a token, nobody does anything without it; without one, only programs on this machine do, and no page
//! in a browser, wherever it comes from. Each request names a [`Which`]; a member that is not known is refused, so that a
//! mistyped filter never means more than was meant.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::answers;
use super::requests::read_body;
use crate::gateway::{Desk, Gateway, Which};
use crate::load::ServerSettings;
use crate::platform::Token;
use crate::store::{Filter, ParkedFilter};

/// How many of the largest bodies may be under way at once.
const BODIES: usize = 4;

/// Why a request is none of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TurnedAway {
    #[error("the token is missing or wrong")]
    Token,
    #[error("this is for programs, not for pages in a browser")]
    Browser,
    #[error("this is only for this machine, under its own name")]
    Host,
}

#[derive(Clone)]
struct Operators {
    desk: Arc<Desk>,
    limits: Arc<ServerSettings>,
    /// Room for the bodies of requests that are not answered yet, in bytes.
    bodies: Arc<Semaphore>,
    token: Option<Token>,
}

pub(super) fn router(gateway: &Gateway, limits: Arc<ServerSettings>, token: Option<Token>) -> Router {
    let bodies = Arc::new(Semaphore::new(BODIES.saturating_mul(limits.max_body).min(Semaphore::MAX_PERMITS)));
    let operators = Operators { desk: Arc::new(gateway.desk()), limits, bodies, token };
    Router::new()
        .route("/messages/retry", post(retry))
        .route("/messages/drop", post(drop_lost))
        .route("/parked/replay", post(replay))
        .route("/parked/drop", post(drop_parked))
        .fallback(super::routes::nothing)
        .method_not_allowed_fallback(super::routes::wrong_method)
        .layer(from_fn_with_state(operators.clone(), guard))
        .with_state(operators)
}

async fn guard(State(operators): State<Operators>, request: Request, next: Next) -> Response {
    match admit(request.headers(), operators.token.as_ref()) {
        Ok(()) => next.run(request).await,
        Err(turned_away) => answers::turned_away(turned_away),
    }
}

/// Whether a request may come in. A page of another site that a browser shows on this machine gives itself away by
/// `Origin`, or, where its name was made to lead here, by `Host`.
fn admit(headers: &HeaderMap, token: Option<&Token>) -> Result<(), TurnedAway> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if headers.contains_key(header::ORIGIN) {
        return Err(TurnedAway::Browser);
    }
    match token {
        Some(token) if token.is_carried_by(text(header::AUTHORIZATION)) => Ok(()),
        Some(_) => Err(TurnedAway::Token),
        None if text(header::HOST).is_some_and(crate::load::is_loopback) => Ok(()),
        None => Err(TurnedAway::Host),
    }
}

/// What a request is about.
async fn which<F: DeserializeOwned>(operators: &Operators, request: Request) -> Result<Which<F>, Response> {
    let body = read_body(request.into_body(), &operators.limits, &operators.bodies).await;
    let body = body.map_err(|refused| answers::refused(&refused))?;
    serde_json::from_slice(&body.bytes).map_err(|error| answers::not_understood(&error.to_string()))
}

async fn retry(State(operators): State<Operators>, request: Request) -> Response {
    match which::<Filter>(&operators, request).await {
        Ok(which) => answers::operator(operators.desk.retry(which).await),
        Err(refused) => refused,
    }
}

async fn drop_lost(State(operators): State<Operators>, request: Request) -> Response {
    match which::<Filter>(&operators, request).await {
        Ok(which) => answers::operator(operators.desk.drop_lost(which).await),
        Err(refused) => refused,
    }
}

async fn replay(State(operators): State<Operators>, request: Request) -> Response {
    match which::<ParkedFilter>(&operators, request).await {
        Ok(which) => answers::operator(operators.desk.replay(which).await),
        Err(refused) => refused,
    }
}

async fn drop_parked(State(operators): State<Operators>, request: Request) -> Response {
    match which::<ParkedFilter>(&operators, request).await {
        Ok(which) => answers::operator(operators.desk.drop_parked(which).await),
        Err(refused) => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admitted(headers: &[(&'static str, &str)], token: Option<&str>) -> Result<(), TurnedAway> {
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect();
        admit(&headers.into_iter().collect(), token.map(Token::new).as_ref())
    }

    #[test]
    fn without_a_token_only_this_machine_under_its_own_name_comes_in() {
        for host in ["127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:8081", "127.0.0.1"] {
            assert_eq!(admitted(&[("host", host)], None), Ok(()), "{host}");
        }
        for host in ["evil.example:8081", "127.0.0.1.evil.example", "localhost.evil.example:80", ""] {
            assert_eq!(admitted(&[("host", host)], None), Err(TurnedAway::Host), "{host}");
        }
        assert_eq!(admitted(&[], None), Err(TurnedAway::Host));
    }

    #[test]
    fn with_a_token_only_its_bearer_comes_in() {
        let host = ("host", "127.0.0.1:8081");
        assert_eq!(admitted(&[host], Some("t0ken")), Err(TurnedAway::Token));
        assert_eq!(
            admitted(&[host, ("authorization", "Bearer other")], Some("t0ken")),
            Err(TurnedAway::Token)
        );
        assert_eq!(admitted(&[("authorization", "Bearer t0ken")], Some("t0ken")), Ok(()));
    }

    #[test]
    fn no_page_of_any_site_comes_in() {
        for origin in ["https://evil.example", "null", "http://127.0.0.1:8081"] {
            let headers = [("host", "127.0.0.1:8081"), ("origin", origin), ("authorization", "Bearer t0ken")];
            assert_eq!(admitted(&headers, None), Err(TurnedAway::Browser), "{origin}");
            assert_eq!(admitted(&headers, Some("t0ken")), Err(TurnedAway::Browser), "{origin}");
        }
    }

    #[test]
    fn a_mistyped_filter_means_nothing() {
        let read = |json: &str| serde_json::from_str::<Which<Filter>>(json);
        let all = Filter { channel: Some("c".into()), ..Filter::default() };
        assert_eq!(read(r#"{"all": {"channel": "c"}}"#).unwrap(), Which::All(all));
        assert_eq!(read(r#"{"ids": [1, 2]}"#).unwrap(), Which::Ids(vec![1, 2]));
        for wrong in [
            r#"{"all": {"chanel": "c"}}"#,
            "{}",
            r#"{"all": {}, "ids": []}"#,
            r#"{"all": {"states": ["deaf"]}}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
