//! The page of the sandbox: type as the contact on the left, as the agent on the right, and see in the middle
//! what crossed.
//!
//! It works without a script (plain forms); with one it is live. Nothing is loaded from elsewhere, all text is
//! escaped by the template, and what a foreign page sends is refused.

mod board;
mod crossing;
mod live;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header, uri::Authority};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine;
use handlebars::Handlebars;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

pub use crossing::{Crossing, Receipt, crossings};

use self::board::Board;
use self::live::Live;
use super::burst::Burst;
use super::http;
use super::platform::Platform;
use super::provider::{Provider, Say};
use super::script::{Answer, Script};
use crate::world::World;

const TEXT: usize = 7000;
const BROADCAST: u64 = 100;

/// How the page reaches the gateway.
#[derive(Clone)]
pub struct Options {
    /// The API Base URL of the channel.
    pub base_url: String,
    /// Its API Token.
    pub token: String,
    /// Where the provider stand-in listens, for the picture that it hosts.
    pub provider_url: String,
    /// Where the gateway's console is, if it has one.
    pub console_url: Option<String>,
    /// The contact whose thread is open at first.
    pub contact: String,
    /// The randomness of nonces.
    pub world: World,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            base_url: String::new(),
            token: "sandbox-token".into(),
            provider_url: String::new(),
            console_url: None,
            contact: "+60123456789".into(),
            world: World::system(),
        }
    }
}

/// A page cannot be made of its templates; a fault of the build.
#[derive(Debug, thiserror::Error)]
#[error("the template of the page is broken: {0}")]
pub struct TemplateError(#[from] Box<handlebars::TemplateError>);

#[derive(Clone)]
struct Page(Arc<Inner>);

struct Inner {
    platform: Platform,
    provider: Provider,
    options: Options,
    templates: Handlebars<'static>,
    live: Live,
}

/// The routes of the page, around both stand-ins.
pub fn router(platform: Platform, provider: Provider, options: Options) -> Result<Router, TemplateError> {
    let mut templates = Handlebars::new();
    templates.set_strict_mode(true);
    for (name, text) in [("page", include_str!("page.hbs")), ("board", include_str!("board.hbs"))] {
        templates.register_template_string(name, text).map_err(Box::new)?;
    }
    let page = Page(Arc::new(Inner { platform, provider, options, templates, live: Live::new() }));
    Ok(Router::new()
        .route("/", get(show))
        .route("/board", get(board))
        .route("/live", get(live))
        .route("/contact", post(contact))
        .route("/agent", post(agent))
        .route("/trouble", post(trouble))
        .layer(middleware::from_fn(guard))
        .with_state(page))
}

/// Refuses what a foreign page sends, and names that somebody else may have pointed at this machine.
async fn guard(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if http::is_foreign(headers) || !is_local(headers) {
        return http::error_answer(StatusCode::FORBIDDEN, "this comes from a foreign web page");
    }
    let mut response = next.run(request).await;
    for (name, value) in [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        http::set_header(&mut response, name, value);
    }
    response
}

fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    host.and_then(|host| host.parse::<Authority>().ok()).is_some_and(|host| {
        let name = host.host().trim_start_matches('[').trim_end_matches(']');
        name.parse::<std::net::IpAddr>().is_ok() || name == "localhost" || name.ends_with(".localhost")
    })
}

#[derive(Serialize)]
struct Shown<'a> {
    nonce: String,
    console_url: Option<&'a str>,
    #[serde(flatten)]
    board: Board,
}

async fn show(State(page): State<Page>, request: Request) -> Response {
    let inner = &page.0;
    let mut nonce = [0; 16];
    inner.options.world.fill(&mut nonce);
    let nonce = base64::engine::general_purpose::STANDARD_NO_PAD.encode(nonce);
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let console_url = inner.options.console_url.as_deref();
    let mut response = page.render("page", &Shown { nonce, console_url, board: page.board(&request) });
    http::set_header(&mut response, "content-security-policy", &policy);
    response
}

async fn board(State(page): State<Page>, request: Request) -> Response {
    let board = page.board(&request);
    page.render("board", &board)
}

async fn live(State(page): State<Page>) -> Response {
    match page.0.live.stream([page.0.platform.changes(), page.0.provider.changes()]) {
        Some(stream) => stream.into_response(),
        None => http::error_answer(StatusCode::SERVICE_UNAVAILABLE, "too many pages are open"),
    }
}

async fn contact(State(page): State<Page>, request: Request) -> Response {
    let form = match Form::read(request).await {
        Ok(form) => form,
        Err(answer) => return answer.into_response(),
    };
    let inner = &page.0;
    let mut say = Say { from: form.contact.clone(), text: form.text(), ..Say::default() };
    say.name = (!form.get("name").is_empty()).then(|| form.get("name").to_owned());
    match form.get("kind") {
        "picture" => {
            say.media = Some(json!({"url": page.picture(), "mime": "image/svg+xml", "name": "picture.svg"}));
        }
        "place" => say.location = Some(place()),
        _ => {}
    }
    if say.text.is_some() || say.media.is_some() || say.location.is_some() {
        // What the gateway said is in the thread.
        let _ = inner.provider.say(&say).await;
    }
    form.back()
}

