//! What crossed the gateway: a message on one side joined to its arrival on the other.
//!
//! Outbound messages are joined by the gateway's id, which the sandbox's mapping passes on as `reference`;
//! inbound ones by contact and content in their order, since only the gateway knows both ids.

use std::collections::HashMap;

use serde::Serialize;

use crate::sandbox::platform::{Inbound, Sent};
use crate::sandbox::provider::{Said, Taken};
use crate::world::Millis;

/// One message on its way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Crossing {
    /// Unique on the page.
    pub key: String,
    /// Whether the agent wrote it.
    pub outbound: bool,
    /// The contact's address.
    pub contact: String,
    /// What it says.
    pub text: String,
    /// When it was written.
    pub at: Millis,
    /// Milliseconds until the gateway had accepted it.
    pub accepted: Option<Millis>,
    /// Milliseconds from then until it arrived on the other side.
    pub arrived: Option<Millis>,
    /// In how many parts it arrived, where that is more than one.
    pub parts: Option<usize>,
    /// Why the gateway did not accept it.
    pub error: Option<String>,
    /// The receipts that came back.
    pub receipts: Vec<Receipt>,
}

/// A receipt on its way back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Receipt {
    /// `sent`, `delivered`, `read` or `failed`.
    pub value: String,
    /// Milliseconds from the provider's receipt to the platform's status; from the acceptance, where the
    /// provider's is not known.
    pub after: Millis,
    /// Why it failed.
    pub reason: Option<String>,
}

/// What crossed, newest first.
pub fn crossings(sent: &[Sent], taken: &[Taken], said: &[Said], inbox: &[Inbound]) -> Vec<Crossing> {
    let mut all: Vec<_> = outbound(sent, taken).chain(inbound(said, inbox)).collect();
    all.sort_by_key(|crossing| std::cmp::Reverse(crossing.at));
    all
}

fn outbound(sent: &[Sent], taken: &[Taken]) -> impl Iterator<Item = Crossing> {
    let mut arrivals: HashMap<&str, Vec<&Taken>> = HashMap::new();
    for one in taken {
        if let Some(reference) = &one.reference {
            arrivals.entry(reference).or_default().push(one);
        }
    }
    sent.iter().filter(|sent| !sent.contact.is_empty()).map(move |sent| {
        let parts =
            sent.mid.as_deref().and_then(|mid| arrivals.get(mid)).map(Vec::as_slice).unwrap_or_default();
        let accepted = sent.accepted.unwrap_or(sent.at);
        let given = |value: &str| {
            let mut receipts = parts.iter().flat_map(|part| &part.receipts);
            receipts.find(|(known, _)| *known == value).map_or(accepted, |(_, at)| *at)
        };
        Crossing {
            key: format!("out-{}", sent.number),
            outbound: true,
            contact: sent.contact.clone(),
            text: sent.text.clone(),
            at: sent.at,
            accepted: sent.accepted.map(|accepted| accepted - sent.at),
            arrived: parts.first().map(|part| (part.at - accepted).max(0)),
            parts: (parts.len() > 1).then_some(parts.len()),
            error: sent.error.clone(),
            receipts: sent
                .statuses
                .iter()
                .map(|status| Receipt {
                    value: status.value.clone(),
                    after: (status.at - given(&status.value)).max(0),
                    reason: status.reason.clone(),
                })
                .collect(),
        }
    })
}

fn inbound(said: &[Said], inbox: &[Inbound]) -> impl Iterator<Item = Crossing> {
    let mut used = vec![false; inbox.len()];
    said.iter().map(move |said| {
        let fits = |one: &Inbound| {
            one.mid == said.id
                || (one.contact == said.contact && one.at >= said.at && same(&one.text, &said.text))
        };
        let place = inbox.iter().zip(&used).position(|(one, used)| !used && fits(one));
        if let Some(used) = place.and_then(|place| used.get_mut(place)) {
            *used = true;
        }
        let arrival = place.and_then(|place| inbox.get(place)).map(|one| one.at);
        let accepted = said.accepted.unwrap_or(said.at);
        Crossing {
            key: format!("in-{}", said.number),
            outbound: false,
            contact: said.contact.clone(),
            text: said.text.clone(),
            at: said.at,
            accepted: said.accepted.map(|accepted| accepted - said.at),
            arrived: arrival.map(|at| (at - accepted).max(0)),
            parts: None,
            error: said.error.clone(),
            receipts: Vec::new(),
        }
    })
}

/// Whether both describe the same; each side has its own word for the kind of an attachment.
fn same(arrived: &str, written: &str) -> bool {
    let words = |text: &str| {
        text.strip_prefix('[').and_then(|text| text.split_once(']')).map(|(_, rest)| rest.trim().to_owned())
    };
    match (words(arrived), words(written)) {
        (Some(arrived), Some(written)) => {
            arrived == written || arrived.split(' ').next() == written.split(' ').next()
        }
        _ => arrived == written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::platform::StatusAt;

    fn said(number: u64, at: Millis, text: &str) -> Said {
        let (id, contact) = (format!("sb-{number}"), "+60".to_owned());
        Said { number, id, contact, text: text.into(), at, accepted: Some(at + 2), error: None }
    }

    fn arrived(at: Millis, text: &str) -> Inbound {
        Inbound { mid: format!("m-{at}"), contact: "+60".into(), text: text.into(), echo: false, at }
    }

    #[test]
    fn an_outbound_message_is_joined_by_the_gateways_id() {
        let sent = Sent {
            number: 1,
            mid: Some("m-1".into()),
            contact: "+60".into(),
            text: "hi".into(),
            at: 100,
            accepted: Some(103),
            error: None,
            statuses: vec![StatusAt { value: "delivered".into(), at: 160, reason: None }],
        };
        let taken = Taken {
            id: "sb-1".into(),
            reference: Some("m-1".into()),
            contact: "+60".into(),
            text: "hi".into(),
            at: 110,
            receipts: vec![("delivered", 150)],
        };
        let all = crossings(&[sent], &[taken], &[], &[]);
        assert_eq!((all[0].accepted, all[0].arrived), (Some(3), Some(7)));
        assert_eq!((all[0].receipts[0].value.as_str(), all[0].receipts[0].after), ("delivered", 10));
    }

    #[test]
    fn equal_inbound_texts_are_joined_in_their_order() {
        let all = crossings(
            &[],
            &[],
            &[said(1, 100, "hi"), said(2, 200, "hi")],
            &[arrived(110, "hi"), arrived(230, "hi")],
        );
        let found: Vec<_> = all.iter().map(|one| (one.key.as_str(), one.arrived)).collect();
        assert_eq!(found, [("in-2", Some(28)), ("in-1", Some(8))]);
    }

    #[test]
    fn a_picture_is_the_same_by_whatever_word() {
        assert!(same("[image] https://a/b.png", "[media] https://a/b.png look"));
        assert!(!same("[image] https://a/b.png", "[media] https://a/c.png"));
        assert!(!same("hi", "ho"));
    }
}
