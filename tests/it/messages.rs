//! What operators do with dead letters and parked webhooks, while the gateway runs and while it doesn't.

use std::fs;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::support::{Api, Folder, Gateway, Platform, among_others, http, patchcord, say, until};

const TOKEN: &str = "support-token";
const KEY: &str = "key-of-the-provider";
const ADMIN: &str = "token-of-the-operators";

/// `{id}` is where the mapping looks for the id of a message.
const MAPPING: &str = r#"
patchcord: 1
name: letters
contact_id: custom
config: {url: {required: true}, key: {required: true, secret: true}, sender: {address: true}}
webhooks:
  - route: POST receive
    decode: json
    each: $.all
    verify: [{equal: ["{{request.headers.x-key}}", "{{config.key}}"]}]
    events: [{emit: message, id: {id}, contact: {id: $.from}, text: $.text}]
  - route: POST inbox
    shared: true
    decode: json
    channel: {address: $.to}
    verify: [{equal: ["{{request.headers.x-key}}", "key-of-all-channels"]}]
    events: [{emit: message, id: {id}, contact: {id: $.from}, text: $.text}]
send:
  plan: {text: {max: 500, unit: chars}, attachments: {mode: drop}}
  steps:
    - {each: parts, request: {url: "{{config.url}}send", json: {to: "{{contact.id}}", text: "{{part.text}}"}}, response: {id: $.id}}
"#;

/// A gateway with one channel, between a provider that takes nothing until it is mended and a fake IS-Messenger.
struct Office {
    gateway: Gateway,
    platform: Platform,
    api: Api,
    mended: Arc<AtomicBool>,
    admin: String,
    folder: Folder,
}

fn office(admin: bool) -> Office {
    let folder = Folder::new();
    let mut gateway = Gateway::new(&folder);
    let platform = Platform::start(&[&format!("ch-1:{TOKEN}:custom")], 0, &folder);
    let mended = Arc::new(AtomicBool::new(false));
    let works = mended.clone();
    let api = Api::start(move |asked| {
        if works.load(Ordering::SeqCst) {
            (200, json!({"id": format!("p-{}", asked.json["text"].as_str().unwrap_or_default())}))
        } else {
            (400, json!({"error": "not today"}))
        }
    });
    // Of another gateway that is not started: only its free port is of use.
    let door = Gateway::new(&folder).url;
    let listen = door.trim_start_matches("http://");
    let operators = if admin {
        format!("admin: {{listen: \"{listen}\", token: {{env: ADMIN}}}}\n")
    } else {
        String::new()
    };
    let installation = format!(
        "store: sqlite:patchcord.db\n\
         public_url: {}\n\
         mappings: [letters.yaml]\n\
         network: {{allow_private: true}}\n\
         {operators}\
         channels:\n  \
           support:\n    \
             mapping: letters\n    \
             platform: {{webhook_url: \"{}\", channel_id: ch-1, token: {{env: TOKEN}}}}\n    \
             config: {{url: \"{}\", key: {{env: KEY}}, sender: s1}}\n    \
             retry: {{first: 100ms, max: 1s}}\n",
        gateway.url,
        platform.webhook_url(),
        api.url,
    );
    gateway.configure(&installation, &[("TOKEN", TOKEN), ("KEY", KEY), ("ADMIN", ADMIN)]);
    let office = Office { gateway, platform, api, mended, admin: door, folder };
    office.map("$.id");
    office
}

impl Office {
    /// Writes the mapping.
    fn map(&self, id: &str) {
        self.folder.write("letters.yaml", MAPPING.replace("{id}", id));
    }

    fn stop(&mut self) {
        self.gateway.terminate();
        assert!(self.gateway.ended(20).success());
    }

    fn webhook(&self, all: &Value) -> u16 {
        let url = format!("{}/receive?key={KEY}", self.gateway.base_url("support"));
        http::post_json(&url, &[("x-key", KEY)], &json!({ "all": all })).status
    }

    fn shared_webhook(&self, body: &Value) -> u16 {
        let url = format!("{}/providers/letters/inbox", self.gateway.url);
        http::post_json(&url, &[("x-key", "key-of-all-channels")], body).status
    }

    fn send(&self, contact: &str, text: &str) -> String {
        self.platform.send(&self.gateway.base_url("support"), TOKEN, contact, text)
    }

