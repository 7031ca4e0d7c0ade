//! The platform's other direction: handing a message to the gateway the way IS-Messenger does.

use serde_json::{Value, json};

use super::{MAX_ID, Platform, rules};
use crate::sandbox::burst::{self, Burst, BurstReport, Numbered, Refusal};
use crate::sandbox::http;

const MAX_ANSWER: usize = 64 << 10;

/// Why a message was not accepted by the gateway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// No answer came.
    #[error("the gateway can't be reached: {0}")]
    Unreachable(String),
    /// It said no.
    #[error("the gateway answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        message: String,
        /// Seconds of its `Retry-After`.
        retry_after: Option<u64>,
    },
    /// It said 200, but not as the contract wants it.
    #[error("the gateway's answer breaks the contract: {0}")]
    Broken(String),
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        let (status, retry_after) = match &error {
            SendError::Refused { status, retry_after, .. } => (*status, *retry_after),
            SendError::Broken(_) => (200, None),
            SendError::Unreachable(_) => (0, None),
        };
        Self { status, retry_after, message: error.to_string() }
    }
}

impl Platform {
    /// Hands `message` to the gateway at `base_url` (the API Base URL of the channel) with `POST
    /// {base_url}/message`; the gateway's `mId`.
    pub async fn send(
        &self,
        base_url: &str,
        token: &str,
        contact_id: &str,
        message: &Value,
    ) -> Result<String, SendError> {
        let now = self.0.options.world.now();
        let number = self.state().sent.hand(contact_id, rules::describe(message), now);
        self.mark_changed();
        let outcome = self.post(base_url, token, contact_id, message).await;
        let mut state = self.state();
        match &outcome {
            Ok(mid) => state.sent.accept(number, mid, self.0.options.world.now()),
            Err(error) => state.sent.refuse(number, error.to_string()),
        }
        drop(state);
        self.mark_changed();
        outcome
    }

    /// Hands over a whole burst.
    pub async fn broadcast(&self, base_url: &str, token: &str, burst: &Burst) -> BurstReport {
        let (platform, base_url, token) = (self.clone(), base_url.to_owned(), token.to_owned());
        burst::run(burst, move |one: Numbered| {
            let (platform, base_url, token) = (platform.clone(), base_url.clone(), token.clone());
            async move {
                let message = json!({"type": "text", "text": one.text});
                platform
                    .send(&base_url, &token, &one.contact, &message)
                    .await
                    .map(drop)
                    .map_err(Refusal::from)
            }
        })
        .await
    }

    async fn post(
        &self,
        base_url: &str,
        token: &str,
        contact_id: &str,
        message: &Value,
    ) -> Result<String, SendError> {
        let channel = self.0.options.channels.iter().find(|(_, channel)| channel.token == token);
        let mut body = json!({"contactId": contact_id, "message": message});
        if let (Some((id, _)), Some(members)) = (channel, body.as_object_mut()) {
            members.insert("channelId".into(), json!(id));
        }
        let unreachable = |error: reqwest::Error| SendError::Unreachable(http::whole(&error));
        let answer = self
            .0
            .client
            .post(format!("{}/message", base_url.trim_end_matches('/')))
            .bearer_auth(token)
            .header("content-type", "application/json")
            .body(body.to_string())
            .send()
            .await
            .map_err(unreachable)?;
        let status = answer.status().as_u16();
        let retry_after = answer
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .and_then(|text| text.trim().parse().ok());
        let bytes = answer.bytes().await.map_err(unreachable)?;
        let bytes = bytes.get(..MAX_ANSWER).unwrap_or(&bytes);
        let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
        if status != 200 {
            let message = body.pointer("/error/message").and_then(Value::as_str).map_or_else(
                || String::from_utf8_lossy(bytes).chars().take(500).collect(),
                ToOwned::to_owned,
            );
            return Err(SendError::Refused { status, message, retry_after });
        }
        match http::text_of(&body, "mId") {
            Some(mid) if (1..=MAX_ID).contains(&mid.chars().count()) => Ok(mid.to_owned()),
            Some(mid) => Err(SendError::Broken(format!("mId must have 1 to {MAX_ID} characters: {mid}"))),
            None => Err(SendError::Broken("200 without a string mId".into())),
        }
    }
}
