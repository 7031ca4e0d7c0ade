//! Which events go to the platform in one request: the gateway on a store in memory, with a scripted network.

use serde_json::Value;

use super::late_tests::told;
use super::tests::{answer, gateway_with_batch, settled};
use super::*;
use crate::call::Scripted;
use crate::pipeline::Incoming;
use crate::platform::LARGEST_BATCH;

const MAPPING: &str = "
patchcord: 1
name: t
contact_id: custom
config: {key: {secret: true}, sender: {address: true}}
deployment: {word: {default: opensesame}}
verify:
  - equal: ['{{request.query.word}}', '{{deployment.word}}']
calls:
  body: {request: {url: 'https://x.io/body'}, response: {return: $.text}}
webhooks:
  - route: POST r
    decode: json
    events:
      - {when: {$.type: echo}, emit: message_echo, id: $.id, contact: {id: $.from}, text: $.text, unless_sent: $.id}
      - {when: {$.type: asks}, emit: message, id: $.id, contact: {id: $.from}, text: {$call: body}}
      - {emit: message, id: $.id, contact: {id: $.from, name: $.name}, text: $.text}
send:
  steps:
    - {each: parts, request: {url: 'https://x.io/send', json: {t: '{{part.text}}'}}, response: {id: $.id}}
";

fn webhook(body: &Value) -> Incoming {
    Incoming {
        method: "POST".into(),
        url: "https://gw.example/channels/c/r?word=opensesame".into(),
        route: "r".into(),
        query: "word=opensesame".into(),
        body: body.to_string().into(),
        ..Incoming::default()
    }
}

/// The ids of the events in each request, when these webhooks came while the platform wanted to be left alone.
async fn requests(batch: usize, webhooks: &[Value]) -> Vec<Vec<String>> {
    let provider = Arc::new(Scripted::new(vec![
        answer("https://x.io/body", None, 200, r#"{"text":"the body"}"#),
        answer("https://platform.example/*", Some(1), 429, ""),
        answer("https://platform.example/*", None, 200, ""),
    ]));
    let gateway = gateway_with_batch(MAPPING, provider.clone(), batch);
    for body in webhooks {
        gateway.accept_webhook(Called::Channel("c"), webhook(body)).await;
    }
    settled(&gateway).await;
    gateway.finish(Duration::from_secs(5)).await;
    let told = told(&provider);
    let ids = |body: &String| {
        let body: Value = serde_json::from_str(body).unwrap();
        let events = body["events"].as_array().unwrap().clone();
        events.iter().map(|event| event["mId"].as_str().unwrap().to_owned()).collect()
    };
    // The first of them was for nothing.
    told.iter().skip(1).map(ids).collect()
}

fn text(id: &str, text: &str) -> Value {
    serde_json::json!({"id": id, "from": "a", "text": text})
}

#[tokio::test]
async fn what_has_to_be_asked_for_something_goes_alone() {
    let kind = |id, kind| serde_json::json!({"id": id, "from": "a", "text": "x", "type": kind});
    let webhooks = [
        text("1", "x"),
        text("2", "x"),
        kind("3", "echo"),
        text("4", "x"),
        text("5", "x"),
        kind("6", "asks"),
        text("7", "x"),
    ];
    let expected: [&[&str]; 5] = [&["1", "2"], &["3"], &["4", "5"], &["6"], &["7"]];
    assert_eq!(requests(10, &webhooks).await, expected);
}

#[tokio::test]
async fn a_contact_of_whom_something_else_is_known_begins_a_request() {
    let named = |id, name| serde_json::json!({"id": id, "from": "a", "text": "x", "name": name});
    let webhooks = [named("1", "Ann"), named("2", "Ann"), named("3", "Anna"), text("4", "x")];
    let expected: [&[&str]; 2] = [&["1", "2"], &["3", "4"]];
    assert_eq!(requests(10, &webhooks).await, expected);
}

#[tokio::test]
async fn the_parts_of_a_message_count_and_stay_together() {
    let webhooks = [text("1", "x"), text("2", &"x".repeat(14_001)), text("3", "x"), text("4", "x")];
    let expected: [&[&str]; 3] = [&["1"], &["2", "2-1", "2-2"], &["3", "4"]];
    assert_eq!(requests(3, &webhooks).await, expected);
    let expected: [&[&str]; 2] = [&["1", "2", "2-1", "2-2"], &["3", "4"]];
    assert_eq!(requests(4, &webhooks).await, expected);
}

#[tokio::test]
async fn a_request_does_not_get_too_large() {
    let webhooks: Vec<Value> = (0..14).map(|id| text(&id.to_string(), &"\u{e01}".repeat(7000))).collect();
    let sizes: Vec<usize> = requests(LARGEST_BATCH, &webhooks).await.iter().map(Vec::len).collect();
    assert_eq!(sizes, [12, 2]);
}

#[test]
fn a_lane_holds_the_largest_batch_of_a_contact() {
    let settings = LaneSettings::default();
    assert!(settings.window / settings.in_flight >= LARGEST_BATCH);
}
