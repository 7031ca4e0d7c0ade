//! The provider stand-in over real HTTP; a second stand-in plays the gateway.

use serde_json::{Value, json};

use super::*;
use crate::sandbox::burst::Burst;

struct Running {
    provider: Provider,
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
    let provider = Provider::new(options);
    let server = tokio::spawn(provider.clone().serve(listener));
    Running { provider, base, client: http::client(), server }
}

fn script(json: &Value) -> Script {
    Script::from_json(json.to_string().as_bytes(), Instant::now()).unwrap()
}

fn webhooks_to(gateway: &Running) -> Options {
    let receipts =
        Receipts { delivered: Some(Duration::from_millis(10)), read: Some(Duration::from_millis(10)) };
    Options { webhook_url: Some(format!("{}/hook", gateway.base)), receipts, ..Options::default() }
}

impl Running {
    async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self.client.request(method, format!("{}{path}", self.base)).body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
    }

    async fn wait_for(&self, count: usize) -> Vec<Received> {
        for _ in 0..300 {
            let received = self.provider.received();
            if received.len() >= count {
                return received;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("only {} of {count} requests came", self.provider.received().len());
    }
}

#[tokio::test]
async fn any_request_is_answered_and_recorded() {
    let running = start(Options::default()).await;
    assert_eq!(running.ask("PUT", "/v3/anything?a=b", &json!({"x": 1})).await, (200, json!({})));
    let received = running.provider.received();
    assert_eq!((received[0].method.as_str(), received[0].url.as_str()), ("PUT", "/v3/anything?a=b"));
    assert_eq!(received[0].json(), json!({"x": 1}));
}

#[tokio::test]
async fn a_script_is_followed_in_order_and_the_default_fills_in() {
    let running = start(Options::default()).await;
    let (set, _) = running
        .ask(
            "POST",
            "/_stand-in/script",
            &json!({
                "answers": [
                    {"url": "*/sms/send", "status": 503, "headers": {"retry-after": "2"}},
                    {"method": "GET", "json": {"credit": 3}},
                ],
                "default": {"json": {"data": {"messages": [{"message_id": "{{id}}", "status": "SUCCESS"}]}}},
            }),
        )
        .await;
    assert_eq!(set, 200);
    assert_eq!(running.ask("POST", "/v3/sms/send", &json!({})).await.0, 503);
    assert_eq!(running.ask("GET", "/v3/account", &json!({})).await.1, json!({"credit": 3}));
    let (_, body) = running.ask("POST", "/v3/sms/send", &json!({})).await;
    assert!(body["data"]["messages"][0]["message_id"].as_str().unwrap().starts_with("sb-"), "{body}");
    let stats = running.provider.stats();
    assert_eq!((stats.by_path["/v3/sms/send"].requests, stats.by_status[&503]), (2, 1));
}

#[tokio::test]
async fn silence_lasts_until_the_caller_gives_up() {
    let running = start(Options::default()).await;
    running.provider.set_script(script(&json!([{"timeout": true}, {"timeout": true, "taken": true}])));
    let request =
        running.client.post(format!("{}/messages", running.base)).timeout(Duration::from_millis(100));
    let body = json!({"to": "+60123456789", "text": "c1-1"}).to_string();
    assert!(request.try_clone().unwrap().body(body.clone()).send().await.unwrap_err().is_timeout());
    assert!(running.provider.taken().is_empty());
    assert!(request.body(body).send().await.unwrap_err().is_timeout());
    assert_eq!(running.provider.taken().len(), 1);
    assert_eq!(running.provider.stats().order.distinct, 1);
}

#[tokio::test]
async fn the_sandbox_api_takes_messages_and_refuses_what_it_must() {
    let running = start(Options { token: Some("key".into()), ..Options::default() }).await;
    let url = format!("{}/messages", running.base);
    let post = |token: &'static str, to: &'static str| {
        let body = json!({"to": to, "text": "hi", "reference": "m-1"}).to_string();
        running.client.post(&url).bearer_auth(token).body(body).send()
    };
    assert_eq!(post("wrong", "+60123456789").await.unwrap().status(), 401);
    assert_eq!(post("key", "+60123450000").await.unwrap().status(), 400);
    assert_eq!(post("key", "+60123450002").await.unwrap().status(), 403);
    let answer: Value =
        serde_json::from_str(&post("key", "+60123456789").await.unwrap().text().await.unwrap()).unwrap();
    assert_eq!(answer["status"], "queued");
    let taken = running.provider.taken();
    assert_eq!((taken.len(), taken[0].id.as_str()), (1, answer["id"].as_str().unwrap()));
    assert_eq!(taken[0].reference.as_deref(), Some("m-1"));
}

#[tokio::test]
async fn receipts_follow_signed_and_in_order() {
    let gateway = start(Options::default()).await;
    let running = start(webhooks_to(&gateway)).await;
    let (_, answer) = running
        .ask("POST", "/messages", &json!({"to": "+60123456789", "text": "hi", "reference": "m-1"}))
        .await;
    let received = gateway.wait_for(2).await;
    for (one, status) in received.iter().zip(["delivered", "read"]) {
        assert_eq!(one.header("x-sandbox-signature"), Some(sign("sandbox-secret", &one.body).as_str()));
        let body = one.json();
        assert_eq!((&body["event"], &body["id"]), (&json!("receipt"), &answer["id"]));
        assert_eq!((&body["status"], &body["reference"]), (&json!(status), &json!("m-1")));
    }
    assert_eq!(running.provider.taken()[0].receipts.len(), 2);
}

#[tokio::test]
async fn a_receipt_is_repeated_until_the_gateway_takes_it() {
    let gateway = start(Options::default()).await;
    gateway
        .provider
        .set_script(script(&json!([{"status": 503, "headers": {"retry-after": "0"}, "times": 2}])));
    let running = start(webhooks_to(&gateway)).await;
    running.ask("POST", "/messages", &json!({"to": "+60123450001", "text": "hi"})).await;
    let received = gateway.wait_for(3).await;
    assert_eq!(received[2].json()["error"]["code"], "handset_off");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let receipts = running.provider.stats().receipts;
    assert_eq!((receipts.refused, receipts.sent["failed"]), (2, 1));
}

#[tokio::test]
async fn a_contact_writes_to_the_gateway() {
    let gateway = start(Options::default()).await;
    let running = start(webhooks_to(&gateway)).await;
    let said = json!({"from": "+60123456789", "name": "Ann", "text": "hello"});
    let (status, answer) = running.ask("POST", "/_stand-in/deliver", &said).await;
    let body = gateway.wait_for(1).await[0].json();
    assert_eq!((status, &body["id"], &body["event"]), (200, &answer["id"], &json!("message")));
    assert_eq!((&body["from"], &body["text"]), (&said["from"], &said["text"]));
    assert!(body["time"].is_i64() && body.get("forged").is_none());
    assert!(running.provider.said()[0].accepted.is_some());

    running
        .ask("POST", "/_stand-in/deliver", &json!({"from": "+60123456789", "text": "a", "forged": true}))
        .await;
    let forged = &gateway.wait_for(2).await[1];
    assert_ne!(forged.header("x-sandbox-signature"), Some(sign("sandbox-secret", &forged.body).as_str()));

    gateway.provider.set_script(script(&json!({"status": 401, "body": "bad signature"})));
    let (status, answer) = running.ask("POST", "/_stand-in/deliver", &said).await;
    assert_eq!((status, &answer["error"]["status"]), (502, &json!(401)));
    assert!(running.provider.said()[2].error.as_deref().unwrap().contains("bad signature"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_measured_exactly() {
    let gateway = start(Options::default()).await;
    let running = start(webhooks_to(&gateway)).await;
    let report = running.provider.flood(&Burst { contacts: 50, each: 40, ..Burst::default() }, None).await;
    println!("{:.0} messages/s, slowest {:.1} ms", 2000.0 / report.seconds, report.slowest_ms);
    assert_eq!((report.accepted, report.lost), (2000, 0));
    let stats = gateway.provider.stats();
    assert_eq!((stats.requests, stats.order.distinct, stats.order.contacts), (2000, 2000, 50));
    assert_eq!((stats.order.out_of_order, stats.order.repeats, stats.order.missing), (0, 0, 0));
    assert!(stats.max_in_any_second <= 2000 && stats.max_in_any_second > 100);
    assert!((1..=32).contains(&stats.max_in_flight));
    gateway.provider.forget();
    assert_eq!(gateway.provider.stats().requests, 0);
}
