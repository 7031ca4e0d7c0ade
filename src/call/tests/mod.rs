//! Requests over real connections: a server with files, and a provider that takes them.

mod departure;
mod once;
mod pool;
mod servers;
mod trouble;
mod upload;

use std::time::Duration;

use super::{Departure, Outgoing, Payload, Shown};

/// A `POST` of a body.
fn request(url: &str, body: Payload) -> Outgoing {
    Outgoing {
        method: "POST".into(),
        urls: vec![url.parse().unwrap()],
        headers: vec![],
        body,
        shown: Shown::Nothing,
        timeout: Duration::from_secs(20),
        departure: Departure::default(),
    }
}
