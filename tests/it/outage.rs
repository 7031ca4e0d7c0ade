//! A provider that fails for a while, then asks for a pause, then works again.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Setup, TOKEN, among_others, say, until};

#[test]
fn after_an_outage_and_a_pause_everything_arrives_in_order() {
    let _turn = among_others();
    let outage = if std::env::var_os("PATCHCORD_TEST_LONG").is_some() { 20 } else { 6 };
    let town = Setup { limits: "{rate: 50/s}", ..Setup::default() }.start();
    town.provider.script(&json!({
        "answers": [
            {"status": 500, "body": "oops", "until": outage},
            {"status": 429, "headers": {"retry-after": "3"}, "json": {"error": {"code": "too_fast"}}, "from": outage, "times": 1},
        ],
        "default": {"json": {"id": "{{id}}", "status": "queued"}},
    }));
    let began = Instant::now();
    let burst = json!({"contacts": 8, "each": 5, "at_once": 8});
    let body = json!({"base_url": town.base_url(), "token": TOKEN, "burst": burst});
    let report = town.platform.post("broadcast", &body).json();
    assert_eq!(report["accepted"], 40, "{report}");
    until("everything arrives", outage + 20, || (town.provider.count("/order/distinct") == 40).then_some(()));
    let took = began.elapsed();

    let requests = town.provider.received("");
    let status = |one: &Value| one["status"].as_u64().unwrap();
    let at = |one: &Value| one["at"].as_u64().unwrap();
    let pause = requests.iter().find(|one| status(one) == 429).expect("a 429");
    let after: Vec<_> = requests.iter().filter(|one| at(one) > at(pause)).collect();
    let silence = Duration::from_millis(at(after[0]) - at(pause));
    let stats = town.provider.stats();
    let failed = requests.iter().filter(|one| status(one) == 500).count();
    say(format!(
        "{outage} s of 500 ({failed} requests), a 429 with Retry-After: 3, silence of {:.3} s, then 40 of 40 arrived \
         {:.1} s after the start; out of order {}, repeats {}, missing {}",
        silence.as_secs_f64(),
        took.as_secs_f64(),
        stats["order"]["out_of_order"],
        stats["order"]["repeats"],
        stats["order"]["missing"]
    ));
    assert!(silence >= Duration::from_secs(3), "a request came {silence:?} after the 429");
    assert!(silence < Duration::from_secs(5), "the lane went on too late: {silence:?}");
    assert!(after.iter().all(|one| status(one) == 200));
    for fault in ["out_of_order", "repeats", "missing"] {
        assert_eq!(stats["order"][fault], 0, "{}", stats["order"]);
    }
    assert!(failed >= 8, "every contact was tried");
    // One request per contact at a time: a contact whose message waits for its retry sends nothing else.
    assert!(failed < 8 * 8 * usize::try_from(outage).unwrap(), "{failed} requests are no back-off");
}

#[test]
fn a_pause_that_was_asked_for_survives_a_kill() {
    let _turn = among_others();
    let mut town = Setup::default().start();
    town.provider.script(&json!([{"status": 429, "headers": {"retry-after": "4"}}]));
    let mid = town.send("+60123456789", "after the pause");
    town.provider.first("after the pause");
    // The pause is written down right after the lane began to rest.
    until("the lane rests", 10, || {
        let metrics = crate::support::http::get(&format!("{}/metrics", town.gateway.url)).text();
        metrics.contains("patchcord_lane_paused{channel=\"support\",direction=\"outbound\"} 1").then_some(())
    });
    std::thread::sleep(Duration::from_millis(200));
    town.gateway.kill();
    town.gateway.start();
    until("the message leaves", 20, || (town.provider.received(&mid).len() == 2).then_some(()));
    let at: Vec<_> = town.provider.received(&mid).iter().map(|one| one["at"].as_u64().unwrap()).collect();
    say(format!("429 with Retry-After: 4, kill -9, start: {} ms of silence", at[1] - at[0]));
    assert!((4000..6000).contains(&(at[1] - at[0])));
}

#[test]
fn the_platform_s_pause_is_kept_too() {
    let _turn = among_others();
    let town = Setup { platform_rate: "50/s", platform_limit: 0, ..Setup::default() }.start();
    town.platform.script(&json!([
        {"status": 503, "headers": {"retry-after": "2"}, "times": 1},
        {"hangup": true, "taken": true, "times": 1},
    ]));
    let report =
        town.provider.post("flood", &json!({"burst": {"contacts": 5, "each": 4, "at_once": 5}})).json();
    assert_eq!(report["accepted"], 20, "{report}");
    until("everything arrives", 20, || (town.platform.count("/order/distinct") == 20).then_some(()));
    let stats = town.platform.stats();
    let requests = town.platform.received("");
    let at = |index: usize| requests[index]["at"].as_u64().unwrap();
    say(format!(
        "503 with Retry-After: 2, then {} ms of silence; a broken connection after taking: {} duplicate of the same mId; {}",
        at(1) - at(0),
        stats["duplicates"],
        stats["order"]
    ));
    assert!(at(1) - at(0) >= 2000);
    until("the message whose answer was lost comes again", 10, || {
        (town.platform.count("/duplicates") == 1).then_some(())
    });
    assert_eq!((&stats["order"]["out_of_order"], &stats["order"]["missing"]), (&json!(0), &json!(0)));
}

#[test]
fn an_outage_burns_no_attempts() {
    let _turn = among_others();
    let town = Setup {
        limits: "{rate: 50/s, in_flight: 4}",
        // Long enough that the first message is not given up before five contacts have failed, even on a slow machine.
        retry: "{first: 2s, max: 2s, attempts: 3, breaker: {failures: 5, pause: 500ms, max: 1s}}",
        ..Setup::default()
    }
    .start();
    town.provider.script(&json!({
        "answers": [{"status": 500, "body": "oops", "until": 6}],
        "default": {"json": {"id": "{{id}}", "status": "queued"}},
    }));
    let burst = json!({"contacts": 30, "each": 2, "at_once": 8});
    let body = json!({"base_url": town.base_url(), "token": TOKEN, "burst": burst});
    let report = town.platform.post("broadcast", &body).json();
    assert_eq!(report["accepted"], 60, "{report}");
    let is_open = |open: u8| {
        let metrics = crate::support::http::get(&format!("{}/metrics", town.gateway.url)).text();
        metrics
            .contains(&format!(
                "patchcord_lane_circuit_open{{channel=\"support\",direction=\"outbound\"}} {open}"
            ))
            .then_some(())
    };
    until("the lane pauses", 10, || is_open(1));
    until("everything arrives", 30, || (town.provider.count("/order/distinct") == 60).then_some(()));
    until("the lane goes on", 10, || is_open(0));
    let requests = town.provider.received("");
    let failed = requests.iter().filter(|one| one["status"] == 500).count();
    let order = &town.provider.stats()["order"];
    say(format!("6 s of 500, three attempts allowed: {failed} requests in vain, 60 of 60 arrived; {order}"));
    // Five until it opens, those under way then, and a probe a second.
    assert!((6..=18).contains(&failed), "{failed} requests in vain");
    for fault in ["out_of_order", "repeats", "missing"] {
        assert_eq!(order[fault], 0, "{order}");
    }
}
