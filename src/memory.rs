//! Small memory: what a mapping remembers about a contact or a channel, by name.
//!
//! Invariant: every value is bounded ([`LONGEST`]), and names come from the mapping, never from a payload, so
//! what is kept about one contact is bounded too.

use smol_str::SmolStr;

use crate::expression::{Map, Value};
use crate::world::Millis;

/// The longest value that can be remembered, in bytes of JSON.
pub const LONGEST: usize = 16 << 10;

/// One change of a memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Remember {
    /// The channel.
    pub channel: SmolStr,
    /// The provider's address of the contact; empty for what the channel itself remembers.
    pub contact: SmolStr,
    /// What it is called.
    pub name: SmolStr,
    /// What is kept; null forgets.
    pub value: Value,
    /// Until when it is kept; none: until it is replaced or forgotten.
    pub expires_at: Option<Millis>,
}

/// What is remembered about a contact and its channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// About the contact, by name.
    pub contact: Map,
    /// About the channel, by name.
    pub channel: Map,
}

impl Memory {
    /// The scope `store`.
    pub fn scope(&self) -> Value {
        Value::record([
            ("contact", Value::Map(self.contact.clone().into())),
            ("channel", Value::Map(self.channel.clone().into())),
        ])
    }

    /// Makes a change; null leaves nothing of the name.
    pub fn apply(&mut self, change: &Remember) {
        let part = if change.contact.is_empty() { &mut self.channel } else { &mut self.contact };
        part.insert(change.name.clone(), change.value.clone());
    }
}
