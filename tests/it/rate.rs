//! Twenty requests in any sliding second, by the clock of the one who receives them.

use serde_json::{Value, json};

use crate::support::{CHANNEL, Setup, TOKEN, Town, alone, say, until};

/// Contacts of a burst, and texts of each.
const CONTACTS: u64 = 20;
const EACH: u64 = 10;
const TEXTS: u64 = CONTACTS * EACH;

/// A burst of 200 texts, handed over at once.
fn burst() -> Value {
    json!({"contacts": CONTACTS, "each": EACH, "at_once": 64})
}

/// Checks what the receiver of a burst measured, and prints it.
fn check(direction: &str, report: &Value, lane: &Value, order: &Value) {
    let per_second = lane["per_second"].as_f64().unwrap();
    let seconds = f64::from(u32::try_from(TEXTS).unwrap() - 1) / per_second;
    let ideal = f64::from(u32::try_from(TEXTS).unwrap() - 1) / 20.0;
    say(format!(
        "{direction}: {TEXTS} accepted in {:.2} s (slowest answer {:.0} ms), left in {seconds:.3} s (ideal {ideal:.2}, {:+.2} %), \
         most in any second {}, out of order {}, repeats {}, missing {}",
        report["seconds"].as_f64().unwrap(),
        report["slowest_ms"].as_f64().unwrap(),
        (seconds / ideal - 1.0) * 100.0,
        lane["max_in_any_second"],
        order["out_of_order"],
        order["repeats"],
        order["missing"],
    ));
    assert_eq!((&report["accepted"], &report["lost"]), (&json!(TEXTS), &json!(0)), "{report}");
    assert_eq!(lane["requests"], TEXTS);
    assert!(lane["max_in_any_second"].as_u64().unwrap() <= 20);
    assert!(seconds <= ideal * 1.03, "{seconds} s is more than 3 % over {ideal} s");
    for fault in ["out_of_order", "repeats", "missing", "not_followed"] {
        assert_eq!(order[fault], 0, "{order}");
    }
    assert_eq!((&order["distinct"], &order["contacts"]), (&json!(TEXTS), &json!(CONTACTS)));
}

#[test]
fn two_hundred_messages_leave_at_twenty_a_second_in_each_direction() {
    let _turn = alone();
    let town = Setup::default().start();
    // No receipts, so that nothing but the burst goes to the platform.
    town.provider.script(&json!({"answers": [], "default": {"json": {"id": "{{id}}", "status": "queued"}}}));
    let out = || {
        let body = json!({"base_url": town.base_url(), "token": TOKEN, "burst": burst()});
        town.platform.post("broadcast", &body).json()
    };
    let (handed_out, handed_in) = std::thread::scope(|scope| {
        let out = scope.spawn(out);
        let into = scope.spawn(|| town.provider.post("flood", &json!({"burst": burst()})).json());
        (out.join().unwrap(), into.join().unwrap())
    });
    until("all texts arrive", 30, || {
        let count =
            |which: &Town| (which.provider.count("/order/texts"), which.platform.count("/order/texts"));
        (count(&town) == (TEXTS, TEXTS)).then_some(())
    });
    let (provider, platform) = (town.provider.stats(), town.platform.stats());
    check("to the provider", &handed_out, &provider["by_path"]["/messages"], &provider["order"]);
    check("to the platform", &handed_in, &platform["channels"]["ch-1"], &platform["order"]);
    assert_eq!(platform["channels"]["ch-1"]["limited"], 0, "the platform never had to say 429");
    let lines = crate::support::http::get(&format!("{}/metrics", town.gateway.url)).text();
    let sent = format!("patchcord_lane_sent_total{{channel=\"{CHANNEL}\",direction=\"outbound\"}} {TEXTS}");
    assert!(lines.contains(&sent), "{lines}");
}