    /// `patchcord messages` in a shell that has these secrets only.
    fn with(&self, secrets: &[(&str, &str)], args: &[&str]) -> Output {
        let mut command = patchcord();
        command.arg("messages").args(args).arg("--config").arg(self.gateway.config()).env("NO_COLOR", "1");
        command.env_remove("TOKEN").env_remove("KEY").env_remove("ADMIN");
        command.envs(secrets.iter().copied()).output().unwrap()
    }

    /// The same with all secrets; gives the exit code and what was printed.
    fn run(&self, args: &[&str]) -> (i32, String) {
        let output = self.with(&[("TOKEN", TOKEN), ("KEY", KEY), ("ADMIN", ADMIN)], args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    /// The same as JSON, without secrets, of what must be good.
    fn json(&self, args: &[&str]) -> Value {
        let output = self.with(&[], &[args, &["--format", "json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The ids of a list.
    fn ids(&self, args: &[&str]) -> Vec<String> {
        let list = self.json(args);
        let items = list.as_object().unwrap().values().next().unwrap().as_array().unwrap();
        items.iter().map(|item| item["id"].to_string()).collect()
    }

    /// The texts that arrived at the platform, in order.
    fn arrived(&self) -> Vec<String> {
        let text = |one: &Value| {
            let body: Value =
                one["body"].as_str().map_or(Value::Null, |body| serde_json::from_str(body).unwrap());
            let body = if body.is_null() { one["json"].clone() } else { body };
            body["events"][0]["message"]["text"].as_str().map(str::to_owned)
        };
        self.platform.received("").iter().filter_map(text).collect()
    }

    fn metrics(&self) -> String {
        http::get(&format!("{}/metrics", self.gateway.url)).text()
    }
}

fn letter(id: &str) -> Value {
    json!({"id": id, "from": "ann", "text": format!("text {id}")})
}

#[test]
fn parked_webhooks_are_replayed_once_and_in_order_after_the_mapping_is_fixed() {
    let _turn = among_others();
    let mut office = office(true);
    // A message has a `uid` only sometimes.
    office.map("$.uid");
    office.gateway.start();
    assert_eq!(office.webhook(&json!([letter("1")])), 200);
    // One part of it is understood, and arrives at once.
    let whole = json!({"id": "2", "uid": "2", "from": "ann", "text": "text 2"});
    assert_eq!(office.webhook(&json!([whole, letter("3")])), 200);
    let shared = json!({"to": "s1", "id": "4", "from": "ann", "text": "text 4"});
    assert_eq!(office.shared_webhook(&shared), 200);
    assert_eq!(office.webhook(&json!([letter("5")])), 200);
    until("the part arrives", 20, || (office.arrived() == ["text 2"]).then_some(()));

    // They are seen beside the running gateway, without any secret.
    let ids = office.ids(&["parked", "list"]);
    assert_eq!(ids.len(), 4);
    let shown = office.json(&["parked", "show", &ids[0]]);
    assert_eq!(shown["body"], json!({"all": [letter("1")]}).to_string(), "the very bytes");
    assert_eq!(shown["headers"]["x-key"], "[redacted]");
    assert!(!shown.to_string().contains(KEY), "{shown}");
    assert!(shown["reason"].as_str().unwrap().contains("parked: "), "{shown}");
    assert_eq!(office.ids(&["parked", "list", "--route", "inbox"]), [ids[2].clone()]);
    assert_eq!(office.ids(&["parked", "list", "--limit", "1", "--after", &ids[0]]), [ids[1].clone()]);
    assert_eq!(office.ids(&["parked", "list", "--until", "1h"]).len(), 0);
    let (code, table) = office.run(&["parked", "list"]);
    assert!(code == 0 && table.contains("RECEIVED AT") && table.lines().count() == 5, "{table}");
    let export = office.with(&[], &["parked", "export", "--since", "1h"]);
    let export = String::from_utf8(export.stdout).unwrap();
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["id"].to_string()).collect::<Vec<_>>(), ids);
    let parked = "patchcord_parked_webhooks{channel=\"support\",mapping=\"letters\"}";
    assert!(office.metrics().contains(&format!("{parked} 3")), "{}", office.metrics());

    // As long as the mapping is what it was, they stay.
    let (code, told) = office.run(&["parked", "replay", "--all"]);
    assert!(code == 1 && told.contains("0 replayed") && told.contains("4 still parked"), "{code} {told}");

    // One is dropped, one is replayed without a gateway, the others by the gateway.
    assert_eq!(office.webhook(&json!([letter("6")])), 200);
    let last = office.ids(&["parked", "list", "--after", &ids[3]]);
    let (code, told) = office.run(&["parked", "drop", &last[0]]);
    assert!(code == 0 && told.contains("1 dropped"), "{told}");
    office.stop();
    office.map("$.id");
    let (code, told) = office.run(&["parked", "replay", &ids[0], "999"]);
    assert!(code == 1 && told.contains("1 replayed") && told.contains("nothing to do with: 999"), "{told}");
    office.gateway.start();
    until("the first arrives", 20, || (office.arrived() == ["text 2", "text 1"]).then_some(()));
    let (code, told) = office.run(&["parked", "replay", "--all", "--mapping", "letters"]);
    assert!(code == 0 && told.contains("3 replayed"), "{code} {told}");
    let all = ["text 2", "text 1", "text 3", "text 4", "text 5"];
    until("all arrive", 20, || (office.arrived().len() >= all.len()).then_some(()));
    let (code, told) = office.run(&["parked", "replay", "--all"]);
    assert!(code == 0 && told.contains("0 replayed"), "{told}");
    assert_eq!(office.webhook(&json!([letter("7")])), 200);
    until("a later one arrives", 20, || office.arrived().contains(&"text 7".into()).then_some(()));
    assert_eq!(office.arrived(), [&all[..], &["text 7"]].concat(), "once, in order");
    assert!(!office.metrics().contains(parked), "none is left");
    say("4 parked, 1 dropped, 1 replayed without and 3 by the gateway; each arrived once, in order");
}

#[test]
fn dead_letters_are_listed_tried_again_and_dropped() {
    let _turn = among_others();
    let mut office = office(true);
    office.gateway.start();
    let mids: Vec<_> = ["one", "two", "three", "four"].iter().map(|text| office.send("bob", text)).collect();
    for mid in &mids {
        office.platform.status(mid, "failed");
    }
    let mut ids = office.ids(&["list", "--state", "failed", "--direction", "outbound"]);
    ids.reverse();
    assert_eq!(ids.len(), 4);
    let shown = office.json(&["show", &ids[0]]);
    assert_eq!((&shown["message_id"], &shown["contact"]), (&json!(mids[0]), &json!("bob")));
    assert!(shown["reason"].as_str().unwrap().contains("400"), "{shown}");
    assert!(shown["payload"].to_string().contains("one"), "{shown}");
    assert_eq!(office.ids(&["list", "--message", &mids[1]]).last(), Some(&ids[1]));
    let line = "patchcord_dead_letters{channel=\"support\",direction=\"outbound\",state=\"failed\"}";
    assert!(office.metrics().contains(&format!("{line} 4")), "{}", office.metrics());
    let log = fs::read_to_string(office.folder.path("gateway.log")).unwrap();
    assert_eq!(log.matches("refused for good").count(), 4, "{log}");

    let (code, told) = office.run(&["drop", &ids[3]]);
    assert!(code == 0 && told.contains("1 dropped"), "{told}");
    // The first without a gateway, the others by it; only the token is needed for that.
    office.stop();
    let (code, told) = office.run(&["retry", &ids[0]]);
    assert!(code == 0 && told.contains("1 queued again"), "{told}");
    office.mended.store(true, Ordering::SeqCst);
    let before = office.api.asked("send").len();
    office.gateway.start();
    until("the first is sent", 20, || (office.api.asked("send").len() > before).then_some(()));
    let retry =
        office.with(&[("ADMIN", ADMIN)], &["retry", "--all", "--channel", "support", "--since", "1h"]);
    assert!(String::from_utf8_lossy(&retry.stdout).contains("2 queued again"), "{retry:?}");
    until("all are sent", 20, || (office.api.asked("send").len() >= before + 3).then_some(()));
    let texts: Vec<_> =
        office.api.asked("send")[before..].iter().map(|asked| asked.json["text"].clone()).collect();
    assert_eq!(texts, ["one", "two", "three"], "in order");
    until("they are written down", 20, || {
        (office.ids(&["list", "--state", "sent", "--direction", "outbound"]).len() == 3).then_some(())
    });
    assert_eq!(office.platform.statuses(&mids[0]), ["failed"], "failed is final");
    let (code, told) = office.run(&["retry", &ids[0]]);
    assert!(code == 1 && told.contains(&format!("nothing to do with: {}", ids[0])), "{told}");
    let export = office.run(&["export", "--direction", "outbound"]).1;
    let sent: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        sent.iter().map(|line| &line["message_id"]).collect::<Vec<_>>(),
        [&mids[0], &mids[1], &mids[2]]
    );
}

#[test]
fn what_the_running_gateway_takes_from_operators() {
    let _turn = among_others();
    let mut closed = office(false);
    closed.gateway.start();
    let (code, told) = closed.run(&["retry", "--all"]);
    assert!(code == 2 && told.contains("admin: {listen: 127.0.0.1:8081}"), "{told}");
    assert!(closed.json(&["list"])["messages"].as_array().unwrap().is_empty(), "reading needs nothing");

    let mut open = office(true);
    open.gateway.start();
    let wrong = open.with(&[("ADMIN", "token-of-somebody-else")], &["retry", "--all"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("401"), "{wrong:?}");
    let url = format!("{}/messages/retry", open.admin);
    let bearer = format!("Bearer {ADMIN}");
    let ask = |headers: &[(&str, &str)], body: &str| http::post(&url, headers, body).status;
    assert_eq!(ask(&[], r#"{"all": {}}"#), 401);
    assert_eq!(ask(&[("authorization", &bearer)], r#"{"all": {}}"#), 200);
    assert_eq!(ask(&[("authorization", &bearer), ("origin", "https://evil.example")], r#"{"all": {}}"#), 403);
    assert_eq!(ask(&[("authorization", &bearer)], r#"{"all": {"chanel": "x"}}"#), 400);
    assert_eq!(http::get(&url).status, 401, "not even what there is is told");
    let public = format!("{}/messages/retry", open.gateway.url);
    assert_eq!(http::post(&public, &[("authorization", &bearer)], r#"{"all": {}}"#).status, 404);

    // Without a token it must not be open to others.
    let text = fs::read_to_string(open.gateway.config()).unwrap();
    let listen = open.admin.trim_start_matches("http://");
    let bad = text.replace(&format!("\"{listen}\", token: {{env: ADMIN}}"), "\"0.0.0.0:8081\"");
    assert_ne!(bad, text);
    fs::write(open.gateway.config(), bad).unwrap();
    let (code, told) = open.run(&["list"]);
    assert!(code == 2 && told.contains("everybody who reaches this address"), "{told}");
}

#[test]
fn fsck_tells_what_is_wrong_with_a_store() {
    let _turn = among_others();
    let mut office = office(false);
    office.gateway.start();
    for id in 0..400 {
        assert_eq!(office.webhook(&json!([letter(&id.to_string())])), 200);
    }
    office.send("bob", "refused");
    assert_eq!(office.json(&["fsck"])["findings"], json!([]), "beside the running gateway");
    office.stop();
    assert_eq!(office.json(&["fsck"])["findings"], json!([]), "and without it");

    // Some pages of a copy are overwritten.
    let (store, copy) = (office.folder.path("patchcord.db"), office.folder.path("copy.db"));
    let address = format!("sqlite:{}", copy.display());
    let mut bytes = fs::read(&store).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    assert!(middle > 20 * 4096, "{} bytes", bytes.len());
    for page in 0..6 {
        bytes[middle + page * 4096..][..2000].fill(0xa5);
    }
    fs::write(&copy, &bytes).unwrap();
    let (code, told) = office.run(&["fsck", "--store", &address]);
    assert!(code == 1 && told.contains("damaged: "), "{code} {told}");
    assert_eq!(fs::read(&copy).unwrap(), bytes, "nothing is changed");

    fs::write(&copy, b"this is no database, and never was one, however long you look at it").unwrap();
    let (code, told) = office.run(&["fsck", "--store", &address]);
    assert!(code == 2 && told.contains("not a database"), "{code} {told}");
    let (code, told) = office.run(&["fsck", "--store", "sqlite:/nowhere/at-all.db"]);
    assert!(code == 2 && told.contains("/nowhere/at-all.db"), "{code} {told}");
    let (code, told) = office.run(&["retry", "--all", "--store", "sqlite:/tmp/patchcord-nowhere.db"]);
    assert!(code == 2 && !std::path::Path::new("/tmp/patchcord-nowhere.db").exists(), "{code} {told}");
}
