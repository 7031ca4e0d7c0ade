//! Messages of several parts, and what becomes of messages: receipts, refusals, opt-outs.

use serde_json::{Value, json};

use crate::support::{Setup, TOKEN, Town, among_others, say, until};

const CONTACT: &str = "+60123456789";

/// A receipt as the provider posts it.
fn receipt(town: &Town, id: &str, status: &str) {
    let time = 1_767_323_045_000_u64;
    let body = match status {
        "failed" => json!({"event": "receipt", "id": id, "status": status, "time": time,
            "error": {"code": "handset_off", "message": "The phone was off."}}),
        _ => json!({"event": "receipt", "id": id, "status": status, "time": time}),
    };
    assert_eq!(town.webhook(&body), 200);
}

/// What the platform knows of a message after everything that was accepted so far for its contact has arrived.
fn settled(town: &Town, mid: &str, marker: &str) -> Vec<String> {
    town.provider.say(CONTACT, marker);
    town.platform.first(marker);
    town.platform.statuses(mid)
}

/// Answers with these ids, in order.
fn answers(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({"json": {"id": id, "status": "queued"}})).collect()
}

#[test]
fn a_message_of_three_parts_is_delivered_when_all_of_them_are() {
    let _turn = among_others();
    let town = Setup::default().start();
    town.provider.script(&answers(&["p1", "p2", "p3"]));
    let text = ["a", "b", "c"].map(|letter| letter.repeat(900)).join(" ");
    let mid = town.send(CONTACT, &text);
    until("three parts leave", 20, || (town.provider.received(&mid).len() == 3).then_some(()));
    let sent: String = town
        .provider
        .received(&mid)
        .iter()
        .map(|one| one["json"]["text"].as_str().unwrap().to_owned())
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(sent, text, "the parts are the text");
    receipt(&town, "p1", "delivered");
    receipt(&town, "p3", "read");
    assert_eq!(settled(&town, &mid, "two of three"), [""; 0]);
    receipt(&town, "p2", "delivered");
    town.platform.status(&mid, "delivered");
    receipt(&town, "p1", "read");
    assert_eq!(settled(&town, &mid, "one is not read"), ["delivered"]);
    receipt(&town, "p2", "read");
    receipt(&town, "p2", "delivered");
    town.platform.status(&mid, "read");
    assert_eq!(settled(&town, &mid, "the end"), ["delivered", "read"]);
    say(
        "parts p1 p2 p3: delivered after the third `delivered`, read after the third `read`, never backwards",
    );
}

#[test]
fn one_failed_part_fails_the_message_for_good() {
    let _turn = among_others();
    let town = Setup::default().start();
    town.provider.script(&answers(&["p1", "p2"]));
    let mid = town.send(CONTACT, &["a", "b"].map(|letter| letter.repeat(900)).join(" "));
    until("two parts leave", 20, || (town.provider.received(&mid).len() == 2).then_some(()));
    receipt(&town, "p1", "delivered");
    receipt(&town, "p2", "failed");
    let reason = town.platform.status(&mid, "failed");
    receipt(&town, "p2", "delivered");
    receipt(&town, "p1", "read");
    assert_eq!(settled(&town, &mid, "the end"), ["failed"]);
    say(format!("statuses: failed only, with the reason `{reason}`"));
    assert_eq!(reason, "The phone was off. (handset_off)");
}

#[test]
fn every_request_of_a_message_has_a_place_in_the_rate() {
    let _turn = among_others();
    let town = Setup { limits: "{rate: 5/s}", ..Setup::default() }.start();
    let text = ["a", "b", "c"].map(|letter| letter.repeat(900)).join(" ");
    let mids: Vec<_> = (0..4).map(|contact| town.send(&format!("+6012345678{contact}"), &text)).collect();
    until("twelve requests leave", 20, || (town.provider.count("/messages") == 12).then_some(()));
    let (most, per_second) =
        (town.provider.count("/max_in_any_second"), town.provider.measure("/per_second"));
    for mid in &mids {
        town.platform.status(mid, "delivered");
    }
    say(format!(
        "4 messages of 3 parts at 5/s: most in any second {most}, {per_second:.2} a second, all 4 delivered"
    ));
    assert!(most <= 5 && per_second <= 5.0 && per_second > 4.8);
}

