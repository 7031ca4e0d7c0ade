//! What will be remembered, and of which messages only pieces come.

use std::time::Duration;

use smol_str::SmolStr;

use crate::expression::{Condition, Template};

/// Whose memory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// One contact's.
    Contact,
    /// The channel's.
    Channel,
}

/// One thing that is remembered.
#[derive(Debug)]
pub struct Memo {
    /// Whose it is.
    pub owner: Owner,
    /// What it is called.
    pub name: SmolStr,
    /// What is kept; an empty value changes nothing.
    pub value: Template,
    /// How long it is kept; none: until it is replaced or consumed.
    pub ttl: Option<Duration>,
}

/// What a rule remembers.
#[derive(Debug)]
pub struct Memos {
    /// The contact that it is about; none where only the channel remembers.
    pub contact: Option<Template>,
    /// What is remembered.
    pub memos: Vec<Memo>,
}

/// How the pieces of a message that was cut up are recognised.
#[derive(Debug)]
pub struct Collect {
    /// When the event is a piece; none is always.
    pub when: Option<Condition>,
    /// What the pieces of one message have in common.
    pub key: Template,
    /// Where it stands among them.
    pub index: Template,
    /// How many there are.
    pub total: Template,
    /// How long the first piece waits for the others.
    pub ttl: Duration,
}
