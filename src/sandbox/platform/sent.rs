//! The messages that the platform handed to the gateway, and the statuses that came back for each.
//!
//! Statuses only move forward (sent, delivered, read; failed is final); one that does not is counted and leaves
//! the message as it is. A status may overtake the answer that tells the message's id.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::world::Millis;

const KEPT: usize = 200_000;

/// One message that was handed to the gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sent {
    /// Counts from 1, in the order of sending.
    pub number: u64,
    /// The gateway's id, once it answered.
    #[serde(rename = "mId", skip_serializing_if = "Option::is_none")]
    pub mid: Option<String>,
    /// To whom; empty where only a status told of the message.
    pub contact: String,
    /// What it says, in a few words.
    pub text: String,
    /// When it was handed over.
    pub at: Millis,
    /// When the gateway had accepted it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Millis>,
    /// Why the gateway did not accept it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The statuses that came back, in order.
    pub statuses: Vec<StatusAt>,
}

/// A status, and when it came.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StatusAt {
    /// `sent`, `delivered`, `read` or `failed`.
    pub value: String,
    /// When it came.
    pub at: Millis,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What the statuses that came back add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SentStats {
    /// Messages handed to the gateway.
    pub handed: u64,
    /// Those that it accepted.
    pub accepted: u64,
    /// Those that it did not.
    pub refused: u64,
    /// Ids that the gateway gave to more than one message.
    pub repeated_ids: u64,
    /// Statuses that moved a message on, by value.
    pub statuses: BTreeMap<String, u64>,
    /// Statuses that had come before.
    pub repeated_statuses: u64,
    /// Statuses that would have moved a message backwards.
    pub backward_statuses: u64,
    /// Statuses of messages that nobody is known to have sent.
    pub unknown_statuses: u64,
}

/// The newest messages and the counts of all.
#[derive(Debug, Default)]
pub struct SentMessages {
    entries: BTreeMap<u64, Sent>,
    numbers: HashMap<String, u64>,
    last: u64,
    stats: SentStats,
}

impl SentMessages {
    /// A message is handed over now; its number.
    pub fn hand(&mut self, contact: &str, text: String, at: Millis) -> u64 {
        self.stats.handed += 1;
        self.add(Sent { contact: contact.to_owned(), text, at, ..Sent::default() })
    }

    /// The gateway accepted the message of that number.
    pub fn accept(&mut self, number: u64, mid: &str, at: Millis) {
        self.stats.accepted += 1;
        let mut early = Vec::new();
        if let Some(known) = self.numbers.insert(mid.to_owned(), number) {
            match self.entries.get(&known) {
                Some(entry) if entry.contact.is_empty() => {
                    early.clone_from(&entry.statuses);
                    let count = u64::try_from(early.len()).unwrap_or_default();
                    self.stats.unknown_statuses = self.stats.unknown_statuses.saturating_sub(count);
                    self.entries.remove(&known);
                }
                _ => self.stats.repeated_ids += 1,
            }
        }
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.mid = Some(mid.to_owned());
            entry.accepted = Some(at);
            entry.statuses = early;
        }
    }

    /// The gateway did not accept the message of that number.
    pub fn refuse(&mut self, number: u64, error: String) {
        self.stats.refused += 1;
        if let Some(entry) = self.entries.get_mut(&number) {
            entry.error = Some(error);
        }
    }

    /// A status came for `mid`.
    pub fn status(&mut self, mid: &str, status: StatusAt) {
        let known = self.numbers.get(mid).copied().filter(|number| self.entries.contains_key(number));
        let number = known.unwrap_or_else(|| {
            let number = self.add(Sent { mid: Some(mid.to_owned()), at: status.at, ..Sent::default() });
            self.numbers.insert(mid.to_owned(), number);
            number
        });
        let Some(entry) = self.entries.get_mut(&number) else { return };
        let rank = |value: &str| match value {
            "sent" => 1,
            "delivered" => 2,
            "read" => 3,
            _ => 4,
        };
        let highest = entry.statuses.iter().map(|known| rank(&known.value)).max().unwrap_or_default();
        if entry.statuses.iter().any(|known| known.value == status.value) {
            self.stats.repeated_statuses += 1;
        } else if highest > rank(&status.value) {
            self.stats.backward_statuses += 1;
        } else {
            if entry.contact.is_empty() {
                self.stats.unknown_statuses += 1;
            }
            *self.stats.statuses.entry(status.value.clone()).or_default() += 1;
            entry.statuses.push(status);
        }
    }

    /// The message with that id.
    pub fn get(&self, mid: &str) -> Option<&Sent> {
        self.entries.get(self.numbers.get(mid)?)
    }

    /// The kept messages, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Sent> {
        self.entries.values()
    }

    /// What was counted so far.
    pub fn stats(&self) -> &SentStats {
        &self.stats
    }

    fn add(&mut self, mut sent: Sent) -> u64 {
        self.last += 1;
        sent.number = self.last;
        self.entries.insert(self.last, sent);
        if self.entries.len() > KEPT
            && let Some((number, oldest)) = self.entries.pop_first()
            && let Some(mid) = oldest.mid
            && self.numbers.get(&mid) == Some(&number)
        {
            self.numbers.remove(&mid);
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: &str) -> StatusAt {
        StatusAt { value: value.into(), at: 3, reason: None }
    }

    #[test]
    fn statuses_move_forward_only() {
        let mut sent = SentMessages::default();
        let number = sent.hand("+60", "hi".into(), 1);
        sent.accept(number, "m", 2);
        for value in ["delivered", "delivered", "read", "sent", "failed", "read"] {
            sent.status("m", status(value));
        }
        let values: Vec<_> = sent.get("m").unwrap().statuses.iter().map(|s| s.value.as_str()).collect();
        assert_eq!(values, ["delivered", "read", "failed"]);
        assert_eq!((sent.stats().repeated_statuses, sent.stats().backward_statuses), (2, 1));
    }

    #[test]
    fn a_status_may_overtake_the_answer_that_tells_the_id() {
        let mut sent = SentMessages::default();
        let number = sent.hand("+60", "hi".into(), 1);
        sent.status("m", status("delivered"));
        assert_eq!(sent.stats().unknown_statuses, 1);
        sent.accept(number, "m", 4);
        let found = sent.get("m").unwrap();
        assert_eq!((found.contact.as_str(), found.statuses.len()), ("+60", 1));
        assert_eq!((sent.stats().unknown_statuses, sent.iter().count()), (0, 1));
    }

    #[test]
    fn an_id_for_two_messages_is_counted() {
        let mut sent = SentMessages::default();
        for _ in 0..2 {
            let number = sent.hand("+60", "hi".into(), 1);
            sent.accept(number, "m", 2);
        }
        assert_eq!(sent.stats().repeated_ids, 1);
    }
}
