//! `kill -9` twenty times in the middle of traffic in both directions: nothing that was accepted is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Setup, TOKEN, Town, alone, say, until};

const KILLS: u64 = 20;
const CONTACTS: u64 = 24;
/// Texts of each contact that are handed over in one go.
const EACH: u64 = 4;

/// Hands over bursts until told to stop; texts that nobody answered are handed over again. Gives how many texts were
/// accepted, all of them in the end.
fn traffic(stop: &AtomicBool, hand: impl Fn(Value) -> Value) -> u64 {
    let mut first = 0;
    while !stop.load(Ordering::Relaxed) {
        let burst = json!({"contacts": CONTACTS, "each": EACH, "first": first, "at_once": 12, "insist": 30});
        let report = hand(burst);
        assert_eq!((&report["lost"], &report["accepted"]), (&json!(0), &json!(CONTACTS * EACH)), "{report}");
        first += EACH;
    }
    first * CONTACTS
}

/// Kills the gateway again and again, each time a little later after it is ready.
fn kills(town: &mut Town) -> Duration {
    let mut slowest = Duration::ZERO;
    for kill in 0..KILLS {
        sleep(Duration::from_millis(80 + (kill * 97) % 400));
        town.gateway.kill();
        let began = Instant::now();
        town.gateway.start();
        slowest = slowest.max(began.elapsed());
    }
    slowest
}

#[test]
fn twenty_kills_lose_nothing_that_was_accepted_and_keep_the_order() {
    let _turn = alone();
    let began = Instant::now();
    let setup = Setup {
        limits: "{rate: unlimited, in_flight: 16}",
        platform_rate: "unlimited",
        platform_limit: 0,
        ..Setup::default()
    };
    let mut town = setup.start();
    let (provider, platform) = (town.provider.url.clone(), town.platform.url.clone());
    let base_url = town.base_url();
    let stop = AtomicBool::new(false);
    let post = |url: String, body: Value| crate::support::http::post_json(&url, &[], &body).json();
    let (inbound, outbound, slowest) = std::thread::scope(|scope| {
        let inbound = scope.spawn(|| {
            traffic(&stop, |burst| post(format!("{provider}/_stand-in/flood"), json!({"burst": burst})))
        });
        let outbound = scope.spawn(|| {
            let broadcast = |burst| json!({"base_url": base_url, "token": TOKEN, "burst": burst});
            traffic(&stop, |burst| post(format!("{platform}/_stand-in/broadcast"), broadcast(burst)))
        });
        let slowest = kills(&mut town);
        stop.store(true, Ordering::Relaxed);
        (inbound.join().unwrap(), outbound.join().unwrap(), slowest)
    });
    let traffic = began.elapsed();

    until("all texts arrive at both ends, and all receipts", 40, || {
        let arrived = town.platform.count("/order/distinct") == inbound
            && town.provider.count("/order/distinct") == outbound;
        (arrived && unread(&town) == 0).then_some(())
    });
    say(format!(
        "{KILLS} kills within {:.1} s of traffic (slowest start {:.2} s), all arrived after {:.1} s",
        traffic.as_secs_f64(),
        slowest.as_secs_f64(),
        began.elapsed().as_secs_f64()
    ));
    check_platform(&town, inbound);
    check_provider(&town, outbound);
}

/// Accepted messages whose receipts have not all come back.
fn unread(town: &Town) -> usize {
    let is_read = |sent: &&Value| {
        sent["statuses"].as_array().is_some_and(|all| all.iter().any(|one| one["value"] == "read"))
    };
    let sent = town.platform.all_sent();
    let accepted = sent.iter().filter(|sent| sent.get("accepted").is_some());
    accepted.filter(|sent| !is_read(sent)).count()
}

fn check_platform(town: &Town, inbound: u64) {
    let stats = town.platform.stats();
    let order = &stats["order"];
    say(format!(
        "to the platform: {inbound} accepted, {} arrived, missing {}, out of order {}; {} came twice with the same mId \
         (the crash fell between its 200 and our record), with other content {}",
        order["distinct"],
        order["missing"],
        order["out_of_order"],
        stats["duplicates"],
        stats["conflicting_duplicates"]
    ));
    say(format!("statuses: {}", stats["sent"]));
    assert_eq!((&order["missing"], &order["out_of_order"]), (&json!(0), &json!(0)), "{order}");
    assert_eq!(
        (&order["distinct"], &order["texts"]),
        (&json!(inbound), &json!(inbound)),
        "each id is one message"
    );
    assert_eq!(stats["conflicting_duplicates"], 0);
    assert_eq!(stats["verdicts"].get("refused"), None, "{}", stats["verdicts"]);
    assert_eq!(stats["sent"]["backward_statuses"], 0);
    assert_eq!(stats["sent"]["repeated_ids"], 0);
    let bound = KILLS * 32;
    assert!(
        stats["duplicates"].as_u64().unwrap() <= bound,
        "more than what can be in flight at {KILLS} kills"
    );
}

fn check_provider(town: &Town, outbound: u64) {
    let stats = town.provider.stats();
    let order = &stats["order"];
    // Which of our ids each text came under, and how often.
    let mut texts: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
    for request in town.provider.received("reference") {
        let field = |name: &str| request["json"][name].as_str().unwrap_or_default().to_owned();
        *texts.entry(field("text")).or_default().entry(field("reference")).or_default() += 1;
    }
    let crashed: u64 = texts.values().flat_map(BTreeMap::values).map(|times| times - 1).sum();
    let handed_again: u64 = texts.values().map(|ids| ids.len() as u64 - 1).sum();
    say(format!(
        "to the provider: {outbound} accepted, {} arrived, missing {}, out of order {}; {crashed} came twice under one mId (the \
         crash fell between its 200 and our record), {handed_again} under two (the platform never saw our 200 and handed it over again)",
        order["distinct"], order["missing"], order["out_of_order"]
    ));
    assert_eq!((&order["missing"], &order["out_of_order"]), (&json!(0), &json!(0)), "{order}");
    assert_eq!(order["distinct"], outbound);
    assert_eq!(order["repeats"], crashed + handed_again, "every repeat is explained");
    assert!(crashed <= KILLS * 16, "more than what can be in flight at {KILLS} kills");
    let accepted: BTreeSet<_> =
        town.platform.all_sent().iter().filter_map(|sent| sent["mId"].as_str().map(str::to_owned)).collect();
    let arrived: BTreeSet<_> = texts.values().flat_map(BTreeMap::keys).cloned().collect();
    let lost: Vec<_> = accepted.difference(&arrived).collect();
    assert!(lost.is_empty(), "accepted and never sent: {lost:?}");
    assert_eq!(stats["receipts"]["given_up"], 0);
}
