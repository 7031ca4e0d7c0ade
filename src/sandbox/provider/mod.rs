//! A provider stand-in: takes any request, records it, measures the rate by its own clock, and answers from a
//! script, else as "Sandbox", a small made-up messaging API (see `api` and `webhooks`).

mod api;
mod control;
mod log;
mod options;
mod state;
mod webhooks;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::http::{Method, StatusCode, request::Parts};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use api::{MAX_BUTTONS, MAX_TEXT};
pub use log::{Said, Taken};
pub use options::{Options, Receipts};
pub use state::{PathStats, ReceiptStats, Stats};
pub use webhooks::{Say, sign};

use super::http;
use super::reaction::Reaction;
use super::recording::{Received, Verdict};
use super::script::{Asked, Script};
use state::State;
use webhooks::Due;

/// A picture that the provider hosts, at `/media/picture.svg`.
const PICTURE: &str = concat!(
    r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 90" width="320" height="180">"##,
    r##"<rect width="160" height="90" fill="#9cc9e8"/><circle cx="122" cy="26" r="12" fill="#ffd75e"/>"##,
    r##"<path d="M0 90 48 34 82 72 106 48 160 90z" fill="#3d6b52"/></svg>"##
);

/// A handle on the stand-in; clones share everything.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    options: Options,
    state: Mutex<State>,
    due: mpsc::Sender<Due>,
    client: reqwest::Client,
    changed: watch::Sender<u64>,
}

/// Serves a stand-in with its control API on `listener` until the future is dropped.
pub async fn serve(listener: TcpListener, options: Options) -> std::io::Result<()> {
    Provider::new(options).serve(listener).await
}

impl Provider {
    /// A stand-in that received nothing yet.
    pub fn new(options: Options) -> Self {
        let (due, receiver) = webhooks::due_channel();
        let mut state = State::new(&options);
        state.due = Some(receiver);
        let state = Mutex::new(state);
        let changed = watch::Sender::new(0);
        Self(Arc::new(Inner { options, state, due, client: http::client(), changed }))
    }

    /// Serves it, and sends receipts, until the future is dropped.
    pub async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        tokio::select! {
            served = http::serve(listener, self.router()) => served,
            () = self.send_receipts() => Ok(()),
        }
    }

    /// Its routes: everything, and the control API under `/_stand-in/`. Receipts need [`Provider::serve`].
    pub fn router(&self) -> Router {
        let rest = Router::new().fallback(receive).with_state(self.clone());
        control::router(self.clone()).fallback_service(rest)
    }

    /// The kept requests, oldest first.
    pub fn received(&self) -> Vec<Received> {
        self.state().recording.iter().cloned().collect()
    }

    /// The most requests of any sliding second.
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

    /// Forgets all that was received and counted; the script stays, and so do receipts that are due.
    pub fn forget(&self) {
        self.state().forget(self.options());
        self.mark_changed();
    }

    /// The newest messages that the Sandbox API took, oldest first.
    pub fn taken(&self) -> Vec<Taken> {
        self.state().log.taken.iter().cloned().collect()
    }

    /// The newest messages of contacts, oldest first.
    pub fn said(&self) -> Vec<Said> {
        self.state().log.said.iter().cloned().collect()
    }

    /// Tells of every change, by a number that grows.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    fn options(&self) -> &Options {
        &self.0.options
    }

    fn client(&self) -> &reqwest::Client {
        &self.0.client
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn mark_changed(&self) {
        self.0.changed.send_modify(|version| *version += 1);
    }

    fn new_id(&self) -> String {
        format!("sb-{}", self.options().world.new_id())
    }

    /// Records and answers one request.
    fn handle(&self, parts: &Parts, body: &Bytes, arrived: Instant) -> (Duration, Reaction) {
        let now = self.options().world.now();
        let mut record = http::record(parts, body, now);
        let url = record.url.clone();
        let asked = Asked {
            method: &parts.method,
            url: &url,
            host: parts.headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default(),
            body,
        };
        let mut state = self.state();
        state.arrive(parts.uri.path(), arrived);
        let prescribed = state.script.next(asked, arrived);
        let n = state.recording.total() + 1;
        let delay = prescribed.as_ref().map_or(Duration::ZERO, |one| one.delay);
        let scripted =
            prescribed.as_ref().and_then(|one| Reaction::prescribed(&one.what, asked, || self.new_id(), n));
        let taken = prescribed.is_some_and(|one| one.taken);
        let reaction = match scripted {
            Some(reaction) => {
                record.verdict = if taken { Verdict::ScriptedAfterTaking } else { Verdict::Scripted };
                if taken {
                    self.usual(&mut state, parts, body);
                }
                reaction
            }
            None => Reaction::Answer(self.usual(&mut state, parts, body)),
        };
        record.status = reaction.status();
        let good = (200..300).contains(&record.status);
        if record.verdict == Verdict::Accepted && !good {
            record.verdict = Verdict::Refused;
        }
        if good || taken {
            state.sequences.note("", body);
        }
        state.recording.push(record);
        drop(state);
        self.mark_changed();
        (delay, reaction)
    }

    /// What the Sandbox API answers.
    fn usual(&self, state: &mut State, parts: &Parts, body: &Bytes) -> Response {
        let path = parts.uri.path();
        if path.ends_with("/media/picture.svg") {
            return http::answer(StatusCode::OK, "image/svg+xml", PICTURE);
        }
        if !(parts.method == Method::POST && path.ends_with("/messages")) {
            return http::json_answer(StatusCode::OK, &json!({}));
        }
        let refused = |status, code: &str, message: &str| {
            http::json_answer(status, &json!({"error": {"code": code, "message": message}}))
        };
        if self.options().token.as_deref().is_some_and(|token| http::bearer(&parts.headers) != Some(token)) {
            return refused(StatusCode::UNAUTHORIZED, "unauthorized", "The API token is not known.");
        }
        match api::submit(body) {
            Err(no) => refused(no.status, no.code, &no.message),
            Ok(submitted) => {
                let id = self.new_id();
                let at = self.options().world.now();
                state.messages += 1;
                state.log.take(Taken {
                    id: id.clone(),
                    reference: submitted.reference.clone(),
                    contact: submitted.to,
                    text: submitted.text,
                    at,
                    receipts: Vec::new(),
                });
                let due = Due { id: id.clone(), reference: submitted.reference, fate: submitted.fate };
                if self.options().webhook_url.is_some() && self.0.due.try_send(due).is_err() {
                    state.receipts.dropped += 1;
                }
                http::json_answer(StatusCode::OK, &json!({"id": id, "status": "queued"}))
            }
        }
    }
}

/// Counts a request as answered when it is dropped, be it that its caller gave up.
struct InFlight(Provider);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.state().leave();
    }
}

async fn receive(Extract(provider): Extract<Provider>, request: Request) -> Response {
    let arrived = Instant::now();
    let (parts, body) = match http::read(request).await {
        Ok(read) => read,
        Err(early) => return early.into_response(),
    };
    let (delay, reaction) = provider.handle(&parts, &body, arrived);
    let _in_flight = InFlight(provider);
    reaction.carry_out(delay).await
}

#[cfg(test)]
mod tests;
