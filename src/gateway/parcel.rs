//! What a delivery to the platform holds: an event, and what is to be looked up before it is posted.
//!
//! It is the canonical JSON of the event with a few members beside it, so an event alone is a parcel too.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::webhook::redacted_headers;
use crate::message::Event;
use crate::pipeline::Incoming;

/// An event on its way to the platform.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Parcel {
    /// The event, as far as it is known.
    #[serde(flatten)]
    pub(super) event: Event,
    /// If the message that the provider gave this id was sent by us, the event is dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) unless_sent: Option<String>,
    /// What the rest of the event is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) deferred: Option<Deferred>,
}

impl Parcel {
    /// Whether it holds all that there is to know.
    pub(super) fn is_plain(&self) -> bool {
        self.unless_sent.is_none() && self.deferred.is_none()
    }
}

/// The webhook of an event that could not be made as a whole when it came.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Deferred {
    /// Which of its nodes the event is.
    pub(super) place: Vec<usize>,
    /// Whether the route is a shared one.
    shared: bool,
    method: SmolStr,
    url: String,
    route: String,
    #[serde(default)]
    query: String,
    /// Without those that prove who calls, which was checked.
    headers: Vec<(SmolStr, SmolStr)>,
    /// Base64.
    body: String,
    #[serde(default)]
    ip: String,
}

impl Deferred {
    pub(super) fn new(request: &Incoming, shared: bool, place: Vec<usize>) -> Self {
        Self {
            place,
            shared,
            method: request.method.clone(),
            url: request.url.clone(),
            route: request.route.clone(),
            query: request.query.clone(),
            headers: redacted_headers(request),
            body: STANDARD.encode(&request.body),
            ip: request.ip.clone(),
        }
    }

    /// The webhook, and whether its route is a shared one.
    pub(super) fn request(&self) -> (bool, Incoming) {
        let request = Incoming {
            method: self.method.clone(),
            url: self.url.clone(),
            route: self.route.clone(),
            query: self.query.clone(),
            headers: self.headers.clone(),
            // It was written by us.
            body: STANDARD.decode(&self.body).unwrap_or_default().into(),
            ip: self.ip.clone(),
        };
        (self.shared, request)
    }
}
