//! What the control API of the IS-Messenger stand-in has besides what both stand-ins have: handing messages to
//! the gateway, and looking at what came back for them.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Platform;
use crate::sandbox::burst::{Burst, Refusal};
use crate::sandbox::control::{self, Select, StandIn};
use crate::sandbox::http::{self, Early};
use crate::sandbox::script::Script;

impl StandIn for Platform {
    fn received_json(&self, select: &Select) -> Value {
        select.from(&self.state().recording)
    }

    fn stats_json(&self) -> Value {
        serde_json::to_value(self.stats()).unwrap_or_default()
    }

    fn set_script(&self, script: Script) {
        Platform::set_script(self, script);
    }

    fn forget(&self) {
        Platform::forget(self);
    }
}

/// The control API.
pub fn router(platform: Platform) -> Router {
    let more = Router::new()
        .route("/_stand-in/send", post(send))
        .route("/_stand-in/broadcast", post(broadcast))
        .route("/_stand-in/sent", get(sent));
    control::router(platform, more)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    base_url: String,
    token: String,
    contact_id: String,
    text: Option<String>,
    message: Option<Value>,
}

async fn send(State(platform): State<Platform>, request: Request) -> Result<Response, Early> {
    let wanted: Send = http::parse(&http::read(request).await?.1)?;
    let message = match (wanted.message, wanted.text) {
        (Some(message), None) => message,
        (None, Some(text)) => json!({"type": "text", "text": text}),
        _ => return Ok(http::error_answer(StatusCode::BAD_REQUEST, "give `text` or `message`")),
    };
    Ok(match platform.send(&wanted.base_url, &wanted.token, &wanted.contact_id, &message).await {
        Ok(mid) => http::json_answer(StatusCode::OK, &json!({"mId": mid})),
        Err(error) => {
            let Refusal { status, retry_after, message } = error.into();
            let error = json!({"message": message, "status": status, "retry_after": retry_after});
            http::json_answer(StatusCode::BAD_GATEWAY, &json!({"error": error}))
        }
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Broadcast {
    base_url: String,
    token: String,
    burst: Burst,
}

async fn broadcast(State(platform): State<Platform>, request: Request) -> Result<Response, Early> {
    let wanted: Broadcast = http::parse(&http::read(request).await?.1)?;
    let report = platform.broadcast(&wanted.base_url, &wanted.token, &wanted.burst).await;
    Ok(http::json_answer(StatusCode::OK, &report))
}

async fn sent(State(platform): State<Platform>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if let Some(mid) = http::query(&parts, "mId") {
        return match platform.sent_as(&mid) {
            Some(sent) => http::json_answer(StatusCode::OK, &sent),
            None => http::error_answer(StatusCode::NOT_FOUND, "no message has this mId"),
        };
    }
    let limit = http::query(&parts, "limit").and_then(|text| text.parse().ok()).unwrap_or(1000);
    http::json_answer(StatusCode::OK, &json!({"sent": platform.sent(limit)}))
}
