//! The webhooks that the provider stand-in sends to the gateway: `message` and `receipt`, signed.
//!
//! ```json
//! {"event": "message", "id": "...", "from": "+60123456789", "name": "Ann", "text": "hi", "time": 1767323045000,
//!  "media": {"url": "https://...", "mime": "image/png", "name": "a.png"}}
//! {"event": "receipt", "id": "...", "reference": "...", "status": "delivered", "time": 1767323045000}
//! ```
//! `status` is `delivered`, `read` or `failed`, the last with `error: {code, message}`. The header
//! `x-sandbox-signature` is `sha256=` and the hex HMAC-SHA256 of the raw body under the shared secret.
//! Receipts are repeated until the gateway takes them, at most eight times.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::{Semaphore, mpsc};

use super::Provider;
use super::api::Fate;
use crate::sandbox::burst::{self, Burst, BurstReport, Numbered, Refusal};
use crate::sandbox::http;

const WAITING: usize = 50_000;
const AT_ONCE: usize = 64;
const TRIES: u32 = 8;

/// A message of a contact, as a test or a person gives it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Say {
    /// The provider's id of it; a new one where it is left out. Give one twice to redeliver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Who writes.
    pub from: String,
    /// The writer's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// `{url, mime, name}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media: Option<Value>,
    /// `{latitude, longitude, address}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Value>,
    /// Where to, other than to the URL of the options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// Sends a wrong signature.
    pub forged: bool,
}

/// A message to which receipts are due.
pub struct Due {
    pub id: String,
    pub reference: Option<String>,
    pub fate: Fate,
}

/// The end of a channel of due receipts.
pub type DueReceiver = mpsc::Receiver<Due>;

/// A channel of due receipts.
pub fn due_channel() -> (mpsc::Sender<Due>, DueReceiver) {
    mpsc::channel(WAITING)
}

impl Provider {
    /// Sends a message of a contact to the gateway; its id.
    pub async fn say(&self, say: &Say) -> Result<String, Refusal> {
        let id = say.id.clone().unwrap_or_else(|| self.new_id());
        let now = self.options().world.now();
        let mut body = serde_json::to_value(say).unwrap_or_default();
        if let Some(members) = body.as_object_mut() {
            members.remove("forged");
            members.remove("webhook_url");
            members.insert("event".into(), json!("message"));
            members.insert("id".into(), json!(id));
            members.insert("time".into(), json!(now));
        }
        let number = self.state().log.say(&id, &say.from, describe(say), now);
        self.mark_changed();
        let url = say.webhook_url.as_ref().or(self.options().webhook_url.as_ref());
        let outcome = self.post(url.map(String::as_str), &body, say.forged).await;
        let at = self.options().world.now();
        self.state().log.said(number, at, outcome.as_ref().err().map(|refusal| refusal.message.clone()));
        self.mark_changed();
        outcome.map(|()| id)
    }

    /// Sends numbered messages of many contacts to the gateway; one that is tried again keeps its id.
    pub async fn flood(&self, burst: &Burst, webhook_url: Option<&str>) -> BurstReport {
        let (provider, webhook_url) = (self.clone(), webhook_url.map(ToOwned::to_owned));
        let flood = self.new_id();
        burst::run(burst, move |one: Numbered| {
            let (provider, webhook_url) = (provider.clone(), webhook_url.clone());
            let id = Some(format!("{flood}-{}", one.text));
            async move {
                let say = Say { id, from: one.contact, text: Some(one.text), webhook_url, ..Say::default() };
                provider.say(&say).await.map(drop)
            }
        })
        .await
    }

