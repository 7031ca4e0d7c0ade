//! What stands for the store in a rehearsal: what was received, what is remembered, pieces, sent messages.
//!
//! It keeps for one run what the store keeps for good.

use std::collections::{BTreeMap, HashSet};

use smol_str::SmolStr;

use crate::expression::{Map, Value};
use crate::memory::{Memory, Remember};
use crate::message::{Event, EventKind, IdOwner, Piece, Status};
use crate::world::Millis;

/// A stand-in for the store.
#[derive(Default)]
pub struct Kept {
    seen: HashSet<String>,
    /// What was given, for every contact.
    given: Memory,
    contacts: BTreeMap<SmolStr, Memory>,
    pieces: BTreeMap<(SmolStr, SmolStr), BTreeMap<u16, Event>>,
    sent: Vec<Sent>,
    /// Until when what is remembered counts, by contact and name.
    ends: BTreeMap<(SmolStr, SmolStr), Millis>,
}

/// A message of ours.
struct Sent {
    id: SmolStr,
    mid: SmolStr,
    at: Millis,
    status: Status,
}

impl Kept {
    /// A store with what `given` says: `{contact: {NAME: VALUE}, channel: {NAME: VALUE}, sent: [{id, mid, at}]}`, where
    /// `contact` is what is remembered about every contact, `id` the provider's id and `at` in milliseconds.
    pub fn of(given: &Value) -> Result<Self, String> {
        let map = |name: &str| match given.get(name) {
            Value::Null => Ok(Map::new()),
            Value::Map(map) => Ok((**map).clone()),
            other => Err(format!("`store.{name}` is a map, not {}", other.kind())),
        };
        let known = ["contact", "channel", "sent"];
        if let Some((name, _)) =
            given.as_map().into_iter().flat_map(Map::iter).find(|(name, _)| !known.contains(&name.as_str()))
        {
            return Err(format!("`store` has no `{name}`; it has `contact`, `channel` and `sent`"));
        }
        let sent = given.get("sent").as_list().unwrap_or_default().iter().map(|sent| Sent {
            id: sent.get("id").to_text(),
            mid: sent.get("mid").to_text(),
            at: sent.get("at").to_int().and_then(|at| Millis::try_from(at).ok()).unwrap_or_default(),
            status: Status::Sent,
        });
        let given = Memory { contact: map("contact")?, channel: map("channel")? };
        Ok(Self { given, sent: sent.collect(), ..Self::default() })
    }

    /// Whether it is the first time that something of this key is seen.
    pub(super) fn is_new(&mut self, key: String) -> bool {
        self.seen.insert(key)
    }

    /// What is remembered at a moment about a contact and its channel.
    pub(super) fn memory(&self, contact: &str, now: Millis) -> Memory {
        let mut memory = self.given.clone();
        for (name, value) in self.contacts.get(contact).into_iter().flat_map(|own| own.contact.iter()) {
            memory.contact.insert(name.clone(), value.clone());
        }
        for ((owner, name), _) in self.ends.iter().filter(|(_, end)| **end <= now) {
            match owner.as_str() {
                "" => memory.channel.insert(name.clone(), Value::Null),
                owner if owner == contact => memory.contact.insert(name.clone(), Value::Null),
                _ => {}
            }
        }
        memory
    }

    /// Makes changes.
    pub(super) fn remember(&mut self, changes: &[Remember]) {
        for change in changes {
            let memory = match change.contact.as_str() {
                "" => &mut self.given,
                _ => self.contacts.entry(change.contact.clone()).or_default(),
            };
            memory.apply(change);
            let key = (change.contact.clone(), change.name.clone());
            match change.expires_at {
                Some(end) => self.ends.insert(key, end),
                None => self.ends.remove(&key),
            };
        }
    }

    /// Keeps a piece; gives the message that is complete with it.
    pub(super) fn piece(&mut self, piece: &Piece, event: &Event) -> Option<Event> {
        let key = (SmolStr::new(&event.contact.id), piece.key.clone());
        let pieces = self.pieces.entry(key.clone()).or_default();
        pieces.insert(piece.index, event.clone());
        if pieces.len() < usize::from(piece.total) {
            return None;
        }
        let pieces = self.pieces.remove(&key)?;
        let mut whole = pieces.values().next()?.clone();
        whole.content.text =
            Some(pieces.values().filter_map(|piece| piece.content.text.as_deref()).collect());
        whole.content.attachments =
            pieces.into_values().flat_map(|piece| piece.content.attachments).collect();
        Some(whole)
    }

    /// Whether the message of that provider's id was sent by us.
    pub(super) fn is_ours(&self, id: &str) -> bool {
        self.sent.iter().any(|sent| sent.id == id)
    }

    /// The statuses that follow from what is said about all messages up to a moment.
    pub(super) fn up_to(&mut self, event: &Event, moment: Millis) -> Vec<Event> {
        let Some(status) = event.status else { return Vec::new() };
        let mut moved = Vec::new();
        for sent in self.sent.iter_mut().filter(|sent| sent.at <= moment && sent.status < status) {
            sent.status = status;
            moved.push(Event {
                kind: EventKind::MessageStatus,
                id: sent.mid.to_string(),
                id_owner: IdOwner::Own,
                up_to: None,
                ..event.clone()
            });
        }
        moved
    }
}

/// Changes as a result shows them, by name; what was forgotten is null. None where there are none.
pub(super) fn shown<'c>(changes: impl IntoIterator<Item = &'c Remember>) -> Option<Value> {
    let mut map = Map::new();
    for change in changes {
        let owner = if change.contact.is_empty() { "channel" } else { "contact" };
        map.insert(format!("{owner}.{}", change.name), change.value.clone());
    }
    (!map.is_empty()).then(|| Value::Map(map.into()))
}
