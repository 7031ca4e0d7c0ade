//! A broadcast, and customers who write meanwhile.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Setup, TOKEN, alone, say, until};

#[test]
fn replies_go_before_a_broadcast_and_after_what_their_contact_had_of_it() {
    let _turn = alone();
    let mut town = Setup::default().start();
    // Who wrote before a restart is in conversation after it.
    town.provider.say("+60199999991", "I wrote before");
    until("it arrives", 10, || (!town.platform.received("I wrote before").is_empty()).then_some(()));
    town.gateway.terminate();
    assert!(town.gateway.ended(20).success());
    town.gateway.start();
    let burst = json!({"contacts": 600, "each": 1, "at_once": 16});
    let body = json!({"base_url": town.base_url(), "token": TOKEN, "burst": burst});
    assert_eq!(town.platform.post("broadcast", &body).json()["accepted"], 600);
    // A part of the broadcast for somebody who is to get a reply.
    town.send("+60199999992", "news for all");
    town.provider.say("+60199999992", "and I write now");
    until("it arrives", 10, || (!town.platform.received("and I write now").is_empty()).then_some(()));
    let asked = Instant::now();
    town.send("+60199999991", "a reply to one");
    town.send("+60199999992", "a reply to the other");
    for reply in ["a reply to one", "a reply to the other"] {
        until(reply, 20, || (!town.provider.received(reply).is_empty()).then_some(()));
    }
    let took = asked.elapsed();
    let sent = town.provider.count("/requests");
    say(format!(
        "two replies leave {:.1} s after they came, when {sent} of 603 messages have left",
        took.as_secs_f64()
    ));
    assert!(took < Duration::from_secs(3) && sent < 300);
    let seen: Vec<String> = town
        .provider
        .received("")
        .iter()
        .filter_map(|it| Some(it["json"]["text"].as_str()?.to_owned()))
        .collect();
    let place = |text: &str| seen.iter().position(|it| it == text).unwrap();
    assert!(place("news for all") < place("a reply to the other"), "the order per contact is kept");
}
