//! The IS-Messenger stand-in over real HTTP.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::sandbox::Keep;
use crate::world::World;
use Verdict::{Duplicate, Scripted, ScriptedAfterTaking};

const TOKEN: &str = "sandbox-token";

struct Running {
    platform: Platform,
    base: String,
    client: reqwest::Client,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn start(options: Options) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let platform = Platform::new(options);
    let server = tokio::spawn(platform.clone().serve(listener));
    Running { platform, base, client: http::client(), server }
}

fn text(mid: &str, text: &str) -> Value {
    let now = World::system().now();
    json!({
        "channelId": "sandbox",
        "contactId": "+60123456789",
        "events": [{"type": "message", "mId": mid, "timestamp": now, "message": {"type": "text", "text": text}}],
    })
}

fn status(mid: &str, value: &str) -> Value {
    let now = World::system().now();
    json!({
        "channelId": "sandbox",
        "contactId": "+60123456789",
        "events": [{"type": "message_status", "mId": mid, "timestamp": now, "status": {"value": value}}],
    })
}

impl Running {
    async fn post(&self, body: &Value) -> (u16, Value) {
        self.post_as(TOKEN, "application/json", &body.to_string()).await
    }

    async fn post_as(&self, token: &str, mime: &str, body: &str) -> (u16, Value) {
        let url = format!("{}/custom/channel/webhook/", self.base);
        let request =
            self.client.post(url).bearer_auth(token).header("content-type", mime).body(body.to_owned());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn control(&self, method: reqwest::Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = self.client.request(method, format!("{}/_stand-in/{path}", self.base));
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }
}

fn unlimited() -> Options {
    let channel = Channel { limit: None, ..Channel::default() };
    Options { channels: BTreeMap::from([("sandbox".to_owned(), channel)]), ..Options::default() }
}

#[tokio::test]
async fn a_good_request_is_accepted_and_recorded() {
    let running = start(Options::default()).await;
    assert_eq!(running.post(&text("m-1", "hi")).await.0, 200);
    let received = running.platform.received();
    assert_eq!(received[0].verdict, Verdict::Accepted);
    assert_eq!(received[0].json()["events"][0]["mId"], "m-1");
    assert_eq!(received[0].header("authorization"), Some("Bearer sandbox-token"));
    assert_eq!(running.platform.inbox()[0].text, "hi");
}

#[tokio::test]
async fn what_breaks_the_contract_is_refused_with_a_reason() {
    let running = start(Options::default()).await;
    let good = text("m-1", "hi").to_string();
    let unknown = good.replace("\"sandbox\"", "\"nobody\"");
    let nameless = good.replace("channelId", "channel_id");
    for (token, mime, body, status, reason) in [
        ("wrong", "application/json", good.as_str(), 401, "the API Token is not known"),
        (TOKEN, "text/plain", &good, 400, "`Content-Type` must be application/json"),
        (TOKEN, "application/json", "{", 400, "the body is not JSON"),
        (TOKEN, "application/json", &unknown, 404, "there is no channel nobody"),
        (TOKEN, "application/json", &nameless, 400, "channelId: is required"),
    ] {
        let (got, body) = running.post_as(token, mime, body).await;
        let message = body["error"]["message"].as_str().unwrap().to_owned();
        assert_eq!(got, status, "{message}");
        assert!(message.contains(reason), "{message}");
    }
    let (got, body) = running.post(&text("m 1", "")).await;
    assert_eq!((got, body["error"]["problems"].as_array().unwrap().len()), (400, 2));
    assert_eq!(running.platform.stats().messages, 0);
    assert_eq!(running.platform.stats().verdicts[&Verdict::Refused], 6);
}

#[tokio::test]
async fn the_token_of_another_channel_is_refused() {
    let mut options = Options::default();
    options.channels.insert("other".into(), Channel { token: "other-token".into(), ..Channel::default() });
    let running = start(options).await;
    let body = text("m-1", "hi").to_string();
    assert_eq!(running.post_as("other-token", "application/json", &body).await.0, 401);
}

#[tokio::test]
async fn only_the_webhook_path_is_served() {
    let running = start(Options::default()).await;
    let answer =
        running.client.post(format!("{}/custom/channel/webhook", running.base)).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let answer =
        running.client.get(format!("{}/custom/channel/webhook/", running.base)).send().await.unwrap();
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn a_repeated_id_is_a_duplicate_and_answered_as_accepted() {
    let running = start(Options::default()).await;
    running.post(&text("m-1", "hi")).await;
    assert_eq!(running.post(&text("m-1", "hi")).await.0, 200);
    assert_eq!(running.post(&text("m-1", "ho")).await.0, 200);
    let stats = running.platform.stats();
    assert_eq!((stats.messages, stats.duplicates, stats.conflicting_duplicates), (1, 2, 1));
    assert_eq!(running.platform.received()[1].verdict, Verdict::Duplicate);
}

#[tokio::test]
async fn the_twenty_first_request_in_a_second_is_limited() {
    let running = start(Options::default()).await;
    let mut limited = 0;
    for number in 0..25 {
        let url = format!("{}/custom/channel/webhook/", running.base);
        let body = text(&format!("m-{number}"), "hi").to_string();
        let request = running.client.post(url).bearer_auth(TOKEN).header("content-type", "application/json");
        let answer = request.body(body).send().await.unwrap();
        if answer.status() == 429 {
            assert_eq!(answer.headers()["retry-after"], "1");
            limited += 1;
        }
    }
    let stats = running.platform.stats();
    assert_eq!((limited, stats.messages), (5, 20));
    assert_eq!((stats.channels["sandbox"].limited, stats.max_in_any_second), (5, 25));
    assert!(stats.channels["sandbox"].closest_ms.unwrap() < 1000.0);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(running.post(&text("m-late", "hi")).await.0, 200);
}

#[tokio::test]
async fn a_status_moves_its_message_and_never_an_inbound_one() {
    let running = start(Options::default()).await;
    running.post(&text("m-1", "hi")).await;
    let (got, body) = running.post(&status("m-1", "delivered")).await;
    assert_eq!(got, 400, "{body}");
    assert_eq!(running.post(&status("out-1", "delivered")).await.0, 200);
    assert_eq!(running.platform.sent_as("out-1").unwrap().statuses[0].value, "delivered");
    assert_eq!(running.platform.stats().sent.unknown_statuses, 1);
}

#[tokio::test]
async fn a_script_answers_instead_and_may_take_what_came() {
    let running = start(Options::default()).await;
    let script = json!([
        {"status": 500},
        {"status": 429, "headers": {"retry-after": "3"}, "json": {"error": {"message": "slow down, {{n}}"}}},
        {"status": 503, "taken": true},
        {"hangup": true},
        {"delay": 0.2},
    ]);
    let (got, body) = running.control(reqwest::Method::POST, "script", Some(script)).await;
    assert_eq!((got, &body["answers"]), (200, &json!(5)));
    assert_eq!(running.post(&text("m-1", "hi")).await.0, 500);
    let (got, body) = running.post(&text("m-1", "hi")).await;
    assert_eq!((got, &body["error"]["message"]), (429, &json!("slow down, 2")));
    assert_eq!(running.platform.stats().messages, 0);
    assert_eq!(running.post(&text("m-1", "hi")).await.0, 503);
    let url = format!("{}/custom/channel/webhook/", running.base);
    assert!(running.client.post(url).bearer_auth(TOKEN).body("{}").send().await.is_err(), "hangup");
    let start = Instant::now();
    assert_eq!(running.post(&text("m-1", "hi")).await.0, 200);
    assert!(start.elapsed() >= Duration::from_millis(200));
    let verdicts: Vec<_> = running.platform.received().iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Scripted, Scripted, ScriptedAfterTaking, Scripted, Duplicate]);
    assert_eq!(running.post(&text("m-2", "hi")).await.0, 200, "the script is used up");
}

