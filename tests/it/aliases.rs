//! Ids that IS-Messenger can't hold get short ones, and find their way back.

use serde_json::json;

use crate::support::{Folder, Gateway, Platform, Provider, among_others, http, say};

const MAPPING: &str = r#"
patchcord: 1
name: longid
title: A provider with ids that do not fit
docs: [https://example.com]
contact_id: custom
config:
  url: {required: true}
  key: {required: true, secret: true}
http:
  base: "{{config.url}}/"
verify:
  - equal: ["{{request.query.key}}", "{{config.key}}"]
webhooks:
  - route: POST receive
    decode: json
    events:
      - emit: message
        id: $.id
        contact: {id: $.from}
        text: $.text
  - route: POST status
    decode: json
    events:
      - emit: message_status
        id: $.id
        status: $.status
send:
  plan: {text: {max: 1000, unit: chars}}
  steps:
    - each: parts
      request: {method: POST, url: send, json: {to: "{{contact.id}}", text: "{{part.text}}"}}
      response: {id: $.id}
"#;

#[test]
fn contacts_and_messages_with_long_ids_cross_both_ways() {
    let _turn = among_others();
    let folder = Folder::new();
    let platform = Platform::start(&["ch-1:long-token:custom"], 20, &folder);
    let mut gateway = Gateway::new(&folder);
    let provider = Provider::start("http://127.0.0.1:9/unused", &folder);
    folder.write("mappings/longid.yaml", MAPPING);
    let webhook_url = platform.webhook_url();
    let api = &provider.url;
    gateway.configure(
        &format!(
            r#"
network: {{allow_private: true}}
channels:
  long:
    mapping: longid
    platform: {{webhook_url: "{webhook_url}", channel_id: ch-1, token: {{env: TOKEN}}}}
    config: {{url: "{api}", key: {{env: KEY}}}}
"#
        ),
        &[("TOKEN", "long-token"), ("KEY", "word")],
    );
    gateway.start();
    let contacts = [
        "-1001234567890".to_owned(),
        format!("user.{}@chat.example.com", "0123456789".repeat(7)),
        "ünïcödé".to_owned(),
        "c_0123456789abcdef0123456789abcdef01234567".to_owned(),
    ];
    let message_id = format!("wamid.{}==", "0123456789".repeat(9));
    for (index, contact) in contacts.iter().enumerate() {
        let event =
            json!({"id": format!("{message_id}{index}"), "from": contact, "text": format!("hello {index}")});
        let url = format!("{}/receive?key=word", gateway.base_url("long"));
        assert_eq!(http::post_json(&url, &[], &event).status, 200);
    }
    // The way back survives a restart.
    platform.first("hello 3");
    gateway.terminate();
    assert!(gateway.ended(20).success());
    gateway.start();

    for (index, contact) in contacts.iter().enumerate() {
        let seen = platform.first(&format!("hello {index}"));
        let alias = seen["json"]["contactId"].as_str().unwrap();
        let mid = seen["json"]["events"][0]["mId"].as_str().unwrap();
        assert_eq!(seen["status"], 200, "{seen}");
        assert!(alias.len() <= 50 && mid.len() <= 50 && alias != contact, "{alias} {mid}");

        let provider_id = format!("an.id.of.the.provider:{}", "9".repeat(60 + index));
        provider.script(&json!({"json": {"id": provider_id}}));
        let ours = platform.send(&gateway.base_url("long"), "long-token", alias, &format!("reply {index}"));
        assert_eq!(provider.first(&format!("reply {index}"))["json"]["to"], **contact);
        let url = format!("{}/status?key=word", gateway.base_url("long"));
        assert_eq!(
            http::post_json(&url, &[], &json!({"id": provider_id, "status": "delivered"})).status,
            200
        );
        platform.status(&ours, "delivered");
        let status = platform.first(&ours);
        assert_eq!(
            status["json"]["contactId"], alias,
            "the status names the contact as the platform knows it"
        );
        say(format!(
            "{} characters -> {alias}; its message {} characters -> {mid}; reply and status came back",
            contact.chars().count(),
            message_id.len() + 1
        ));
    }
    let unknown = "c_ffffffffffffffffffffffffffffffffffffffff";
    let answer = platform.hand(
        &gateway.base_url("long"),
        "long-token",
        unknown,
        &json!({"type": "text", "text": "x"}),
    );
    assert_eq!(answer["error"]["status"], 400, "{answer}");
    say(format!("to an alias that stands for nobody: {}", answer["error"]["message"]));
}
