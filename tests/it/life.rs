//! What the gateway does of its own accord: polls, look-ups, actions, and the life of a channel.

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Api, Asked, Folder, Gateway, Platform, among_others, http, patchcord, say, until};

const TOKEN: &str = "support-token";
const KEY: &str = "key-of-the-provider";

/// A gateway with one channel of a mapping, between an API and a fake IS-Messenger.
struct Life {
    gateway: Gateway,
    platform: Platform,
    api: Api,
    _folder: Folder,
}

fn prepare(mapping: &str, answers: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Life {
    let folder = Folder::new();
    let mut gateway = Gateway::new(&folder);
    let platform = Platform::start(&[&format!("ch-1:{TOKEN}:custom")], 0, &folder);
    let api = Api::start(answers);
    let path = format!("{}/tests/fixtures/mappings/{mapping}.yaml", env!("CARGO_MANIFEST_DIR"));
    let installation = format!(
        "store: sqlite:patchcord.db\n\
         public_url: {}\n\
         mappings: [{path}]\n\
         network: {{allow_private: true}}\n\
         channels:\n  \
           support:\n    \
             mapping: {mapping}\n    \
             platform: {{webhook_url: \"{}\", channel_id: ch-1, token: {{env: TOKEN}}}}\n    \
             config: {{url: \"{}\", key: {{env: KEY}}}}\n    \
             retry: {{first: 200ms, max: 1s}}\n",
        gateway.url,
        platform.webhook_url(),
        api.url,
    );
    gateway.configure(&installation, &[("TOKEN", TOKEN), ("KEY", KEY)]);
    Life { gateway, platform, api, _folder: folder }
}

fn start(mapping: &str, answers: impl Fn(&Asked) -> (u16, Value) + Send + Sync + 'static) -> Life {
    let mut life = prepare(mapping, answers);
    life.gateway.start();
    life
}

impl Life {
    fn webhook(&self, body: &Value) -> u16 {
        let url = format!("{}/receive", self.gateway.base_url("support"));
        http::post_json(&url, &[("x-key", KEY)], body).status
    }

    fn act(&self, action: &str, token: &str, body: &Value) -> http::Answer {
        let url = format!("{}/actions/{action}", self.gateway.base_url("support"));
        http::post_json(&url, &[("authorization", &format!("Bearer {token}"))], body)
    }

    /// `patchcord` on the installation.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = patchcord();
        command.args(args).arg("--config").arg(self.gateway.config()).env("NO_COLOR", "1");
        command.env("TOKEN", TOKEN).env("KEY", KEY).output().unwrap()
    }
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

const ITEMS: usize = 60;
const PAGE: usize = 4;

/// A page of what came after the cursor in the query.
fn page(asked: &Asked) -> (u16, Value) {
    sleep(Duration::from_millis(40));
    let after = asked.path.split("after=").nth(1).map_or(0, |rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    });
    let end = (after + PAGE).min(ITEMS);
    let items: Vec<Value> = (after..end)
        .map(|n| json!({"kind": "text", "id": format!("m-{n}"), "from": format!("c{}", n % 5), "text": format!("item {n:03}")}))
        .collect();
    (200, json!({"ok": true, "next": end, "more": end < ITEMS, "items": items}))
}

#[test]
fn a_poll_goes_on_where_it_was_after_each_kill_and_loses_nothing() {
    let _turn = among_others();
    let mut life = start("polled", page);
    let mut kills = 0;
    for round in 0..4_u64 {
        let seen = life.api.asked("/news").len();
        until("a page is asked for", 20, || (life.api.asked("/news").len() > seen).then_some(()));
        sleep(Duration::from_millis(30 * round));
        life.gateway.kill();
        kills += 1;
        life.gateway.start();
    }
    let counts = until("all items arrive", 60, || {
        let mut counts: BTreeMap<String, (usize, String)> = BTreeMap::new();
        for received in life.platform.received("item ") {
            let event = &received["json"]["events"][0];
            let text = event["message"]["text"].as_str().unwrap().to_owned();
            let place = counts.entry(text).or_insert((0, event["mId"].as_str().unwrap().to_owned()));
            assert_eq!(place.1, event["mId"].as_str().unwrap(), "the same message, the same id");
            place.0 += 1;
        }
        (counts.len() == ITEMS).then_some(counts)
    });
    let twice = counts.values().filter(|(count, _)| *count > 1).count();
    let pages = life.api.asked("/news").len();
    say(format!(
        "{kills} kills, {ITEMS} items in {pages} pages, none lost, {twice} came twice with the same mId"
    ));
    // A crash between the platform's 200 and our record repeats what was under way, with the same id.
    assert!(twice <= kills * 20, "{counts:?}");
    let last = until("the poll goes on from the end", 20, || {
        life.api.asked(&format!("after={ITEMS}")).into_iter().next()
    });
    assert!(last.path.contains("folder=all"), "{last:?}");
}

