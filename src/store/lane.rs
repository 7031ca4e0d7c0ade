//! A lane: one channel in one direction. Rate, order and queue are each lane's own.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// Which way a delivery goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From the provider to the platform.
    Inbound,
    /// From the platform to the provider.
    Outbound,
}

impl Direction {
    /// `inbound` or `outbound`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// The number that it is stored as.
    pub(super) fn number(self) -> i16 {
        match self {
            Self::Inbound => 0,
            Self::Outbound => 1,
        }
    }

    /// The direction that a number was stored for.
    pub(super) fn of(number: i16) -> Self {
        if number == 0 { Self::Inbound } else { Self::Outbound }
    }
}

/// One channel in one direction.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane {
    /// The channel's name in this installation.
    pub channel: SmolStr,
    /// Which way.
    pub direction: Direction,
}

impl Lane {
    /// The lane of `channel` to the platform.
    pub fn inbound(channel: impl Into<SmolStr>) -> Self {
        Self { channel: channel.into(), direction: Direction::Inbound }
    }

    /// The lane of `channel` to the provider.
    pub fn outbound(channel: impl Into<SmolStr>) -> Self {
        Self { channel: channel.into(), direction: Direction::Outbound }
    }
}

impl std::fmt::Display for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.channel, self.direction.as_str())
    }
}
