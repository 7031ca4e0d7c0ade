//! What is remembered and what waits, across restarts.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Setup, Town, among_others, say, until};

const CONTACT: &str = "+60123456789";

fn town() -> Town {
    Setup { mapping: Some("memory"), ..Setup::default() }.start()
}

fn piece(town: &Town, id: &str, key: &str, index: u32, text: &str) {
    let body =
        json!({"event": "message", "id": id, "from": CONTACT, "text": text, "key": key, "index": index});
    assert_eq!(town.webhook(&body), 200);
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

fn texts(town: &Town, containing: &str) -> Vec<Value> {
    town.platform.received(containing)
}

#[test]
fn pieces_are_put_together_across_a_restart_and_released_when_one_is_missing() {
    let _turn = among_others();
    let mut town = town();
    piece(&town, "k3", "k", 3, "and an end");
    piece(&town, "k1", "k", 1, "a beginning, ");
    piece(&town, "l2", "l", 2, "only a middle, ");
    town.gateway.terminate();
    assert!(town.gateway.ended(20).success());
    town.gateway.start();
    assert!(texts(&town, "beginning").is_empty(), "nothing goes before it is whole");
    piece(&town, "k2", "k", 2, "a middle ");
    let whole = town.platform.first("a beginning, a middle and an end");
    say(format!("three pieces around a restart are one message: {}", whole["json"]["events"][0]["mId"]));
    let released = town.platform.first("only a middle,");
    say(format!("what waits for nothing is released: {}", released["json"]["events"][0]["mId"]));
    piece(&town, "k2", "k", 2, "a middle ");
    piece(&town, "m", "", 0, "the end");
    town.platform.first("the end");
    assert_eq!(texts(&town, "a middle ").len(), 1, "a redelivered piece is recognised");
}

#[test]
fn what_is_remembered_survives_a_restart() {
    let _turn = among_others();
    let mut town = town();
    piece(&town, "q1", "", 0, "a question");
    town.platform.first("a question");
    town.gateway.terminate();
    assert!(town.gateway.ended(20).success());
    town.gateway.start();
    town.send(CONTACT, "an answer");
    let sent = town.provider.first("an answer");
    say(format!("answers {}", sent["json"]["answers"]));
    assert_eq!(sent["json"]["answers"], "q1");
}

#[test]
fn our_own_echo_is_dropped_and_another_comes_after_its_delay_also_across_a_restart() {
    let _turn = among_others();
    let mut town = town();
    town.provider.script(&json!([{"json": {"id": "p1", "status": "queued"}, "delay": 0.5}]));
    town.send(CONTACT, "from us");
    let began = std::time::Instant::now();
    for (id, text) in [("p1", "from us"), ("e1", "from the phone")] {
        assert_eq!(town.webhook(&json!({"event": "echo", "id": id, "to": CONTACT, "text": text})), 200);
    }
    town.gateway.terminate();
    assert!(town.gateway.ended(20).success());
    town.gateway.start();
    town.platform.first("from the phone");
    say(format!("the other echo after {:.1} s", began.elapsed().as_secs_f64()));
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert!(texts(&town, "from us").is_empty(), "{:?}", texts(&town, "from us"));
}

#[test]
fn everything_that_was_sent_up_to_a_moment_is_read() {
    let _turn = among_others();
    let town = town();
    let early = [town.send(CONTACT, "one"), town.send(CONTACT, "two")];
    town.provider.first("two");
    until("both are sent", 20, || (town.provider.count("/requests") >= 2).then_some(()));
    std::thread::sleep(Duration::from_millis(300));
    let moment = now();
    std::thread::sleep(Duration::from_millis(1500));
    let late = town.send(CONTACT, "three");
    town.provider.first("three");
    assert_eq!(town.webhook(&json!({"event": "seen", "from": CONTACT, "time": moment})), 200);
    for mid in &early {
        town.platform.status(mid, "read");
    }
    piece(&town, "x", "", 0, "the end");
    town.platform.first("the end");
    assert_eq!(town.platform.statuses(&late), [""; 0], "it was sent later");
    say("two are read, the third is not");
}
