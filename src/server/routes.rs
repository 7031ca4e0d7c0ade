//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{any, get, post};
use http::Method;
use smol_str::SmolStr;
use tokio::sync::Semaphore;

use super::answers::{self, error};
use super::metrics;
use super::requests::{incoming, read_body};
use crate::gateway::{Called, Gateway};
use crate::load::ServerSettings;
use crate::media::Asked;

/// What the handlers share.
#[derive(Clone)]
pub(super) struct App {
    pub(super) gateway: Arc<Gateway>,
    pub(super) limits: Arc<ServerSettings>,
    /// Room for the bodies of all requests that are not answered yet, in bytes.
    pub(super) bodies: Arc<Semaphore>,
}

pub(super) fn router(gateway: Arc<Gateway>, limits: Arc<ServerSettings>) -> Router {
    let bodies = limits.max_bodies.max(limits.max_body).min(Semaphore::MAX_PERMITS);
    Router::new()
        .route("/message", post(message))
        .route("/message/message", post(message))
        .route("/channels/{channel}/message", post(channel_message))
        .route("/channels/{channel}/message/message", post(channel_message))
        .route("/channels/{channel}/actions/{action}", post(action))
        .route("/channels/{channel}", any(channel_root))
        .route("/channels/{channel}/", any(channel_root))
        .route("/channels/{channel}/{*route}", any(channel_webhook))
        .route("/providers/{mapping}", any(shared_root))
        .route("/providers/{mapping}/", any(shared_root))
        .route("/providers/{mapping}/{*route}", any(shared_webhook))
        .route("/media/{token}", get(media))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(nothing)
        .method_not_allowed_fallback(wrong_method)
        .with_state(App { gateway, limits, bodies: Arc::new(Semaphore::new(bodies)) })
}

async fn message(State(app): State<App>, request: Request) -> Response {
    accept(&app, None, request).await
}

async fn channel_message(State(app): State<App>, Path(channel): Path<String>, request: Request) -> Response {
    accept(&app, Some(&channel), request).await
}

async fn accept(app: &App, channel: Option<&str>, request: Request) -> Response {
    let authorization = authorization(&request);
    let body = match read_body(request.into_body(), &app.limits, &app.bodies).await {
        Ok(body) => body,
        Err(refused) => return answers::refused(&refused),
    };
    answers::message(app.gateway.accept_message(channel, authorization.as_deref(), body.bytes.clone()).await)
}

async fn action(
    State(app): State<App>,
    Path((channel, action)): Path<(String, String)>,
    request: Request,
) -> Response {
    let authorization = authorization(&request);
    match read_body(request.into_body(), &app.limits, &app.bodies).await {
        Ok(body) => {
            let answer =
                app.gateway.act(&channel, &action, authorization.as_deref(), body.bytes.clone()).await;
            answers::action(answer)
        }
        Err(refused) => answers::refused(&refused),
    }
}

fn authorization(request: &Request) -> Option<String> {
    request.headers().get("authorization").and_then(|value| value.to_str().ok()).map(String::from)
}

async fn channel_root(app: State<App>, Path(channel): Path<String>, request: Request) -> Response {
    channel_webhook(app, Path((channel, String::new())), request).await
}

async fn channel_webhook(
    State(app): State<App>,
    Path((channel, route)): Path<(String, String)>,
    request: Request,
) -> Response {
    // Operators paste base URLs with a slash at the end.
    if request.method() == Method::POST && route.trim_matches('/') == "message" {
        return accept(&app, Some(&channel), request).await;
    }
    match incoming(&app, route, request).await {
        Ok((request, _room)) => {
            answers::webhook(app.gateway.accept_webhook(Called::Channel(&channel), request).await)
        }
        Err(refused) => answers::refused(&refused),
    }
}

async fn shared_root(app: State<App>, Path(mapping): Path<String>, request: Request) -> Response {
    shared_webhook(app, Path((mapping, String::new())), request).await
}

async fn shared_webhook(
    State(app): State<App>,
    Path((mapping, route)): Path<(String, String)>,
    request: Request,
) -> Response {
    match incoming(&app, route, request).await {
        Ok((request, _room)) => {
            answers::webhook(app.gateway.accept_webhook(Called::Shared(&mapping), request).await)
        }
        Err(refused) => answers::refused(&refused),
    }
}

/// A file that the platform can't fetch itself. `get` takes HEAD too.
async fn media(State(app): State<App>, Path(token): Path<String>, request: Request) -> Response {
    let headers = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((SmolStr::new(name.as_str()), value.to_str().ok()?.to_string())));
    let asked = Asked { head: request.method() == Method::HEAD, headers: headers.collect() };
    answers::file(app.gateway.file(&token, &asked).await)
}

/// The process runs.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Messages can be accepted.
async fn readyz(State(app): State<App>) -> Response {
    answers::ready(app.gateway.is_ready().await)
}

pub(super) async fn nothing(request: Request) -> Response {
    error(404, &format!("there is nothing at `{}`", request.uri().path()))
}

pub(super) async fn wrong_method(request: Request) -> Response {
    error(405, &format!("`{}` does not take {}", request.uri().path(), request.method()))
}