#[test]
fn a_webhook_asks_for_a_poll_at_once_and_a_kill_does_not_forget_it() {
    let _turn = among_others();
    let down = Arc::new(AtomicBool::new(false));
    let broken = down.clone();
    let mut life = start("poked", move |asked| {
        if broken.load(Ordering::Relaxed) {
            return (503, json!({}));
        }
        let token = asked.json["token"].as_str().unwrap_or("none").to_owned();
        let items = json!([{"msgid": format!("m-{token}"), "user": "u-1", "text": {"content": format!("after {token}")}}]);
        (200, json!({"next_cursor": format!("c-{token}"), "has_more": 0, "msg_list": items}))
    });
    assert_eq!(life.webhook(&json!({"event": "receipt", "id": "x", "status": "read"})), 200);
    assert!(life.api.asked("/sync").is_empty(), "a poll without `every` waits to be asked for");
    let began = Instant::now();
    assert_eq!(life.webhook(&json!({"event": "news", "token": "t1"})), 200);
    life.platform.first("after t1");
    say(format!("{} ms from the webhook to the platform", began.elapsed().as_millis()));
    down.store(true, Ordering::Relaxed);
    assert_eq!(life.webhook(&json!({"event": "news", "token": "t2"})), 200);
    until("the poll fails", 20, || (life.api.asked("/sync").len() >= 3).then_some(()));
    life.gateway.kill();
    down.store(false, Ordering::Relaxed);
    life.gateway.start();
    life.platform.first("after t2");
    let asked = life.api.asked("/sync");
    assert_eq!(asked.last().unwrap().json["cursor"], "c-t1", "it goes on where it was");
    let count = asked.len();
    life.gateway.terminate();
    assert!(life.gateway.ended(20).success());
    life.gateway.start();
    sleep(Duration::from_millis(2500));
    assert_eq!(life.api.asked("/sync").len(), count, "what is done is not asked for again");
}

