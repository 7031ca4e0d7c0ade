//! How receipts of the parts of a message become the status of the message: pure.
//!
//! Invariant: a status only moves forward in the order of [`Status`]; `Failed` is final. A message is where its
//! slowest part is, and failed as soon as one part is.

use crate::message::Status;

/// How far a message and each of its parts have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    parts: Vec<Status>,
    message: Status,
}

impl Standing {
    /// A message that was just sent in `parts` parts (at least one).
    pub(super) fn sent(parts: usize) -> Self {
        Self { parts: vec![Status::Sent; parts.max(1)], message: Status::Sent }
    }

    /// A message that will not arrive.
    pub(super) fn failed() -> Self {
        Self { parts: vec![Status::Failed], message: Status::Failed }
    }

    /// Where the message is.
    pub(super) fn message(&self) -> Status {
        self.message
    }

    /// Where a part is.
    pub(super) fn part(&self, part: usize) -> Option<Status> {
        self.parts.get(part).copied()
    }

    /// Applies a receipt for one part, or for the whole message; gives the message's new status if it moved.
    pub(super) fn fold(&mut self, part: Option<usize>, status: Status) -> Option<Status> {
        let concerned = |index: usize| part.is_none_or(|part| part == index);
        for (_, at) in self.parts.iter_mut().enumerate().filter(|(index, _)| concerned(*index)) {
            *at = status.max(*at);
        }
        let failed = self.parts.contains(&Status::Failed).then_some(Status::Failed);
        let whole = failed.or_else(|| self.parts.iter().min().copied())?;
        (whole > self.message).then(|| {
            self.message = whole;
            whole
        })
    }

    /// One byte per part, for storage.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.parts.iter().map(|part| *part as u8).collect()
    }

    /// What [`Standing::to_bytes`] and the message's status gave.
    pub(super) fn from_bytes(parts: &[u8], message: Status) -> Self {
        Self { parts: parts.iter().map(|part| status_of(i64::from(*part))).collect(), message }
    }
}

/// The status that was stored as a number.
pub(super) fn status_of(number: i64) -> Status {
    match number {
        1 => Status::Delivered,
        2 => Status::Read,
        3 => Status::Failed,
        _ => Status::Sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_delivered_when_all_parts_are() {
        let mut standing = Standing::sent(2);
        assert_eq!(standing.fold(Some(0), Status::Delivered), None);
        assert_eq!(standing.fold(Some(1), Status::Read), Some(Status::Delivered));
        assert_eq!(standing.fold(Some(0), Status::Read), Some(Status::Read));
    }

    #[test]
    fn one_failed_part_fails_the_message_for_good() {
        let mut standing = Standing::sent(2);
        assert_eq!(standing.fold(Some(1), Status::Failed), Some(Status::Failed));
        assert_eq!(standing.fold(None, Status::Read), None);
        assert_eq!(standing.message(), Status::Failed);
    }

    #[test]
    fn a_status_never_moves_back_and_is_told_once() {
        let mut standing = Standing::sent(1);
        assert_eq!(standing.fold(Some(0), Status::Read), Some(Status::Read));
        assert_eq!(standing.fold(Some(0), Status::Delivered), None);
        assert_eq!(standing.fold(None, Status::Read), None);
        assert_eq!(standing.part(0), Some(Status::Read));
    }

    #[test]
    fn storage_keeps_the_standing() {
        let mut standing = Standing::sent(3);
        standing.fold(Some(1), Status::Delivered);
        assert_eq!(Standing::from_bytes(&standing.to_bytes(), standing.message()), standing);
        for status in [Status::Sent, Status::Delivered, Status::Read, Status::Failed] {
            assert_eq!(status_of(status as i64), status);
        }
    }
}
