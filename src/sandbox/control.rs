//! The control API that both stand-ins serve beside what they stand in for, so that a shell script can drive
//! them: `/_stand-in/received`, `/_stand-in/stats`, `/_stand-in/script`.
//!
//! It is for tests on this machine and asks for no token, but it refuses what a foreign web page sends.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, request::Parts};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::http;
use super::recording::{Received, Recording};
use super::script::Script;

/// What the control API needs of a stand-in.
pub trait StandIn: Clone + Send + Sync + 'static {
    /// The kept requests that `select` wants, as JSON.
    fn received_json(&self, select: &Select) -> Value;
    /// All counts.
    fn stats_json(&self) -> Value;
    /// Replaces the script.
    fn set_script(&self, script: Script);
    /// Forgets all that was received and counted; the script stays.
    fn forget(&self);
}

/// Which of the kept requests are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Select {
    /// Only those with a higher number.
    pub after: u64,
    /// At most so many, the newest; all where it is left out.
    pub limit: Option<usize>,
    /// Only those whose URL or body holds this text.
    pub contains: Option<String>,
    /// Only those with this verdict.
    pub verdict: Option<String>,
}

impl Select {
    fn of(parts: &Parts) -> Self {
        Self {
            after: http::query(parts, "after").and_then(|text| text.parse().ok()).unwrap_or_default(),
            limit: http::query(parts, "limit").and_then(|text| text.parse().ok()),
            contains: http::query(parts, "contains"),
            verdict: http::query(parts, "verdict"),
        }
    }

    /// `{"total": ..., "received": [...]}`, oldest first.
    pub fn from(&self, recording: &Recording) -> Value {
        let fits = |one: &&Received| {
            one.number > self.after
                && self
                    .contains
                    .as_ref()
                    .is_none_or(|text| one.url.contains(text) || one.text().contains(text))
                && self.verdict.as_ref().is_none_or(|verdict| {
                    serde_json::to_value(one.verdict).is_ok_and(|known| known.as_str() == Some(verdict))
                })
        };
        let mut received: Vec<&Received> =
            recording.iter().rev().filter(fits).take(self.limit.unwrap_or(usize::MAX)).collect();
        received.reverse();
        json!({"total": recording.total(), "received": received})
    }
}

/// The routes under `/_stand-in/`; `more` are those that only one of the stand-ins has.
pub fn router<S: StandIn>(stand_in: S, more: Router<S>) -> Router {
    Router::new()
        .route("/_stand-in/received", get(received::<S>).delete(forget::<S>))
        .route("/_stand-in/stats", get(stats::<S>))
        .route("/_stand-in/script", axum::routing::post(set_script::<S>).delete(clear_script::<S>))
        .merge(more)
        .route("/_stand-in/{*rest}", any(unknown))
        .layer(middleware::from_fn(refuse_foreign))
        .with_state(stand_in)
}

async fn refuse_foreign(request: Request, next: Next) -> Response {
    if http::is_foreign(request.headers()) {
        return http::error_answer(StatusCode::FORBIDDEN, "this comes from a foreign web page");
    }
    next.run(request).await
}

async fn received<S: StandIn>(State(stand_in): State<S>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    http::json_answer(StatusCode::OK, &stand_in.received_json(&Select::of(&parts)))
}

async fn stats<S: StandIn>(State(stand_in): State<S>) -> Response {
    http::json_answer(StatusCode::OK, &stand_in.stats_json())
}

async fn forget<S: StandIn>(State(stand_in): State<S>) -> Response {
    stand_in.forget();
    StatusCode::NO_CONTENT.into_response()
}

async fn set_script<S: StandIn>(State(stand_in): State<S>, request: Request) -> Response {
    let body = match http::read(request).await {
        Ok((_, body)) => body,
        Err(early) => return early.into_response(),
    };
    let now = Instant::now();
    match Script::from_json(&body, now) {
        Ok(script) => {
            let answers = script.left(now);
            stand_in.set_script(script);
            http::json_answer(StatusCode::OK, &json!({"answers": answers}))
        }
        Err(error) => http::error_answer(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn clear_script<S: StandIn>(State(stand_in): State<S>) -> Response {
    stand_in.set_script(Script::default());
    StatusCode::NO_CONTENT.into_response()
}

async fn unknown() -> Response {
    http::error_answer(StatusCode::NOT_FOUND, "the control API has no such path, or not with this method")
}
