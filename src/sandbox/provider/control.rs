//! What the control API of the provider stand-in has besides what both stand-ins have: messages of contacts.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::post;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Provider, Say};
use crate::sandbox::burst::Burst;
use crate::sandbox::control::{self, Select, StandIn};
use crate::sandbox::http::{self, Early};
use crate::sandbox::script::Script;

impl StandIn for Provider {
    fn received_json(&self, select: &Select) -> Value {
        select.from(&self.state().recording)
    }

    fn stats_json(&self) -> Value {
        serde_json::to_value(self.stats()).unwrap_or_default()
    }

    fn set_script(&self, script: Script) {
        Provider::set_script(self, script);
    }

    fn forget(&self) {
        Provider::forget(self);
    }
}

/// The control API.
pub fn router(provider: Provider) -> Router {
    let more =
        Router::new().route("/_stand-in/deliver", post(deliver)).route("/_stand-in/flood", post(flood));
    control::router(provider, more)
}

async fn deliver(State(provider): State<Provider>, request: Request) -> Result<Response, Early> {
    let say: Say = http::parse(&http::read(request).await?.1)?;
    Ok(match provider.say(&say).await {
        Ok(id) => http::json_answer(StatusCode::OK, &json!({"id": id})),
        Err(refusal) => {
            let error = json!({
                "message": refusal.message,
                "status": refusal.status,
                "retry_after": refusal.retry_after,
            });
            http::json_answer(StatusCode::BAD_GATEWAY, &json!({"error": error}))
        }
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flood {
    burst: Burst,
    webhook_url: Option<String>,
}

async fn flood(State(provider): State<Provider>, request: Request) -> Result<Response, Early> {
    let flood: Flood = http::parse(&http::read(request).await?.1)?;
    let report = provider.flood(&flood.burst, flood.webhook_url.as_deref()).await;
    Ok(http::json_answer(StatusCode::OK, &report))
}
