//! How an IS-Messenger stand-in is set up.

use std::collections::BTreeMap;

use crate::sandbox::recording::Keep;
use crate::world::World;

/// What a contact id of a channel looks like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdType {
    /// E.164 with a plus sign.
    #[default]
    Phone,
    /// At most 50 characters out of `A-Z a-z 0-9 _ = + / @`.
    Custom,
}

/// One Custom Channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The API Token, used in both directions.
    pub token: String,
    /// What its contact ids look like.
    pub id_type: IdType,
    /// Requests in any sliding second; none lifts the limit.
    pub limit: Option<u32>,
    /// Status values that may be posted.
    pub statuses: Vec<String>,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            token: "sandbox-token".into(),
            id_type: IdType::Phone,
            limit: Some(20),
            statuses: ["delivered", "read", "failed"].map(String::from).into(),
        }
    }
}

/// How an IS-Messenger stand-in is set up. By default it has one channel, `sandbox`.
#[derive(Clone)]
pub struct Options {
    /// The channels by their Channel ID.
    pub channels: BTreeMap<String, Channel>,
    /// The path of the webhook.
    pub path: String,
    /// How much is kept for inspection.
    pub keep: Keep,
    /// The wall clock, against which timestamps are judged.
    pub world: World,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            channels: BTreeMap::from([("sandbox".to_owned(), Channel::default())]),
            path: "/custom/channel/webhook/".into(),
            keep: Keep::default(),
            world: World::system(),
        }
    }
}
