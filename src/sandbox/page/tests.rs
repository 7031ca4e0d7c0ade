//! The page around both stand-ins, which are wired to each other by a forwarder instead of the gateway.

use std::time::Duration;

use axum::routing::any;
use tokio::net::TcpListener;

use super::*;
use crate::sandbox::platform;
use crate::sandbox::provider::{self, Receipts, sign};

struct Running {
    base: String,
    client: reqwest::Client,
    platform: Platform,
    provider: Provider,
    servers: Vec<tokio::task::JoinHandle<std::io::Result<()>>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.servers.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[derive(Clone)]
struct Forwarder {
    platform: String,
    provider: String,
    client: reqwest::Client,
    /// The gateway's id by the provider's.
    ids: Arc<std::sync::Mutex<std::collections::HashMap<String, String>>>,
}

/// Stands where the gateway would, with none of its promises: no queue, no pace, no retry.
async fn forward(State(forwarder): State<Forwarder>, request: Request) -> Response {
    let (parts, body) = http::read(request).await.ok().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let post = |url: String, token: &'static str, body: Value| {
        let request =
            forwarder.client.post(url).bearer_auth(token).header("content-type", "application/json");
        request.body(body.to_string()).send()
    };
    if parts.uri.path().ends_with("/message") {
        let mid = World::system().new_id();
        let mut text = body["message"]["text"].as_str().unwrap_or_default().to_owned();
        if let Some(url) = body.pointer("/message/attachment/url").and_then(Value::as_str) {
            url.clone_into(&mut text);
        }
        let message = json!({"to": body["contactId"], "text": text, "reference": mid});
        let url = format!("{}/messages", forwarder.provider);
        let (reference, ids) = (mid.clone(), Arc::clone(&forwarder.ids));
        let sending = post(url, "key", message);
        tokio::spawn(async move {
            let answer = sending.await.unwrap();
            let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
            ids.lock().unwrap().insert(answer["id"].as_str().unwrap_or_default().to_owned(), reference);
        });
        return http::json_answer(StatusCode::OK, &json!({"mId": mid}));
    }
    let event = if body["event"] == "message" {
        let mut message = json!({"type": "text", "text": body["text"]});
        if body["media"].is_object() {
            message =
                json!({"type": "attachment", "attachment": {"type": "image", "url": body["media"]["url"]}});
        }
        json!({"type": "message", "mId": body["id"], "timestamp": body["time"], "message": message})
    } else {
        let known = forwarder.ids.lock().unwrap().get(body["id"].as_str().unwrap()).cloned();
        let Some(mid) = known else {
            return http::error_answer(StatusCode::SERVICE_UNAVAILABLE, "the receipt overtook its message");
        };
        let mut status = json!({"value": body["status"]});
        if body["error"].is_object() {
            status["message"] = body["error"]["message"].clone();
        }
        json!({"type": "message_status", "mId": mid, "timestamp": body["time"], "status": status})
    };
    let contact = body["from"].as_str().unwrap_or("+60123456789");
    let body = json!({"channelId": "sandbox", "contactId": contact, "events": [event]});
    let url = format!("{}/custom/channel/webhook/", forwarder.platform);
    tokio::spawn(post(url, "sandbox-token", body));
    http::json_answer(StatusCode::OK, &json!({}))
}

async fn start(port: u16) -> Running {
    let mut listeners = Vec::new();
    for port in [port, 0, 0, 0] {
        listeners.push(TcpListener::bind(("127.0.0.1", port)).await.unwrap());
    }
    let [base, gateway, left, right]: [String; 4] = listeners
        .iter()
        .map(|listener| format!("http://{}", listener.local_addr().unwrap()))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let platform = Platform::new(platform::Options::default());
    let provider = Provider::new(provider::Options {
        webhook_url: Some(format!("{gateway}/events")),
        receipts: Receipts {
            delivered: Some(Duration::from_millis(50)),
            read: Some(Duration::from_millis(50)),
        },
        ..provider::Options::default()
    });
    let options = Options { base_url: gateway.clone(), provider_url: left.clone(), ..Options::default() };
    let forwarder =
        Forwarder { platform: right, provider: left, client: http::client(), ids: Arc::default() };
    let page = router(platform.clone(), provider.clone(), options).unwrap();
    let middle = Router::new().fallback(any(forward)).with_state(forwarder);
    let mut listeners = listeners.into_iter();
    let mut next = || listeners.next().unwrap();
    let servers = vec![
        tokio::spawn(http::serve(next(), page)),
        tokio::spawn(http::serve(next(), middle)),
        tokio::spawn(provider.clone().serve(next())),
        tokio::spawn(platform.clone().serve(next())),
    ];
    Running { base, client: http::client(), platform, provider, servers }
}

impl Running {
    async fn get(&self, path: &str) -> String {
        self.client.get(format!("{}{path}", self.base)).send().await.unwrap().text().await.unwrap()
    }

    async fn form(&self, path: &str, body: &'static str) -> reqwest::Response {
        let client =
            reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        let request = client.unwrap().post(format!("{}{path}", self.base));
        request.header("content-type", "application/x-www-form-urlencoded").body(body).send().await.unwrap()
    }

