//! `kill -9` hundreds of times in the middle of traffic in both directions, at random moments: under load, right after
//! the start, during the drain, during a purge. Nothing that was accepted is lost, the order is kept, no second holds
//! more requests than the rate allows.
//!
//! `PATCHCORD_KILLS` sets how many kills (150 unless set); `PATCHCORD_SEED` repeats their moments.

mod disk;
mod power;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub use self::disk::Dice;
use self::disk::Disk;
pub use self::power::{number, seed};
use crate::support::{Database, Setup, TOKEN, Town, alone, say, until};

/// Kills of one town; more take another, since a stand-in keeps only so many requests.
const ROUND: u64 = 50;
const CONTACTS: u64 = 24;
/// Texts of each contact that are handed over in one go.
const EACH: u64 = 4;
/// For how many seconds a text is handed over again: more than the 30 after which a stand-in gives up one request, since
/// one that met a kill may stay without an answer and without an end.
const INSISTENCE: u64 = 60;
/// Between two bursts.
const BREATH: Duration = Duration::from_millis(100);

/// What a kill does to the disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cuts {
    /// Nothing: what was written is there.
    Process,
    /// The power goes with the process: what was not synced may be lost.
    Power,
    /// Nothing, since it is another's: everything is in PostgreSQL, whose connections are cut, held up and refused meanwhile.
    Database,
}

/// Hands over bursts until told to stop; texts that nobody answered are handed over again. Gives how many texts were
/// accepted, all of them in the end, and how many seconds the slowest answer took, or what came instead of one.
fn traffic(stop: &AtomicBool, hand: impl Fn(Value) -> Value) -> (u64, f64) {
    let (mut first, mut slowest) = (0, 0.0_f64);
    while !stop.load(Ordering::Relaxed) {
        let burst =
            json!({"contacts": CONTACTS, "each": EACH, "first": first, "at_once": 12, "insist": INSISTENCE});
        let report = hand(burst);
        assert_eq!((&report["lost"], &report["accepted"]), (&json!(0), &json!(CONTACTS * EACH)), "{report}");
        slowest = slowest.max(report["slowest_ms"].as_f64().unwrap_or_default() / 1000.0);
        first += EACH;
        sleep(BREATH);
    }
    (first * CONTACTS, slowest)
}

/// Starts the gateway, on the modelled disk if there is one; ready or not.
fn launch(town: &mut Town, disk: Option<&Disk>) {
    let mut command = town.gateway.command();
    if let Some(disk) = disk {
        disk.under(&mut command, false);
    }
    town.gateway.launch(command);
}

/// Kills the gateway again and again at moments that the dice choose; how many of each kind, and the slowest start.
fn kills(
    town: &mut Town,
    kills: u64,
    dice: &mut Dice,
    mut disk: Option<&mut Disk>,
    database: Option<&Database>,
) -> (BTreeMap<&'static str, u64>, Duration) {
    let (mut kinds, mut slowest) = (BTreeMap::new(), Duration::ZERO);
    let first = Instant::now();
    for _ in 0..kills {
        let began = Instant::now();
        // The provider gives a receipt up that was refused for a minute.
        if database.is_some() && first.elapsed() > Duration::from_secs(45) {
            break;
        }
        let pause = |dice: &mut Dice, most| sleep(Duration::from_millis(dice.below(most)));
        let kind = match dice.below(10) {
            0 => {
                pause(dice, 60);
                "right after the start"
            }
            chosen => {
                town.gateway.ready();
                slowest = slowest.max(began.elapsed());
                match chosen {
                    1 => {
                        pause(dice, 200);
                        town.gateway.terminate();
                        pause(dice, 80);
                        "during the drain"
                    }
                    2 => {
                        // The first purge comes one second after the start.
                        sleep(Duration::from_millis(980));
                        pause(dice, 60);
                        "about the purge"
                    }
                    _ => {
                        pause(dice, 350);
                        if let Some(database) = database {
                            *kinds.entry(database.trouble(dice)).or_default() += 1;
                            pause(dice, 1000);
                        }
                        "under load"
                    }
                }
            }
        };
        town.gateway.kill();
        *kinds.entry(kind).or_default() += 1;
        if let Some(disk) = disk.as_deref_mut() {
            *kinds.entry("unsynced sectors lost").or_default() += disk.cut(dice) as u64;
        }
        launch(town, disk.as_deref());
    }
    town.gateway.ready();
    (kinds, slowest)
}

/// Traffic in both directions and so many kills, then everything is counted.
pub fn trial(what: &str, all: u64, cuts: Cuts) {
    let _turn = alone();
    let seed = seed();
    let mut left = all;
    while left > 0 {
        let count = left.min(ROUND);
        left -= count;
        let mut dice = Dice(seed.wrapping_add(left));
        round(what, count, cuts, &mut dice, seed);
    }
}

