//! A set of statuses: which changes of a message a channel posts to the platform.

use crate::message::Status;

/// A set of [`Status`]es; the default is delivered, read and failed (a 200 to `/message` already means sent).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatusSet(u8);

impl StatusSet {
    /// No status.
    pub const NONE: Self = Self(0);

    /// This set and `status`.
    #[must_use]
    pub fn with(self, status: Status) -> Self {
        Self(self.0 | bit(status))
    }

    /// Whether `status` is in it.
    pub fn contains(self, status: Status) -> bool {
        self.0 & bit(status) != 0
    }

    /// The set as one byte, for storage.
    pub(super) fn bits(self) -> u8 {
        self.0
    }

    /// The set that [`StatusSet::bits`] gave.
    pub(super) fn from_bits(bits: u8) -> Self {
        Self(bits & 0b1111)
    }
}

impl Default for StatusSet {
    fn default() -> Self {
        Self::NONE.with(Status::Delivered).with(Status::Read).with(Status::Failed)
    }
}

impl FromIterator<Status> for StatusSet {
    fn from_iter<I: IntoIterator<Item = Status>>(statuses: I) -> Self {
        statuses.into_iter().fold(Self::NONE, Self::with)
    }
}

fn bit(status: Status) -> u8 {
    match status {
        Status::Sent => 1,
        Status::Delivered => 2,
        Status::Read => 4,
        Status::Failed => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_is_not_posted_unless_asked_for() {
        assert!(!StatusSet::default().contains(Status::Sent));
        assert!(StatusSet::default().with(Status::Sent).contains(Status::Sent));
        assert!(StatusSet::from_bits(StatusSet::default().bits()).contains(Status::Read));
    }
}
