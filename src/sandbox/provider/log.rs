//! What people see of a provider stand-in: the newest messages of both directions.

use std::collections::VecDeque;

use serde::Serialize;

use crate::world::Millis;

const KEPT: usize = 200;

/// A message that the provider took from the gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Taken {
    /// The provider's id.
    pub id: String,
    /// The gateway's id, where it told it.
    pub reference: Option<String>,
    /// To whom.
    pub contact: String,
    /// What it says, in a few words.
    pub text: String,
    /// When it arrived.
    pub at: Millis,
    /// The receipts that were sent for it.
    pub receipts: Vec<(&'static str, Millis)>,
}

/// A message of a contact that the provider sent to the gateway.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Said {
    /// Counts from 1.
    pub number: u64,
    /// The provider's id.
    pub id: String,
    /// From whom.
    pub contact: String,
    /// What it says, in a few words.
    pub text: String,
    /// When it was sent.
    pub at: Millis,
    /// When the gateway had accepted it.
    pub accepted: Option<Millis>,
    /// Why the gateway did not accept it.
    pub error: Option<String>,
}

/// The newest messages.
#[derive(Debug, Default)]
pub struct Log {
    /// From the gateway, oldest first.
    pub taken: VecDeque<Taken>,
    /// To the gateway, oldest first.
    pub said: VecDeque<Said>,
    last: u64,
}

impl Log {
    /// The provider took a message.
    pub fn take(&mut self, taken: Taken) {
        self.taken.push_back(taken);
        if self.taken.len() > KEPT {
            self.taken.pop_front();
        }
    }

    /// A receipt leaves for a message.
    pub fn receipt(&mut self, id: &str, status: &'static str, at: Millis) {
        if let Some(taken) = self.taken.iter_mut().rev().find(|taken| taken.id == id) {
            taken.receipts.push((status, at));
        }
    }

    /// A contact's message leaves; its number.
    pub fn say(&mut self, id: &str, contact: &str, text: String, at: Millis) -> u64 {
        self.last += 1;
        let (id, contact) = (id.to_owned(), contact.to_owned());
        self.said.push_back(Said { number: self.last, id, contact, text, at, accepted: None, error: None });
        if self.said.len() > KEPT {
            self.said.pop_front();
        }
        self.last
    }

    /// The gateway answered the message of that number.
    pub fn said(&mut self, number: u64, at: Millis, error: Option<String>) {
        if let Some(said) = self.said.iter_mut().rev().find(|said| said.number == number) {
            said.accepted = error.is_none().then_some(at);
            said.error = error;
        }
    }
}