fn round(what: &str, count: u64, cuts: Cuts, dice: &mut Dice, seed: u64) {
    let began = Instant::now();
    let folder = crate::support::Folder::new();
    let mut disk = (cuts == Cuts::Power).then(|| Disk::new(&folder.path("")));
    let database = (cuts == Cuts::Database).then(|| Database::new().unwrap());
    let store = match (&disk, &database) {
        (Some(disk), _) => Some(format!("sqlite:{}", disk.root.join("data/patchcord.db").display())),
        (None, Some(database)) => Some(database.address()),
        (None, None) => None,
    };
    let setup = Setup {
        limits: "{rate: unlimited, in_flight: 16}",
        platform_rate: "unlimited",
        platform_limit: 0,
        keep: "1s",
        store,
        ..Setup::default()
    };
    let mut town = setup.prepare();
    let (provider, platform) = (town.provider.url.clone(), town.platform.url.clone());
    let base_url = town.base_url();
    launch(&mut town, disk.as_ref());
    let stop = AtomicBool::new(false);
    let post = |url: String, body: Value| crate::support::http::post_json(&url, &[], &body).json();
    let ((inbound, in_slowest), (outbound, out_slowest), (kinds, slowest)) = std::thread::scope(|scope| {
        let inbound = scope.spawn(|| {
            traffic(&stop, |burst| post(format!("{provider}/_stand-in/flood"), json!({"burst": burst})))
        });
        let outbound = scope.spawn(|| {
            let broadcast = |burst| json!({"base_url": base_url, "token": TOKEN, "burst": burst});
            traffic(&stop, |burst| post(format!("{platform}/_stand-in/broadcast"), broadcast(burst)))
        });
        let done = kills(&mut town, count, dice, disk.as_mut(), database.as_ref());
        stop.store(true, Ordering::Relaxed);
        (inbound.join().unwrap(), outbound.join().unwrap(), done)
    });
    let traffic = began.elapsed();
    let rest = || {
        let texts = [
            (&inbound, town.platform.count("/order/distinct")),
            (&outbound, town.provider.count("/order/distinct")),
        ];
        (texts, unread(&town), town.provider.stats()["receipts"].clone())
    };
    let all = |(texts, unread, _): &([(&u64, u64); 2], usize, Value)| {
        texts.iter().all(|(accepted, arrived)| *accepted == arrived) && *unread == 0
    };
    // A receipt that was refused again and again is sent again after a minute.
    let began_to_wait = Instant::now();
    while !all(&rest()) {
        let rest = rest();
        assert!(
            began_to_wait.elapsed() < Duration::from_secs(150),
            "accepted and arrived at both ends, unread, receipts: {rest:?}"
        );
        sleep(Duration::from_millis(50));
    }
    say(format!(
        "{what}: {count} within {:.1} s of traffic {kinds:?} (PATCHCORD_SEED={seed}, slowest start {:.2} s, \
         slowest answer {:.1} s), all arrived after {:.1} s",
        traffic.as_secs_f64(),
        slowest.as_secs_f64(),
        in_slowest.max(out_slowest),
        began.elapsed().as_secs_f64()
    ));
    check_platform(&town, inbound, count);
    check_provider(&town, outbound, count);
}

#[test]
fn hundreds_of_kills_lose_nothing_that_was_accepted_and_keep_the_order() {
    trial("kills", number("PATCHCORD_KILLS", 150), Cuts::Process);
}

#[test]
fn kills_and_troubles_with_the_database_lose_nothing_that_is_in_postgres() {
    if Database::server().is_some() {
        trial("kills on PostgreSQL", number("PATCHCORD_KILLS", 150) / 5, Cuts::Database);
    }
}

/// Messages of each contact in the trial of the rate.
const PACED: u64 = 200;

#[test]
fn the_rate_holds_in_every_second_across_kills() {
    let _turn = alone();
    let (seed, count) = (seed(), (number("PATCHCORD_KILLS", 150) / 15).max(1));
    let mut dice = Dice(seed);
    let mut town = Setup { limits: "{rate: 20/s}", ..Setup::default() }.start();
    town.provider.script(&json!({"answers": [], "default": {"json": {"id": "{{id}}", "status": "queued"}}}));
    let burst = json!({"contacts": 20, "each": PACED / 20, "at_once": 32, "insist": INSISTENCE});
    let out = json!({"base_url": town.base_url(), "token": TOKEN, "burst": burst});
    assert_eq!(town.platform.post("broadcast", &out).json()["accepted"], PACED);
    assert_eq!(town.provider.post("flood", &json!({"burst": burst})).json()["accepted"], PACED);
    for _ in 0..count {
        // One second is waited for after a start; then requests go.
        sleep(Duration::from_millis(900 + dice.below(900)));
        town.gateway.kill();
        town.gateway.start();
    }
    until("all texts arrive", 60, || {
        let arrived = |count: u64| (count == PACED).then_some(());
        arrived(town.provider.count("/order/distinct"))?;
        arrived(town.platform.count("/order/distinct"))
    });
    let (provider, platform) = (town.provider.stats(), town.platform.stats());
    let most = [&provider["by_path"]["/messages"], &platform["channels"]["ch-1"]]
        .map(|lane| lane["max_in_any_second"].as_u64().unwrap());
    say(format!(
        "{count} kills at 20/s (PATCHCORD_SEED={seed}): {PACED} each way arrived, most in any second {most:?}, repeats {} and {}",
        provider["order"]["repeats"], platform["order"]["repeats"]
    ));
    for stats in [&provider, &platform] {
        assert_eq!((&stats["order"]["missing"], &stats["order"]["out_of_order"]), (&json!(0), &json!(0)));
    }
    assert!(most.iter().all(|most| *most <= 20), "{most:?}");
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

fn check_platform(town: &Town, inbound: u64, kills: u64) {
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
    let bound = kills * 32;
    assert!(
        stats["duplicates"].as_u64().unwrap() <= bound,
        "more than what can be in flight at {kills} kills"
    );
}

fn check_provider(town: &Town, outbound: u64, kills: u64) {
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
    assert!(crashed <= kills * 16, "more than what can be in flight at {kills} kills");
    let accepted: BTreeSet<_> =
        town.platform.all_sent().iter().filter_map(|sent| sent["mId"].as_str().map(str::to_owned)).collect();
    let arrived: BTreeSet<_> = texts.values().flat_map(BTreeMap::keys).cloned().collect();
    let lost: Vec<_> = accepted.difference(&arrived).collect();
    assert!(lost.is_empty(), "accepted and never sent: {lost:?}");
    assert_eq!(stats["receipts"]["given_up"], 0);
}