#[test]
fn the_name_of_a_contact_is_looked_up_once_and_holds_nothing_back() {
    let _turn = among_others();
    let life = start("named-contacts", |asked| match asked.path.rsplit('/').next().unwrap() {
        "ada" => (200, json!({"nick": "Ada King", "photo": "https://cdn.example.com/a.png"})),
        "slow" => {
            sleep(Duration::from_secs(8));
            (200, json!({"nick": "Late"}))
        }
        _ => (404, json!({"error": "unknown"})),
    });
    let say_as = |id: &str, from: &str, name: Option<&str>, text: &str| {
        let body = json!({"id": id, "from": from, "name": name, "text": text});
        assert_eq!(life.webhook(&body), 200);
    };
    let contact = |text: &str| life.platform.first(text)["json"]["contact"].clone();
    say_as("1", "ada", None, "the first of Ada");
    let known = contact("the first of Ada");
    assert_eq!((&known["firstName"], &known["lastName"]), (&json!("Ada"), &json!("King")), "{known}");
    assert_eq!(known["profilePic"], "https://cdn.example.com/a.png");
    say_as("2", "ada", None, "the second of Ada");
    assert_eq!(contact("the second of Ada")["firstName"], "Ada");
    assert_eq!(life.api.asked("/people/ada").len(), 1);
    say_as("3", "bob", Some("Bob"), "the first of Bob");
    assert_eq!(contact("the first of Bob")["firstName"], "Bob");
    assert!(life.api.asked("/people/bob").is_empty(), "who has a name is not looked up");
    for (id, text) in [("4", "the first of nobody"), ("5", "the second of nobody")] {
        say_as(id, "nobody", None, text);
        assert_eq!(contact(text)["firstName"], Value::Null);
    }
    assert_eq!(life.api.asked("/people/nobody").len(), 1, "a failure is remembered for a while");
    let began = Instant::now();
    say_as("6", "slow", None, "who is slow");
    life.platform.first("who is slow");
    say(format!("a look-up without an answer held the message for {:.1} s", began.elapsed().as_secs_f64()));
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[test]
fn the_platform_asks_for_an_action() {
    let _turn = among_others();
    let life = start("typing", |asked| match asked.json["to"].as_str() {
        Some("closed") => (409, json!({"why": format!("the chat is closed to {KEY}")})),
        _ => (200, json!({})),
    });
    let contact = |id: &str| json!({"contactId": id});
    let answer = life.act("typing", TOKEN, &contact("c-1"));
    assert_eq!((answer.status, answer.json()), (200, json!({"ok": true})));
    assert_eq!(life.api.asked("/typing")[0].json, json!({"to": "c-1"}));
    let refused = life.act("typing", TOKEN, &contact("closed"));
    assert_eq!(refused.status, 502);
    assert!(refused.error().contains("the chat is closed to [redacted]"), "{}", refused.error());
    assert_eq!(life.act("dancing", TOKEN, &contact("c-1")).status, 404);
    assert_eq!(life.act("typing", "wrong", &contact("c-1")).status, 401);
    assert_eq!(life.act("typing", TOKEN, &json!({})).status, 400);
    assert_eq!(life.act("typing", TOKEN, &contact("c_0123456789abcdef0123456789abcdef01234567")).status, 400);
    assert_eq!(life.api.asked("/typing").len(), 2, "what is refused reaches no provider");
}

#[test]
fn a_channel_is_connected_probed_and_disconnected() {
    let _turn = among_others();
    let active = Arc::new(AtomicBool::new(true));
    let is_active = active.clone();
    let life = prepare("lifecycle", move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/token") => (200, json!({"token": "t1"})),
        ("GET", "/hooks") => (200, json!({"hooks": []})),
        ("GET", "/me") if is_active.load(Ordering::Relaxed) => (200, json!({"active": true})),
        ("GET", "/me") => (200, json!({"active": false, "error": "E7", "why": format!("{KEY} is unpaid")})),
        _ => (200, json!({"ok": true})),
    });
    let connected = life.run(&["channels", "connect", "support"]);
    assert_eq!((connected.status.code(), printed(&connected).as_str()), (Some(0), "support: connect: ok\n"));
    let own = format!("{}/receive", life.gateway.base_url("support"));
    let hooks = life.api.asked("/hooks");
    assert_eq!(hooks.last().unwrap().json, json!({"url": own, "name": "support"}));
    assert_eq!(life.run(&["channels", "disconnect", "support"]).status.code(), Some(0));
    assert_eq!(life.api.asked("/hooks").last().unwrap().method, "DELETE");
    assert_eq!(life.run(&["channels", "probe"]).status.code(), Some(0));
    active.store(false, Ordering::Relaxed);
    let probed = life.run(&["channels", "probe", "support", "--format", "json"]);
    let json: Value = serde_json::from_str(&printed(&probed)).unwrap();
    assert_eq!(probed.status.code(), Some(1));
    assert_eq!(json["results"][0]["outcome"], "failed");
    assert_eq!(json["results"][0]["reason"], "[redacted] is unpaid (E7)");
    let unknown = life.run(&["channels", "probe", "nobody"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("the channels are `support`"));
    let listed = life.run(&["channels", "list", "--format", "json"]);
    let json: Value = serde_json::from_str(&printed(&listed)).unwrap();
    assert_eq!(json["channels"][0]["webhooks"], json!([format!("POST {own}")]));
    assert_eq!(json["channels"][0]["lifecycle"], json!(["on_connect", "on_disconnect", "probe"]));
}

#[test]
fn the_doctor_tells_what_is_well_and_what_is_not() {
    let _turn = among_others();
    let mut life = prepare("lifecycle", |asked| match asked.path.as_str() {
        "/token" => (200, json!({"token": "t1"})),
        _ => (200, json!({"active": true})),
    });
    let health = |output: &Output| -> BTreeMap<String, String> {
        let json: Value = serde_json::from_str(&printed(output)).unwrap();
        let checks = json["checks"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        checks.map(|check| (text(&check["check"]), text(&check["health"]))).collect()
    };
    let json = ["doctor", "--format", "json"];
    let before = health(&life.run(&json));
    assert_eq!((before["gateway"].as_str(), before["store"].as_str()), ("unknown", "ok"));
    assert!(!life.gateway.config().with_file_name("patchcord.db").exists(), "it creates nothing");
    life.gateway.start();
    let examined = life.run(&json);
    let found = health(&examined);
    say(format!("{found:?}"));
    for what in ["installation", "store", "gateway", "channel support", "clock"] {
        assert_eq!(found[what], "ok", "{what}: {}", printed(&examined));
    }
    // The public URL of a test is on this machine, where no provider could call it.
    assert_eq!((found["public_url"].as_str(), examined.status.code()), ("problem", Some(1)));
    let mut command = patchcord();
    command.args(["doctor", "--config"]).arg(life.gateway.config()).env("TOKEN", TOKEN).env_remove("KEY");
    let without = command.output().unwrap();
    assert_eq!(without.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&without.stderr).contains("`KEY` is not set"));
    let nowhere = patchcord().args(["doctor", "--config", "/nowhere/patchcord.yaml"]).output().unwrap();
    assert_eq!(nowhere.status.code(), Some(2));
}
