//! The requests that a stand-in received: the newest in full, all of them counted.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::world::Millis;

/// How much a stand-in keeps of what it received; counts stay exact beyond it.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// Requests.
    pub requests: usize,
    /// Bytes of all kept bodies together.
    pub bytes: usize,
    /// Bytes of one body; the rest of a longer one is cut off.
    pub body: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self { requests: 20_000, bytes: 64 << 20, body: 64 << 10 }
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Taken.
    Accepted,
    /// All of it had been taken before; answered as accepted.
    Duplicate,
    /// Against the contract.
    Refused,
    /// Over the rate limit.
    Limited,
    /// A script gave the answer, and nothing was taken.
    Scripted,
    /// A script gave the answer (or none at all), but what came was taken.
    ScriptedAfterTaking,
}

/// One request as it came, and what became of it.
#[derive(Clone, Debug)]
pub struct Received {
    /// Counts from 1, in the order of arrival.
    pub number: u64,
    /// When the request arrived.
    pub at: Millis,
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub url: String,
    /// Headers in their order; names are lower case.
    pub headers: Vec<(String, String)>,
    /// The body, at most [`Keep::body`] bytes of it.
    pub body: Bytes,
    /// Bytes that the body had.
    pub size: usize,
    /// What became of it.
    pub verdict: Verdict,
    /// The status of the answer; 0 where none was given.
    pub status: u16,
    /// Why, where it was not accepted.
    pub reason: Option<String>,
}

impl Received {
    /// The first header of that name, which must be lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body, if it is JSON; null otherwise.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Serialize for Received {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("number", &self.number)?;
        map.serialize_entry("at", &self.at)?;
        map.serialize_entry("method", &self.method)?;
        map.serialize_entry("url", &self.url)?;
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in &self.headers {
            headers
                .entry(name)
                .and_modify(|known| {
                    known.push_str(", ");
                    known.push_str(value);
                })
                .or_insert_with(|| value.clone());
        }
        map.serialize_entry("headers", &headers)?;
        match serde_json::from_slice::<serde_json::Value>(&self.body) {
            Ok(json) => map.serialize_entry("json", &json)?,
            Err(_) => map.serialize_entry("body", &self.text())?,
        }
        if self.size > self.body.len() {
            map.serialize_entry("cut_from", &self.size)?;
        }
        map.serialize_entry("verdict", &self.verdict)?;
        map.serialize_entry("status", &self.status)?;
        if let Some(reason) = &self.reason {
            map.serialize_entry("reason", reason)?;
        }
        map.end()
    }
}

/// The newest requests.
#[derive(Debug, Default)]
pub struct Recording {
    keep: Keep,
    entries: VecDeque<Received>,
    bytes: usize,
    total: u64,
    verdicts: BTreeMap<Verdict, u64>,
    statuses: BTreeMap<u16, u64>,
}

impl Recording {
    /// Nothing received yet.
    pub fn new(keep: Keep) -> Self {
        Self { keep, ..Self::default() }
    }

    /// Keeps a request, which gets the next number.
    pub fn push(&mut self, mut received: Received) {
        self.total += 1;
        received.number = self.total;
        *self.verdicts.entry(received.verdict).or_default() += 1;
        *self.statuses.entry(received.status).or_default() += 1;
        // A copy, since a slice would keep the whole buffer of its connection alive.
        let kept = received.body.get(..self.keep.body).unwrap_or(&received.body);
        received.body = Bytes::copy_from_slice(kept);
        self.bytes += received.body.len();
        self.entries.push_back(received);
        while self.entries.len() > self.keep.requests || self.bytes > self.keep.bytes {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.bytes -= oldest.body.len();
        }
    }

    /// The kept requests, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Received> {
        self.entries.iter()
    }

    /// Requests received, kept or not.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Requests by what became of them.
    pub fn verdicts(&self) -> &BTreeMap<Verdict, u64> {
        &self.verdicts
    }

    /// Requests by the status of the answer.
    pub fn statuses(&self) -> &BTreeMap<u16, u64> {
        &self.statuses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(body: &str) -> Received {
        Received {
            number: 0,
            at: 1,
            method: "POST".into(),
            url: "/messages".into(),
            headers: vec![("accept".into(), "a".into()), ("accept".into(), "b".into())],
            body: Bytes::copy_from_slice(body.as_bytes()),
            size: body.len(),
            verdict: Verdict::Accepted,
            status: 200,
            reason: None,
        }
    }

    #[test]
    fn counts_stay_exact_when_requests_are_forgotten() {
        let mut recording = Recording::new(Keep { requests: 3, bytes: 8, body: 4 });
        for _ in 0..10 {
            recording.push(request("abcdef"));
        }
        let kept: Vec<_> = recording.iter().map(|one| (one.number, one.text())).collect();
        assert_eq!(kept, [(9, "abcd".to_owned()), (10, "abcd".to_owned())]);
        assert_eq!((recording.total(), recording.verdicts()[&Verdict::Accepted]), (10, 10));
    }

    #[test]
    fn a_request_reads_well_as_json() {
        let json = serde_json::to_value(request("{\"a\":1}")).unwrap();
        assert_eq!(json["json"]["a"], 1);
        assert_eq!(json["headers"]["accept"], "a, b");
        assert_eq!(serde_json::to_value(request("hi")).unwrap()["body"], "hi");
    }
}