    /// Sends the receipts that fall due, until the future is dropped.
    pub(super) async fn send_receipts(&self) {
        let taken = self.state().due.take();
        let Some(mut due) = taken else { return std::future::pending().await };
        let gate = Semaphore::new(AT_ONCE);
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                next = due.recv(), if running.len() < WAITING => match next {
                    Some(due) => running.push(self.follow(due, &gate)),
                    None => return,
                },
                Some(()) = running.next() => {}
            }
        }
    }

    async fn follow(&self, due: Due, gate: &Semaphore) {
        let receipts = self.options().receipts;
        let Some(wait) = receipts.delivered else { return };
        tokio::time::sleep(wait).await;
        match due.fate {
            Fate::Vanishes => {}
            Fate::Fails => {
                let error = json!({"code": "handset_off", "message": "The phone was off for too long."});
                self.receipt(&due, "failed", Some(error), gate).await;
            }
            Fate::Arrives => {
                self.receipt(&due, "delivered", None, gate).await;
                if let Some(wait) = receipts.read {
                    tokio::time::sleep(wait).await;
                    self.receipt(&due, "read", None, gate).await;
                }
            }
        }
    }

    async fn receipt(&self, due: &Due, status: &'static str, error: Option<Value>, gate: &Semaphore) {
        let now = self.options().world.now();
        let mut body = json!({"event": "receipt", "id": due.id, "status": status, "time": now});
        if let Some(members) = body.as_object_mut() {
            members.extend(due.reference.as_ref().map(|reference| ("reference".into(), json!(reference))));
            members.extend(error.map(|error| ("error".into(), error)));
        }
        self.state().log.receipt(&due.id, status, now);
        self.mark_changed();
        for attempt in 0..TRIES {
            let outcome = {
                let Ok(_permit) = gate.acquire().await else { return };
                self.post(self.options().webhook_url.as_deref(), &body, false).await
            };
            match outcome {
                Ok(()) => {
                    *self.state().receipts.sent.entry(status).or_default() += 1;
                    return;
                }
                Err(refusal) => {
                    self.state().receipts.refused += 1;
                    if attempt + 1 == TRIES {
                        break;
                    }
                    let wait = refusal
                        .retry_after
                        .map_or(Duration::from_millis(500 << attempt), Duration::from_secs);
                    tokio::time::sleep(wait.min(Duration::from_mins(1))).await;
                }
            }
        }
        self.state().receipts.given_up += 1;
    }

    async fn post(&self, url: Option<&str>, body: &Value, forged: bool) -> Result<(), Refusal> {
        let unreachable = |message: String| Refusal { status: 0, retry_after: None, message };
        let Some(url) = url else { return Err(unreachable("no webhook URL is set".into())) };
        let body = body.to_string();
        let secret = if forged { "forged" } else { &self.options().secret };
        let answer = self
            .client()
            .post(url)
            .header("content-type", "application/json")
            .header("x-sandbox-signature", sign(secret, body.as_bytes()))
            .body(body)
            .send()
            .await
            .map_err(|error| unreachable(format!("the gateway can't be reached: {}", http::whole(&error))))?;
        let status = answer.status();
        let retry_after = answer
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse().ok());
        let text = answer.text().await.unwrap_or_default();
        if status.is_success() {
            return Ok(());
        }
        let said: String = text.chars().take(300).collect();
        let message = format!("the gateway answered {}: {said}", status.as_u16());
        Err(Refusal { status: status.as_u16(), retry_after, message })
    }
}

/// `sha256=` and the hex HMAC-SHA256 of `body`.
pub fn sign(secret: &str, body: &[u8]) -> String {
    use std::fmt::Write;
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    mac.finalize().into_bytes().iter().fold("sha256=".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn describe(say: &Say) -> String {
    let media = say.media.as_ref().and_then(|media| http::text_of(media, "url"));
    let media = media.map(|url| format!("[media] {url}"));
    let place = say.location.as_ref().map(|_| "[location]".to_owned());
    [media, place, say.text.clone()].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_what_openssl_makes() {
        // printf '{"event":"message"}' | openssl dgst -sha256 -hmac sandbox-secret
        let expected = "sha256=1d24aca3787264e265f2acbe96e695db4b05641442d926f76d7e73e7ee7722fd";
        assert_eq!(sign("sandbox-secret", br#"{"event":"message"}"#), expected);
    }
}