    async fn until(&self, holds: impl Fn(&str) -> bool) -> String {
        for _ in 0..300 {
            let board = self.get("/board").await;
            if holds(&board) {
                return board;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it never came: {}", self.get("/board").await);
    }
}

#[tokio::test]
async fn forms_alone_carry_messages_across_and_receipts_back() {
    let running = start(0).await;
    let answer = running.form("/contact", "contact=%2B60123456789&kind=text&text=Hello+there").await;
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()["location"], "/?contact=%2B60123456789");
    running.form("/agent", "contact=%2B60123456789&kind=text&text=Hi+Ann").await;
    let board = running.until(|board| board.contains("read <b>")).await;
    assert_eq!(board.matches("Hello there").count(), 3, "{board}");
    assert_eq!(board.matches("Hi Ann").count(), 3, "{board}");
    assert_eq!(board.matches("class=\"good\">arrived").count(), 2, "{board}");
    assert!(board.contains("class=\"state read\""), "{board}");
    assert_eq!(running.platform.stats().verdicts.len(), 1, "{:?}", running.platform.stats());
}

#[tokio::test]
async fn a_message_that_fails_after_all_says_why() {
    let running = start(0).await;
    running.form("/agent", "contact=%2B60123450001&kind=text&text=Hi").await;
    let found = |board: &str| board.contains("failed <b>") && board.contains("The phone was off");
    running.until(found).await;
}

#[tokio::test]
async fn a_picture_crosses() {
    let running = start(0).await;
    running.form("/contact", "contact=%2B60123456789&kind=picture&text=look").await;
    let board = running.until(|board| board.contains("arrived <b>")).await;
    assert!(board.contains("/media/picture.svg"), "{board}");
    let picture = board.split_whitespace().find(|word| word.contains("picture.svg")).unwrap();
    let url = picture.trim_start_matches("<p>").trim_end_matches("</p>");
    let answer = running.client.get(url).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "image/svg+xml");
}

#[tokio::test]
async fn markup_in_a_message_stays_text() {
    let running = start(0).await;
    running
        .form("/contact", "contact=%2B60123456789&kind=text&text=%3Cscript%3Ealert(1)%3C%2Fscript%3E")
        .await;
    let page = running.get("/?contact=%2B60123456789").await;
    assert!(page.contains("&lt;script&gt;alert"), "{page}");
    assert_eq!(page.matches("<script").count(), 1);
    let page = running.get("/?contact=%22%3E%3Cb%3E").await;
    assert!(!page.contains("\"><b>"), "{page}");
}

#[tokio::test]
async fn the_policy_admits_only_the_pages_own_script() {
    let running = start(0).await;
    let answer = running.client.get(&running.base).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = answer.text().await.unwrap();
    assert!(page.contains(&format!("<script nonce=\"{nonce}\">")) && !page.contains("style=\""));
    assert!(!page.contains(" on") || !page.contains("onclick="));
}

#[tokio::test]
async fn a_foreign_page_can_not_send_or_look() {
    let running = start(0).await;
    let post = || running.client.post(format!("{}/contact", running.base)).body("contact=%2B60&text=x");
    assert_eq!(post().header("origin", "http://evil.example").send().await.unwrap().status(), 403);
    assert_eq!(post().header("sec-fetch-site", "cross-site").send().await.unwrap().status(), 403);
    let rebound = running.client.get(&running.base).header("host", "evil.example");
    assert_eq!(rebound.send().await.unwrap().status(), 403);
    assert!(running.provider.said().is_empty());
}

#[tokio::test]
async fn an_open_page_is_told_of_changes() {
    let running = start(0).await;
    let mut stream = running.client.get(format!("{}/live", running.base)).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert!(stream.chunk().await.unwrap().unwrap().starts_with(b"event: changed"));
    running.form("/contact", "contact=%2B60123456789&kind=text&text=hi").await;
    let next = tokio::time::timeout(Duration::from_secs(3), stream.chunk()).await;
    assert!(next.unwrap().unwrap().unwrap().starts_with(b"event: changed"));
}

#[tokio::test]
async fn trouble_is_made_and_ended() {
    let running = start(0).await;
    running.form("/trouble", "what=provider-down").await;
    assert!(running.get("/board").await.contains("The provider is in trouble."));
    let answer = running.client.post(format!("{}/agent", running.base));
    answer.body("contact=%2B60123456789&text=hi").send().await.unwrap();
    running.until(|_| running.provider.stats().by_status.contains_key(&503)).await;
    running.form("/trouble", "what=none").await;
    assert!(!running.get("/board").await.contains("in trouble"));
}

/// For looking at the page: `SANDBOX_PORT=8100 cargo test --lib look_at_the_page -- --ignored`.
#[tokio::test]
#[ignore = "serves until it is stopped, for a browser"]
async fn look_at_the_page() {
    let port = std::env::var("SANDBOX_PORT").ok().and_then(|port| port.parse().ok()).unwrap_or(8100);
    let running = start(port).await;
    println!("{} (signatures such as {})", running.base, sign("sandbox-secret", b"{}"));
    std::future::pending::<()>().await;
}
