//! Several channels of one account at the provider.

use std::fmt::Write as _;
use std::time::Instant;

use serde_json::json;

use crate::support::{Folder, Gateway, Platform, Provider, TOKEN, alone, say, until};

const EACH: u64 = 25;

#[test]
fn channels_of_one_account_share_its_rate() {
    let _turn = alone();
    let (folder, other) = (Folder::new(), Folder::new());
    let platform = Platform::start(
        &["a", "b", "c"].map(|id| format!("{id}:{TOKEN}")).each_ref().map(String::as_str),
        0,
        &folder,
    );
    let mut gateway = Gateway::new(&folder);
    let shared = Provider::start(&format!("{}/unused", gateway.url), &folder);
    let own = Provider::start(&format!("{}/unused", gateway.url), &other);
    let mut installation = format!(
        "store: sqlite:patchcord.db\nmappings: [{}/tests/it/credential.yaml]\nnetwork: {{allow_private: true}}\n\
         platform: {{webhook_url: \"{}\"}}\nchannels:\n",
        env!("CARGO_MANIFEST_DIR"),
        platform.webhook_url(),
    );
    for (channel, account, url) in
        [("a", "ONE", &shared.url), ("b", "ONE", &shared.url), ("c", "TWO", &own.url)]
    {
        let _ = writeln!(
            installation,
            "  {channel}: {{mapping: credential, platform: {{channel_id: {channel}, token: {{env: TOKEN}}}}, \
             config: {{url: \"{url}\", account: {{env: {account}}}}}}}"
        );
    }
    gateway.configure(&installation, &[("TOKEN", TOKEN), ("ONE", "account-1"), ("TWO", "account-2")]);
    gateway.start();
    let began = Instant::now();
    for channel in ["a", "b", "c"] {
        let burst = json!({"contacts": EACH, "each": 1, "at_once": 8});
        let body = json!({"base_url": gateway.base_url(channel), "token": TOKEN, "burst": burst});
        assert_eq!(platform.post("broadcast", &body).json()["accepted"], EACH);
    }
    let done = |provider: &Provider, count| {
        until("all leave", 30, || {
            (provider.count("/requests") >= count).then(|| began.elapsed().as_secs_f64())
        })
    };
    let (alone, both) = (done(&own, EACH), done(&shared, 2 * EACH));
    let most = |provider: &Provider| provider.count("/max_in_any_second");
    say(format!(
        "{EACH} messages of one channel leave in {alone:.2} s, {} of two with one credential in {both:.2} s; most in any \
         second {} and {}",
        2 * EACH,
        most(&own),
        most(&shared)
    ));
    assert!(most(&own) <= 10 && most(&shared) <= 10);
    // 49 spaces of a tenth of a second, and what starting takes.
    assert!(both > 4.8 && both < 7.0, "{both}");
}
