//! Whether texts that carry a number, such as `c7-000123`, came in order and exactly once.
//!
//! A test numbers the texts of each contact; this counts what came late, twice or not at all. Numbers that
//! came are kept as runs, so a contact whose texts come in order takes one run however many they are.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use regex::bytes::Regex;
use serde::Serialize;

const CONTACTS: usize = 200_000;
const EXAMPLES: usize = 20;

static LABEL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b(c\d{1,9})-(\d{1,15})\b").ok());

/// The numbered texts that came, per contact.
#[derive(Debug, Default)]
pub struct Sequences {
    contacts: HashMap<String, Contact>,
    texts: u64,
    out_of_order: u64,
    repeats: u64,
    not_followed: u64,
    examples: Vec<String>,
}

#[derive(Debug, Default)]
struct Contact {
    /// First and last number of each run.
    runs: BTreeMap<u64, u64>,
    highest: Option<u64>,
}

/// What [`Sequences`] counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SequenceStats {
    /// Contacts with numbered texts.
    pub contacts: usize,
    /// Numbered texts that came.
    pub texts: u64,
    /// Different numbers among them.
    pub distinct: u64,
    /// Texts that came after one of the same contact with a higher number.
    pub out_of_order: u64,
    /// Texts that had come before.
    pub repeats: u64,
    /// Numbers between a contact's lowest and highest that did not come.
    pub missing: u64,
    /// Texts of contacts beyond the bound, which were not followed.
    pub not_followed: u64,
    /// The first few violations, readable.
    pub examples: Vec<String>,
}

impl Sequences {
    /// Takes note of a text; `scope` tells contacts with the same label apart.
    pub fn note(&mut self, scope: &str, text: &[u8]) {
        let Some((label, number)) = label_of(text) else { return };
        self.texts += 1;
        let key = if scope.is_empty() { label.clone() } else { format!("{scope} {label}") };
        if self.contacts.len() >= CONTACTS && !self.contacts.contains_key(&key) {
            self.not_followed += 1;
            return;
        }
        let contact = self.contacts.entry(key).or_default();
        let highest = contact.highest;
        let example = if !contact.insert(number) {
            self.repeats += 1;
            format!("{label}-{number} came again")
        } else if let Some(highest) = highest.filter(|&highest| number < highest) {
            self.out_of_order += 1;
            format!("{label}-{number} came after {label}-{highest}")
        } else {
            return;
        };
        if self.examples.len() < EXAMPLES {
            self.examples.push(example);
        }
    }

    /// What was counted so far.
    pub fn stats(&self) -> SequenceStats {
        let (mut distinct, mut missing) = (0, 0);
        for contact in self.contacts.values() {
            let held: u64 = contact.runs.iter().map(|(first, last)| last - first + 1).sum();
            let lowest = contact.runs.keys().next().copied().unwrap_or_default();
            distinct += held;
            missing += (contact.highest.unwrap_or_default() + 1).saturating_sub(lowest + held);
        }
        SequenceStats {
            contacts: self.contacts.len(),
            texts: self.texts,
            distinct,
            out_of_order: self.out_of_order,
            repeats: self.repeats,
            missing,
            not_followed: self.not_followed,
            examples: self.examples.clone(),
        }
    }
}

impl Contact {
    /// Adds a number; whether it is new.
    fn insert(&mut self, number: u64) -> bool {
        let before = self.runs.range(..=number).next_back().map(|(&first, &last)| (first, last));
        if before.is_some_and(|(_, last)| last >= number) {
            return false;
        }
        self.highest = Some(self.highest.map_or(number, |highest| highest.max(number)));
        let first = before.filter(|&(_, last)| last + 1 == number).map_or(number, |(first, _)| first);
        let last = self.runs.remove(&(number + 1)).unwrap_or(number);
        self.runs.insert(first, last);
        true
    }
}

fn label_of(text: &[u8]) -> Option<(String, u64)> {
    let found = LABEL.as_ref()?.captures(text)?;
    let part = |at| found.get(at).and_then(|part| std::str::from_utf8(part.as_bytes()).ok());
    Some((part(1)?.to_owned(), part(2)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_repeated_and_missing_numbers_are_told_apart() {
        let mut sequences = Sequences::default();
        for text in ["c7-000001", "hi c7-3", "c7-2", "c7-2 again", "c8-1", "c7-6", "no number"] {
            sequences.note("", text.as_bytes());
        }
        let stats = sequences.stats();
        assert_eq!((stats.contacts, stats.texts, stats.distinct), (2, 6, 5));
        assert_eq!((stats.out_of_order, stats.repeats, stats.missing), (1, 1, 2));
        assert_eq!(stats.examples, ["c7-2 came after c7-3", "c7-2 came again"]);
    }

    #[test]
    fn numbers_in_order_take_one_run() {
        let mut sequences = Sequences::default();
        for number in 0..1000 {
            sequences.note("+60", format!("c1-{number:06}").as_bytes());
        }
        assert_eq!(sequences.contacts["+60 c1"].runs.len(), 1);
        assert_eq!(sequences.stats().missing, 0);
    }
}