#[test]
fn a_part_that_was_sent_is_not_sent_again_when_the_next_one_fails_for_now() {
    let _turn = among_others();
    let town = Setup::default().start();
    town.provider.script(&json!([
        {"json": {"id": "p1", "status": "queued"}}, {"status": 500}, {"hangup": true}, {"json": {"id": "p2", "status": "queued"}},
    ]));
    let mid = town.send(CONTACT, &["a", "b"].map(|letter| letter.repeat(900)).join(" "));
    until("four requests leave", 20, || (town.provider.received(&mid).len() == 4).then_some(()));
    let texts: Vec<_> = town
        .provider
        .received(&mid)
        .iter()
        .map(|one| one["json"]["text"].as_str().unwrap()[..1].to_owned())
        .collect();
    assert_eq!(texts, ["a", "b", "b", "b"]);
    receipt(&town, "p1", "delivered");
    receipt(&town, "p2", "delivered");
    town.platform.status(&mid, "delivered");
    say(format!("parts on the wire: {texts:?}"));
}

#[test]
fn refusals_and_late_failures_reach_the_platform_with_the_provider_s_reason() {
    let _turn = among_others();
    let town = Setup::default().start();
    let unknown = town.send("+60120000000", "nobody there");
    let later = town.send("+60120000001", "fails later");
    let opted_out = town.send("+60120000002", "leave me alone");
    let silent = town.send("+60120000003", "no receipt");
    let reasons = [&unknown, &later, &opted_out].map(|mid| town.platform.status(mid, "failed"));
    say(format!("refused: {}; failed later: {}; opted out: {}", reasons[0], reasons[1], reasons[2]));
    assert_eq!(
        reasons,
        [
            "This number does not exist. (unknown_recipient)",
            "The phone was off for too long. (handset_off)",
            "This person asked for no more messages. (opted_out)",
        ]
    );
    assert_eq!(town.platform.statuses(&later), ["failed"]);
    assert_eq!(settled(&town, &silent, "the end"), [""; 0], "a 200 is no `delivered`");
    assert_eq!(town.provider.count("/requests"), 4, "what failed for good is tried once");
    assert_eq!(town.platform.stats()["verdicts"].get("refused"), None, "an opt-out is not posted");
}

#[test]
fn a_receipt_that_overtakes_the_response_waits_for_it() {
    let _turn = among_others();
    let town = Setup::default().start();
    town.provider.script(&json!({"json": {"id": "early", "status": "queued"}, "delay": 1.0}));
    let mid = town.send(CONTACT, "slow answer");
    town.provider.first("slow answer");
    receipt(&town, "early", "delivered");
    assert_eq!(settled(&town, &mid, "before the response"), [""; 0]);
    town.platform.status(&mid, "delivered");
    let receipts = town.platform.received(&mid);
    say(format!(
        "receipt accepted before the response, told after it: {} status, {:?}",
        receipts.len(),
        town.platform.statuses(&mid)
    ));
    assert_eq!(receipts.len(), 1);
}

#[test]
fn what_can_never_be_sent_is_refused_at_once() {
    let _turn = among_others();
    let town = Setup::default().start();
    let message = json!({"type": "quick_reply", "title": "?", "replies": []});
    let answer = town.platform.hand(&town.base_url(), TOKEN, CONTACT, &message);
    let data =
        json!({"type": "attachment", "attachment": {"type": "image", "url": "data:image/png;base64,AA=="}});
    let refused = town.platform.hand(&town.base_url(), TOKEN, CONTACT, &data);
    say(format!("a question without answers: {answer}; a data URL: {refused}"));
    assert_eq!(refused["error"]["status"], 400);
    assert!(answer["mId"].is_string(), "a question without answers is a text");
    assert_eq!(town.provider.first("reference")["json"]["text"], "?");
}
