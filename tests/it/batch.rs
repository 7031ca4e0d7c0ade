//! A backlog of events, of which several go to the platform in one request.

use serde_json::{Value, json};

use crate::support::{CHANNEL, Setup, Town, alone, among_others, say, until};

/// 100 events of two contacts, handed over while the platform answers as scripted.
fn flood(town: &Town) {
    let burst = json!({"contacts": 2, "each": 50, "at_once": 8});
    let report = town.provider.post("flood", &json!({"burst": burst})).json();
    assert_eq!(report["accepted"], 100, "{report}");
}

/// How many events each request held that was answered so.
fn sizes(town: &Town, status: u64) -> Vec<usize> {
    let requests = town.platform.received("");
    let answered = requests.iter().filter(|one| one["status"] == status);
    answered.map(|one| one["json"]["events"].as_array().unwrap().len()).collect()
}

fn assert_metric(town: &Town, name: &str, value: u64) {
    let lines = crate::support::http::get(&format!("{}/metrics", town.gateway.url)).text();
    let line = format!("{name}{{channel=\"{CHANNEL}\",direction=\"inbound\"}} {value}");
    assert!(lines.contains(&line), "{line}\n{lines}");
}

/// In how many requests 100 events arrive after an outage that the platform answers as scripted, and how long that
/// takes from the first to the last of them, in seconds.
fn drained(batch: usize, outage: &Value) -> (usize, f64) {
    let town = Setup { platform_batch: batch, ..Setup::default() }.start();
    town.platform.script(outage);
    flood(&town);
    until("everything arrives", 40, || (town.platform.count("/order/distinct") == 100).then_some(()));
    let stats = town.platform.stats();
    for fault in ["out_of_order", "repeats", "missing", "not_followed"] {
        assert_eq!(stats["order"][fault], 0, "{stats}");
    }
    assert_eq!(stats["channels"]["ch-1"]["limited"], 0, "{stats}");
    assert!(stats["channels"]["ch-1"]["max_in_any_second"].as_u64().unwrap() <= 20, "{stats}");
    let sizes = sizes(&town, 200);
    assert_eq!(sizes.iter().sum::<usize>(), 100);
    assert!(sizes.iter().all(|size| *size <= batch), "{sizes:?}");
    until("it is written down", 10, || {
        let lines = crate::support::http::get(&format!("{}/metrics", town.gateway.url)).text();
        lines.contains("patchcord_lane_depth{channel=\"support\",direction=\"inbound\"} 0").then_some(())
    });
    assert_metric(&town, "patchcord_lane_sent_total", 100);
    let requests = town.platform.received("");
    let at = |one: &Value| one["at"].as_f64().unwrap();
    let good: Vec<f64> = requests.iter().filter(|one| one["status"] == 200).map(at).collect();
    (good.len(), (good[good.len() - 1] - good[0]) / 1000.0)
}

#[test]
fn a_backlog_arrives_in_order_in_a_tenth_of_the_requests() {
    let _turn = alone();
    let (down, _) = drained(10, &json!([{"status": 503, "body": "down", "until": 4}]));
    let pause = json!([{"status": 503, "headers": {"retry-after": "3"}, "times": 1}]);
    let (many, slow) = drained(1, &pause);
    let (few, quick) = drained(10, &pause);
    say(format!(
        "100 events of 2 contacts at 20/s: {down} requests after 4 s of 503; after a pause of 3 s {many} requests and \
         {slow:.2} s one by one, {few} requests and {quick:.2} s ten at a time"
    ));
    // What was tried in vain goes alone, one of each contact.
    assert!((10..=16).contains(&down), "{down} requests");
    assert!(many == 100 && (10..=14).contains(&few), "{few} requests");
    assert!(quick < slow / 5.0);
}

#[test]
fn of_events_that_are_refused_together_exactly_the_one_to_blame_fails() {
    let _turn = among_others();
    let town = Setup { platform_batch: 10, ..Setup::default() }.start();
    town.platform.script(&json!([
        {"status": 503, "body": "down", "until": 4},
        {"contains": "c0-000023", "status": 400, "body": "I can't digest that", "from": 0},
    ]));
    flood(&town);
    until("all others arrive", 40, || (town.platform.count("/order/distinct") == 99).then_some(()));
    let order = town.platform.stats()["order"].clone();
    for (fault, count) in [("out_of_order", 0), ("repeats", 0), ("missing", 1)] {
        assert_eq!(order[fault], count, "{order}");
    }
    let refused = sizes(&town, 400);
    say(format!("one of 100 events is refused: {} requests, refused were {refused:?}; {order}", {
        sizes(&town, 200).len() + refused.len()
    }));
    // Once with others, and once alone.
    assert_eq!(refused.len(), 2);
    assert!(refused[0] > 1 && refused[1] == 1, "{refused:?}");
    until("it is written down", 10, || {
        let lines = crate::support::http::get(&format!("{}/metrics", town.gateway.url)).text();
        lines
            .contains("patchcord_lane_sent_total{channel=\"support\",direction=\"inbound\"} 99")
            .then_some(())
    });
    assert_metric(&town, "patchcord_lane_failed_total", 1);
}
