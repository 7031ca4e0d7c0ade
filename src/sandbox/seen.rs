//! Which message ids were taken before, and with what content.
//!
//! Ids are kept as digests, so memory is bounded by their number alone; beyond it the oldest are forgotten,
//! and how many is counted, since from then on a very late repetition would not be seen.

use std::collections::{HashMap, VecDeque};

use sha2::{Digest, Sha256};

const IDS: usize = 2_000_000;

type Short = [u8; 16];

/// The ids that were taken.
#[derive(Debug, Default)]
pub struct Seen {
    contents: HashMap<Short, Short>,
    order: VecDeque<Short>,
    forgotten: u64,
}

/// What is known about an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// It is new.
    Never,
    /// It came before with the same content.
    Same,
    /// It came before with something else, which is a fault of the sender.
    Different,
}

impl Seen {
    /// What is known about `id` of `channel`, should it come with `content`.
    pub fn look(&self, channel: &str, id: &str, content: &str) -> Before {
        match self.contents.get(&key(channel, id)) {
            None => Before::Never,
            Some(known) if *known == short(content.as_bytes()) => Before::Same,
            Some(_) => Before::Different,
        }
    }

    /// Whether `id` of `channel` was taken.
    pub fn holds(&self, channel: &str, id: &str) -> bool {
        self.contents.contains_key(&key(channel, id))
    }

    /// Remembers an id; the first content stays.
    pub fn take(&mut self, channel: &str, id: &str, content: &str) {
        let key = key(channel, id);
        if self.contents.contains_key(&key) {
            return;
        }
        self.contents.insert(key, short(content.as_bytes()));
        self.order.push_back(key);
        if self.order.len() > IDS {
            if let Some(oldest) = self.order.pop_front() {
                self.contents.remove(&oldest);
            }
            self.forgotten += 1;
        }
    }

    /// Ids that were forgotten for room.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

fn key(channel: &str, id: &str) -> Short {
    short(format!("{channel}\u{0}{id}").as_bytes())
}

fn short(bytes: &[u8]) -> Short {
    let mut short = [0; 16];
    for (to, from) in short.iter_mut().zip(Sha256::digest(bytes)) {
        *to = from;
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_per_channel_and_with_its_content() {
        let mut seen = Seen::default();
        seen.take("a", "m1", "hi");
        assert_eq!(seen.look("a", "m1", "hi"), Before::Same);
        assert_eq!(seen.look("a", "m1", "ho"), Before::Different);
        assert_eq!(seen.look("b", "m1", "hi"), Before::Never);
        assert!(seen.holds("a", "m1") && !seen.holds("a", "m2"));
    }
}
