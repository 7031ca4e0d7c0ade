//! How a provider stand-in is set up.

use std::time::Duration;

use crate::sandbox::recording::Keep;
use crate::world::World;

/// How a provider stand-in is set up.
#[derive(Clone)]
pub struct Options {
    /// The gateway's URL for webhooks; without one, no receipt leaves.
    pub webhook_url: Option<String>,
    /// What webhooks are signed with.
    pub secret: String,
    /// The bearer token that the Sandbox API asks for; none lets everybody in.
    pub token: Option<String>,
    /// The receipts that follow a message.
    pub receipts: Receipts,
    /// How much is kept for inspection.
    pub keep: Keep,
    /// The wall clock and the randomness of ids.
    pub world: World,
}

/// When receipts follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipts {
    /// From taking a message to `delivered`; none sends no receipt.
    pub delivered: Option<Duration>,
    /// From `delivered` to `read`; none sends no `read`.
    pub read: Option<Duration>,
}

impl Default for Receipts {
    fn default() -> Self {
        Self { delivered: Some(Duration::from_millis(400)), read: Some(Duration::from_millis(1600)) }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            webhook_url: None,
            secret: "sandbox-secret".into(),
            token: None,
            receipts: Receipts::default(),
            keep: Keep::default(),
            world: World::system(),
        }
    }
}
