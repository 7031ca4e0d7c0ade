//! What a caller gets from a stand-in: an answer, silence, or a broken connection.

use std::time::Duration;

use axum::response::Response;
use serde_json::Value;

use super::http;
use super::script::{self, Asked, What};

/// What a caller gets.
pub enum Reaction {
    /// This answer.
    Answer(Response),
    /// Nothing, until the caller gives up.
    Silence,
    /// A broken connection.
    Hangup,
}

impl Reaction {
    /// What a script prescribes; none where the stand-in answers as usual. `id` and `n` are for its template.
    pub fn prescribed(what: &What, asked: Asked<'_>, id: impl FnOnce() -> String, n: u64) -> Option<Self> {
        match what {
            What::Usual => None,
            What::Silence => Some(Self::Silence),
            What::Hangup => Some(Self::Hangup),
            What::Reply(reply) => {
                let data =
                    if reply.is_template() { script::template_data(asked, &id(), n) } else { Value::Null };
                Some(Self::Answer(reply.fill(&data)))
            }
        }
    }

    /// Status of the answer; 0 where there is none.
    pub fn status(&self) -> u16 {
        match self {
            Self::Answer(response) => response.status().as_u16(),
            Self::Silence | Self::Hangup => 0,
        }
    }

    /// Lets the caller have it, after `delay`.
    pub async fn carry_out(self, delay: Duration) -> Response {
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match self {
            Self::Answer(response) => response,
            Self::Silence => std::future::pending().await,
            Self::Hangup => http::hangup(),
        }
    }
}
