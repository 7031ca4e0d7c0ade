//! What an examination of a store finds.

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// The file is damaged.
    Damaged,
    /// A delivery names a webhook that should be there and is not.
    MissingWebhook,
    /// A provider's id leads to a message that is not there.
    MissingMessage,
    /// Something is queued for a channel that is not configured.
    UnknownChannel,
    /// A delivery can't be read by the one who is to carry it.
    UnreadablePayload,
    /// Pieces of a message wait longer than they should.
    OverduePieces,
    /// Receipts wait longer than they are kept.
    OverdueReceipts,
    /// The next id may be one that was given out already.
    Sequence,
}

impl FindingKind {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::MissingWebhook => "missing-webhook",
            Self::MissingMessage => "missing-message",
            Self::UnknownChannel => "unknown-channel",
            Self::UnreadablePayload => "unreadable-payload",
            Self::OverduePieces => "overdue-pieces",
            Self::OverdueReceipts => "overdue-receipts",
            Self::Sequence => "sequence",
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub kind: FindingKind,
    /// What exactly, and where.
    pub what: String,
}

impl Finding {
    /// A finding.
    pub fn new(kind: FindingKind, what: impl Into<String>) -> Self {
        Self { kind, what: what.into() }
    }
}