#[tokio::test]
async fn the_control_api_tells_and_forgets() {
    let running = start(unlimited()).await;
    for (mid, label) in [("a", "c7-1"), ("b", "c7-3"), ("c", "c7-2"), ("d", "c7-2")] {
        running.post(&text(mid, label)).await;
    }
    let (_, stats) = running.control(reqwest::Method::GET, "stats", None).await;
    assert_eq!(stats["messages"], 4);
    assert_eq!(stats["order"]["out_of_order"], 1);
    assert_eq!(stats["order"]["repeats"], 1);
    let (_, all) = running.control(reqwest::Method::GET, "received?contains=c7-3", None).await;
    assert_eq!((&all["total"], all["received"].as_array().unwrap().len()), (&json!(4), 1));
    let (_, newest) = running.control(reqwest::Method::GET, "received?limit=1&verdict=accepted", None).await;
    assert_eq!(newest["received"][0]["number"], 4);
    assert_eq!(running.control(reqwest::Method::DELETE, "received", None).await.0, 204);
    assert_eq!(running.platform.stats().requests, 0);
    let (got, error) = running.control(reqwest::Method::POST, "script", Some(json!({"status": 1}))).await;
    assert_eq!((got, &error["error"]["message"]), (400, &json!("answer 1: `status` is 1, not 200 to 599")));
    assert_eq!(running.control(reqwest::Method::GET, "nothing", None).await.0, 404);
    let foreign = running.client.delete(format!("{}/_stand-in/received", running.base));
    assert_eq!(foreign.header("origin", "http://evil.example").send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn a_message_is_handed_over_as_the_platform_does_and_its_statuses_are_followed() {
    let running = start(Options::default()).await;
    let gateway = start(Options { path: "/never".into(), ..Options::default() }).await;
    let answers = json!([{"method": "POST", "url": "/channels/a/message", "json": {"mId": "out-1"}}]);
    gateway.platform.set_script(Script::from_json(answers.to_string().as_bytes(), Instant::now()).unwrap());
    let message = json!({"type": "text", "text": "hello"});
    let base = format!("{}/channels/a", gateway.base);
    let mid = running.platform.send(&base, TOKEN, "+60123456789", &message).await.unwrap();
    assert_eq!(mid, "out-1");
    let got = gateway.platform.received();
    let expected = json!({"contactId": "+60123456789", "message": message, "channelId": "sandbox"});
    assert_eq!(got[0].json(), expected);
    assert_eq!(got[0].header("authorization"), Some("Bearer sandbox-token"));
    running.post(&status("out-1", "delivered")).await;
    running.post(&status("out-1", "read")).await;
    let sent = running.platform.sent_as("out-1").unwrap();
    let values: Vec<_> = sent.statuses.iter().map(|status| status.value.as_str()).collect();
    assert_eq!((sent.text.as_str(), values), ("hello", vec!["delivered", "read"]));
    assert_eq!(running.platform.stats().sent.unknown_statuses, 0);
    let refused = running.platform.send(&base, "wrong", "+60123456789", &message).await.unwrap_err();
    assert!(matches!(refused, SendError::Refused { status: 404, .. }), "{refused}");
    let nobody = running.platform.send("http://127.0.0.1:9", TOKEN, "+1", &message).await.unwrap_err();
    assert!(matches!(nobody, SendError::Unreachable(_)), "{nobody}");
}

#[tokio::test]
async fn a_broadcast_numbers_its_texts_and_tries_again_when_asked_to_wait() {
    let running = start(Options::default()).await;
    let gateway = start(Options::default()).await;
    let script = json!({
        "answers": [{"status": 429, "headers": {"retry-after": "0"}, "times": 2}],
        "default": {"json": {"mId": "{{id}}"}},
    });
    gateway.platform.set_script(Script::from_json(script.to_string().as_bytes(), Instant::now()).unwrap());
    let wanted = json!({
        "base_url": gateway.base,
        "token": TOKEN,
        "burst": {"contacts": 10, "each": 5, "at_once": 4},
    });
    let (_, report) = running.control(reqwest::Method::POST, "broadcast", Some(wanted)).await;
    assert_eq!((&report["accepted"], &report["lost"]), (&json!(50), &json!(0)));
    assert_eq!(report["refused"]["429"], 2);
    assert_eq!(running.platform.stats().sent.accepted, 50);
    let last =
        gateway.platform.received().iter().filter(|one| one.text().contains("c3-")).last().unwrap().json();
    assert_eq!(last["message"]["text"], "c3-000004");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_stay_exact_under_load_though_little_is_kept() {
    let options = Options { keep: Keep { requests: 100, bytes: 1 << 20, body: 1 << 10 }, ..unlimited() };
    let running = start(options).await;
    let start = Instant::now();
    let posters = (0..16).map(|poster| {
        let running = &running;
        async move {
            for number in 0..250 {
                let body = text(&format!("m-{poster}-{number}"), &format!("c{poster}-{number:06}"));
                assert_eq!(running.post(&body).await.0, 200);
            }
        }
    });
    futures_util::future::join_all(posters).await;
    println!("{:.0} requests/s", 4000.0 / start.elapsed().as_secs_f64());
    let stats = running.platform.stats();
    assert_eq!((stats.messages, stats.duplicates, stats.order.distinct), (4000, 0, 4000));
    assert_eq!((stats.order.out_of_order, stats.order.missing), (0, 0));
    assert_eq!(running.platform.received().len(), 100);
}
