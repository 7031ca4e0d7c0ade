//! Many channels on one gateway: a provider that hangs holds up its own messages only.

use std::fmt::Write as _;
use std::time::Instant;

use serde_json::json;

use crate::support::{Folder, Gateway, Platform, Provider, TOKEN, alone, say, until};

const NEIGHBOURS: usize = 200;
const EACH: usize = 2;

#[test]
fn a_provider_that_hangs_delays_no_other() {
    let _turn = alone();
    let (folder, other) = (Folder::new(), Folder::new());
    let ids: Vec<String> = (0..=NEIGHBOURS).map(|n| format!("ch-{n}:{TOKEN}")).collect();
    let platform = Platform::start(&ids.iter().map(String::as_str).collect::<Vec<_>>(), 0, &folder);
    let mut gateway = Gateway::new(&folder);
    let provider = Provider::start(&format!("{}/unused", gateway.url), &folder);
    let dead = Provider::start(&format!("{}/unused", gateway.url), &other);
    dead.script(&json!({"default": {"delay": 60, "json": {"id": "{{id}}", "status": "queued"}}}));

    let mut installation = format!(
        "store: sqlite:patchcord.db\nmappings: [{}/src/sandbox/stand_in.yaml]\nnetwork: {{allow_private: true}}\n\
         platform: {{webhook_url: \"{}\"}}\nserver: {{drain: 1s}}\nchannels:\n",
        env!("CARGO_MANIFEST_DIR"),
        platform.webhook_url(),
    );
    for n in 0..=NEIGHBOURS {
        let url = if n == 0 { &dead.url } else { &provider.url };
        let _ = writeln!(
            installation,
            "  c{n}: {{mapping: stand_in, platform: {{channel_id: ch-{n}, token: {{env: TOKEN}}}}, \
             limits: {{rate: 100/s, in_flight: 256}}, \
             config: {{url: \"{url}\", token: {{env: KEY}}, secret: {{env: SECRET}}, sender: \"+60{n}\"}}}}"
        );
    }
    gateway.configure(&installation, &[("TOKEN", TOKEN), ("KEY", "sandbox-key"), ("SECRET", "s")]);
    gateway.start();

    // A backlog of more than its lane holds in memory, and as many requests that hang as it may have.
    let burst = json!({"contacts": 1500, "each": 1, "at_once": 16});
    let body = json!({"base_url": gateway.base_url("c0"), "token": TOKEN, "burst": burst});
    assert_eq!(platform.post("broadcast", &body).json()["accepted"], 1500);
    until("its requests hang", 20, || (dead.received("").len() >= 256).then_some(()));

    let began = Instant::now();
    for n in 1..=NEIGHBOURS {
        for turn in 0..EACH {
            platform.send(
                &gateway.base_url(&format!("c{n}")),
                TOKEN,
                &format!("+6012{n:05}"),
                &format!("t{turn}"),
            );
        }
    }
    let accepted = began.elapsed();
    let then = Instant::now();
    until("the neighbours' messages arrive", 20, || {
        (provider.received("").len() == NEIGHBOURS * EACH).then_some(())
    });
    let late = then.elapsed();
    say(format!(
        "256 requests hang and 1244 messages wait behind them: {} messages of {NEIGHBOURS} other channels were accepted \
         in {:.2} s, and all had arrived {:.3} s later",
        NEIGHBOURS * EACH,
        accepted.as_secs_f64(),
        late.as_secs_f64(),
    ));
    assert!(late.as_secs_f64() < 2.0, "{late:?} after the last was accepted");
}
