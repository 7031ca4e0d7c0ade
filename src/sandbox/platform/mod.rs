//! An IS-Messenger stand-in that enforces the documented contract of the Custom Channel webhook, measures the
//! rate by its own clock, and hands messages to the gateway the way IS-Messenger does.

mod client;
mod control;
mod options;
pub mod rules;
mod sent;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::http::{StatusCode, request::Parts};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

pub use client::SendError;
pub use options::{Channel, IdType, Options};
pub use rules::{MAX_ID, MAX_TEXT};
pub use sent::{Sent, SentStats, StatusAt};
pub use state::{ChannelStats, Inbound, Stats};

use super::http;
use super::reaction::Reaction;
use super::recording::{Received, Verdict};
use super::script::{self, Asked, Script};
use state::{Judged, State};

/// A handle on the stand-in; clones share everything.
#[derive(Clone)]
pub struct Platform(Arc<Inner>);

struct Inner {
    options: Options,
    state: Mutex<State>,
    client: reqwest::Client,
    changed: watch::Sender<u64>,
}

/// Serves a stand-in with its control API on `listener` until the future is dropped.
pub async fn serve(listener: TcpListener, options: Options) -> std::io::Result<()> {
    Platform::new(options).serve(listener).await
}

impl Platform {
    /// A stand-in that received nothing yet.
    pub fn new(options: Options) -> Self {
        let state = Mutex::new(State::new(&options));
        Self(Arc::new(Inner { options, state, client: http::client(), changed: watch::Sender::new(0) }))
    }

    /// Serves it until the future is dropped.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        http::serve(listener, self.router()).await
    }

    /// Its routes: the webhook, and the control API under `/_stand-in/`.
    pub fn router(&self) -> Router {
        let webhook = Router::new().fallback(receive).with_state(self.clone());
        control::router(self.clone()).fallback_service(webhook)
    }

    /// The kept requests, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.state().recording.iter().cloned().collect()
    }

    /// The most requests of any sliding second, over all channels.
    pub fn max_in_any_second(&self) -> usize {
        self.stats().max_in_any_second
    }

    /// All counts.
    pub fn stats(&self) -> Stats {
        self.state().stats(Instant::now())
    }

    /// Prescribes answers; they replace those of before.
    pub fn set_script(&self, script: Script) {
        self.state().script = script;
    }

    /// Forgets all that was received, sent and counted; the script stays.
    pub fn forget(&self) {
        let mut state = self.state();
        let script = std::mem::take(&mut state.script);
        *state = State::new(&self.0.options);
        state.script = script;
        drop(state);
        self.mark_changed();
    }

    /// The newest messages that were taken, oldest first.
    pub fn inbox(&self) -> Vec<Inbound> {
        self.state().inbox.iter().cloned().collect()
    }

    /// The newest `count` messages that were handed to the gateway, oldest first.
    pub fn sent(&self, count: usize) -> Vec<Sent> {
        let state = self.state();
        let mut newest: Vec<_> = state.sent.iter().rev().take(count).cloned().collect();
        newest.reverse();
        newest
    }

    /// The message that the gateway gave this id, with the statuses that came back.
    pub fn sent_as(&self, mid: &str) -> Option<Sent> {
        self.state().sent.get(mid).cloned()
    }

    /// Tells of every change, by a number that grows.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark_changed(&self) {
        self.0.changed.send_modify(|version| *version += 1);
    }

    /// Judges, records and answers one request to the webhook.
    fn handle(&self, parts: &Parts, body: &Bytes, arrived: Instant) -> (Duration, Reaction) {
        let now = self.0.options.world.now();
        let json = serde_json::from_slice(body);
        let mut record = http::record(parts, body, now);
        let url = record.url.clone();
        let asked = Asked {
            method: &parts.method,
            url: &url,
            host: parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default(),
            body,
        };
        let mut state = self.state();
        state.arrive(json.as_ref().unwrap_or(&serde_json::Value::Null), arrived);
        let prescribed = state.script.next(asked, arrived);
        let by_contract = match &prescribed {
            Some(script::Prescribed { what, taken: false, .. }) if !matches!(what, script::What::Usual) => {
                None
            }
            _ => Some(state.judge(&self.0.options, parts, &json, arrived, now)),
        };
        let delay = prescribed.as_ref().map_or(Duration::ZERO, |prescribed| prescribed.delay);
        record.verdict = match &by_contract {
            Some(judged) if judged.status == StatusCode::OK => Verdict::ScriptedAfterTaking,
            _ => Verdict::Scripted,
        };
        let (new_id, n) = (|| self.0.options.world.new_id(), state.recording.total() + 1);
        let scripted = prescribed.and_then(|one| Reaction::prescribed(&one.what, asked, new_id, n));
        let reaction = scripted.or_else(|| {
            let judged = by_contract?;
            record.verdict = judged.verdict;
            record.reason = (!judged.problems.is_empty()).then(|| judged.problems.join("; "));
            Some(Reaction::Answer(answer(&judged)))
        });
        let reaction = reaction.unwrap_or(Reaction::Hangup);
        record.status = reaction.status();
        state.recording.push(record);
        drop(state);
        self.mark_changed();
        (delay, reaction)
    }
}

async fn receive(Extract(platform): Extract<Platform>, request: Request) -> Response {
    let arrived = Instant::now();
    let (parts, body) = match http::read(request).await {
        Ok(read) => read,
        Err(early) => return early.into_response(),
    };
    let (delay, reaction) = platform.handle(&parts, &body, arrived);
    reaction.carry_out(delay).await
}

fn answer(judged: &Judged) -> Response {
    if judged.status == StatusCode::OK {
        return http::json_answer(StatusCode::OK, &json!({"status": "accepted"}));
    }
    let message = judged.problems.first().map_or("refused", String::as_str);
    let body = json!({"error": {"message": message, "problems": judged.problems}});
    let mut response = http::json_answer(judged.status, &body);
    if let Some(seconds) = judged.retry_after {
        http::set_header(&mut response, "retry-after", &seconds.to_string());
    }
    response
}

#[cfg(test)]
mod tests;
