//! Who is in conversation: contacts who wrote lately. What goes to them goes before broadcasts.
//!
//! Invariant: memory is bounded; of more contacts than there is room for, those who wrote last are remembered. A
//! contact who is not remembered loses nothing but the precedence.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::message::EventKind;
use crate::store::{Delivery, Store};
use crate::world::Millis;

/// How many contacts are remembered: about 12 MB.
const MOST: usize = 250_000;

/// When contacts wrote last.
#[derive(Default)]
pub(super) struct Conversations(Mutex<HashMap<u64, Millis>>);

impl Conversations {
    /// A contact of a channel wrote at that moment.
    fn hear(&self, channel: &str, contact: &str, at: Millis) {
        let mut heard = self.lock();
        if heard.len() >= MOST {
            let mut moments: Vec<Millis> = heard.values().copied().collect();
            let (_, median, _) = moments.select_nth_unstable(MOST / 2);
            let median = *median;
            heard.retain(|_, at| *at > median);
        }
        let last = heard.entry(key(channel, contact)).or_insert(at);
        *last = at.max(*last);
    }

    /// The contact of a delivery to the platform wrote, if that is a message of theirs.
    pub(super) fn learn(&self, delivery: &Delivery) {
        if delivery.kind == EventKind::Message {
            self.hear(&delivery.lane.channel, &delivery.contact, delivery.accepted_at);
        }
    }

    /// Whether a contact wrote within that time.
    pub(super) fn is_live(&self, channel: &str, contact: &str, now: Millis, within: Duration) -> bool {
        let within = Millis::try_from(within.as_millis()).unwrap_or(Millis::MAX);
        self.lock().get(&key(channel, contact)).is_some_and(|at| now.saturating_sub(*at) < within)
    }

    /// Learns from the store who wrote since then.
    pub(super) async fn recall(&self, store: &dyn Store, since: Millis) {
        match store.heard(since, MOST).await {
            Ok(heard) => {
                heard.iter().for_each(|(channel, contact, at)| self.hear(channel, contact, *at));
            }
            Err(error) => {
                tracing::warn!(%error, "who wrote before the start is not known: replies to them wait behind broadcasts");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Millis>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Two contacts with one key would share a precedence, and nothing else.
fn key(channel: &str, contact: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (channel, contact).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_in_conversation_for_a_while_after_the_last_message() {
        let conversations = Conversations::default();
        let hour = Duration::from_hours(1);
        conversations.hear("c", "ann", 1000);
        conversations.hear("c", "ann", 500);
        let live = |channel: &str, contact: &str, now| conversations.is_live(channel, contact, now, hour);
        assert!(live("c", "ann", 1000 + 3_599_999));
        assert!(!live("c", "ann", 1000 + 3_600_000) && !live("d", "ann", 1000) && !live("c", "bob", 1000));
        assert!(!conversations.is_live("c", "ann", 1000, Duration::ZERO));
    }

    #[test]
    fn of_too_many_contacts_the_last_are_remembered() {
        let conversations = Conversations::default();
        for number in 0..i64::try_from(MOST).unwrap() + 10 {
            conversations.hear("c", &number.to_string(), number);
        }
        let live = |number: usize| {
            let now = i64::try_from(MOST).unwrap();
            conversations.is_live("c", &number.to_string(), now, Duration::from_hours(1))
        };
        assert!(conversations.lock().len() <= MOST);
        assert!(!live(0) && live(MOST - 1) && live(MOST + 9));
    }
}