async fn agent(State(page): State<Page>, request: Request) -> Response {
    let form = match Form::read(request).await {
        Ok(form) => form,
        Err(answer) => return answer.into_response(),
    };
    let inner = &page.0;
    let mut messages = Vec::new();
    match (form.get("kind"), form.text()) {
        ("picture", text) => {
            let mut attachment = json!({"type": "image", "url": page.picture(), "mimeType": "image/svg+xml"});
            if let (Some(text), Some(members)) = (text, attachment.as_object_mut()) {
                members.insert("description".into(), json!(text));
            }
            messages.push(json!({"type": "attachment", "attachment": attachment}));
        }
        ("answers", text) => messages.push(json!({
            "type": "quick_reply",
            "title": text.unwrap_or_else(|| "Did that help?".into()),
            "replies": ["Yes", "No"],
        })),
        ("place", text) => {
            let mut message = place();
            if let Some(members) = message.as_object_mut() {
                members.insert("type".into(), json!("location"));
            }
            messages.push(message);
            messages.extend(text.map(|text| json!({"type": "text", "text": text})));
        }
        (_, text) => messages.extend(text.map(|text| json!({"type": "text", "text": text}))),
    }
    for message in &messages {
        // What the gateway said is in the thread.
        let _ =
            inner.platform.send(&inner.options.base_url, &inner.options.token, &form.contact, message).await;
    }
    form.back()
}

async fn trouble(State(page): State<Page>, request: Request) -> Response {
    let form = match Form::read(request).await {
        Ok(form) => form,
        Err(answer) => return answer.into_response(),
    };
    let inner = &page.0;
    let (status, until) = (Some(503), Some(10.0));
    let down = Answer { status, until, ..Answer::default() };
    match form.get("what") {
        "provider-down" => {
            inner.provider.set_script(script(Answer { url: Some("*/messages".into()), ..down }));
        }
        "provider-slow" => {
            let slow =
                Answer { url: Some("*/messages".into()), delay: Some(3.0), until, ..Answer::default() };
            inner.provider.set_script(script(slow));
        }
        "platform-down" => inner.platform.set_script(script(down)),
        "platform-busy" => {
            let headers = [("retry-after".to_owned(), "5".to_owned())].into();
            let busy = Answer { status: Some(429), headers, until: Some(5.0), ..Answer::default() };
            inner.platform.set_script(script(busy));
        }
        "broadcast" => {
            let burst = Burst { contacts: BROADCAST, ..Burst::default() };
            inner.platform.broadcast(&inner.options.base_url, &inner.options.token, &burst).await;
        }
        _ => {
            inner.platform.set_script(Script::default());
            inner.provider.set_script(Script::default());
        }
    }
    form.back()
}

fn script(answer: Answer) -> Script {
    Script::new(vec![answer], None, Instant::now()).unwrap_or_default()
}

fn place() -> Value {
    json!({"latitude": 3.1579, "longitude": 101.7116, "address": "Kuala Lumpur"})
}

impl Page {
    fn board(&self, request: &Request) -> Board {
        let query = request.uri().query().unwrap_or_default();
        let asked = pairs(query.as_bytes()).find(|(name, _)| name == "contact").map(|(_, contact)| contact);
        let contact = asked.filter(|contact| !contact.is_empty() && contact.len() <= 50);
        let inner = &self.0;
        let contact = contact.as_deref().unwrap_or(&inner.options.contact);
        Board::of(&inner.platform, &inner.provider, contact)
    }

    fn render(&self, template: &str, data: &impl Serialize) -> Response {
        match self.0.templates.render(template, data) {
            Ok(html) => http::answer(StatusCode::OK, "text/html; charset=utf-8", html),
            Err(error) => {
                tracing::error!(%error, template, "the sandbox's page can't be rendered");
                http::error_answer(StatusCode::INTERNAL_SERVER_ERROR, "the page can't be rendered")
            }
        }
    }

    fn picture(&self) -> String {
        format!("{}/media/picture.svg", self.0.options.provider_url.trim_end_matches('/'))
    }
}

/// A form that was sent.
struct Form {
    fields: Vec<(String, String)>,
    contact: String,
    /// Whether the script sent it, which wants no page back.
    scripted: bool,
}

impl Form {
    async fn read(request: Request) -> Result<Self, http::Early> {
        let (parts, body) = http::read(request).await?;
        let fields: Vec<_> = pairs(&body).take(20).collect();
        let mut form =
            Self { fields, contact: String::new(), scripted: parts.headers.contains_key("x-scripted") };
        form.contact = form.get("contact").chars().filter(|c| !c.is_whitespace()).take(50).collect();
        Ok(form)
    }

    fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }

    fn text(&self) -> Option<String> {
        let text: String = self.get("text").chars().take(TEXT).collect();
        (!text.is_empty()).then_some(text)
    }

    /// Back to the thread.
    fn back(&self) -> Response {
        if self.scripted {
            return StatusCode::NO_CONTENT.into_response();
        }
        let contact: String = url::form_urlencoded::byte_serialize(self.contact.as_bytes()).collect();
        Redirect::to(&format!("/?contact={contact}")).into_response()
    }
}

fn pairs(text: &[u8]) -> impl Iterator<Item = (String, String)> {
    url::form_urlencoded::parse(text).map(|(name, value)| (name.into_owned(), value.into_owned()))
}

#[cfg(test)]
mod tests;
