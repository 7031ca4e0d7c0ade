//! The gateway on a store in memory, with a scripted network.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::call::{NetworkPolicy, Response, Scripted, ScriptedAnswer};
use crate::compile;
use crate::diagnostic::{self, Diagnostics, Sources};
use crate::expression::{Map, Value};
use crate::pipeline::Incoming;
use crate::plan::{ChannelFacts, ContactIdKind, Limits, Retry};
use crate::platform::{PlatformChannel, Token};
use crate::yaml;

const MAPPING: &str = "
patchcord: 1
name: t
contact_id: custom
config: {key: {secret: true}, sender: {address: true}}
deployment: {word: {default: opensesame}}
verify:
  - equal: ['{{request.query.word}}', '{{deployment.word}}']
webhooks:
  - {route: POST r, decode: json, ack: {error: {status: 200}}, events: [{emit: message, id: $.id, contact: {id: $.from}, text: $.text}]}
  - {route: POST r, shared: true, decode: json, channel: {address: $.to}, events: [{emit: message, id: $.id, contact: {id: $.from}, text: $.text}]}
send:
  plan: {attachments: {mode: drop}}
  steps:
    - {each: parts, request: {url: 'https://x.io/send', json: {t: '{{part.text}}'}}, response: {id: $.id}}
";

fn gateway() -> Gateway {
    gateway_of(MAPPING, Arc::new(Scripted::default()))
}

pub(super) fn gateway_of(mapping: &str, transport: Arc<dyn Transport>) -> Gateway {
    gateway_with_batch(mapping, transport, 1)
}

pub(super) fn gateway_with_batch(mapping: &str, transport: Arc<dyn Transport>, batch: usize) -> Gateway {
    let (mut sources, mut out) = (Sources::new(), Diagnostics::new());
    let file = sources.add("t.yaml", mapping);
    let plan = yaml::parse(file, &sources, &mut out).and_then(|node| compile::mapping(&node, &mut out));
    let plan = Arc::new(plan.unwrap_or_else(|| panic!("{}", diagnostic::text(&out, &sources, false))));
    let mut config = Map::new();
    config.insert("key", Value::text("k3y/s3cret"));
    config.insert("sender", Value::text("s1"));
    let facts = ChannelFacts { name: "c".into(), config, ..ChannelFacts::default() };
    let (channel, problems) = Channel::new(&plan, &facts);
    assert_eq!(problems, []);
    let settings = Settings {
        listen: String::new(),
        public_url: "https://gw.example".into(),
        store: "sqlite::memory:".into(),
        network: NetworkPolicy::default(),
        server: crate::load::ServerSettings::default(),
        media: crate::load::MediaSettings::default(),
        keep: Duration::from_secs(3600),
        keep_dead: Duration::from_secs(3600),
        admin: None,
        channels: vec![ChannelSettings {
            plan,
            channel: Arc::new(channel),
            platform: PlatformChannel { channel_id: "ch".into(), id_type: ContactIdKind::Custom },
            webhook_url: "https://platform.example/".into(),
            token: Token::new("t0ken"),
            platform_rate: Limits::default().rate,
            platform_batch: batch,
            statuses: vec![],
            limits: Limits::default(),
            retry: Retry::default(),
        }],
    };
    Gateway::with_transport(settings, World::fixed(1_767_323_045_000, 1), transport).unwrap()
}

pub(super) fn webhook(body: &'static str) -> Incoming {
    Incoming {
        method: "POST".into(),
        url: "https://gw.example/channels/c/r?word=opensesame&key=k3y%2Fs3cret".into(),
        route: "r".into(),
        query: "word=opensesame&key=k3y%2Fs3cret".into(),
        body: body.into(),
        ..Incoming::default()
    }
}

fn status(answer: &WebhookAnswer) -> u16 {
    match answer {
        WebhookAnswer::Reply(reply) => reply.status,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_can_t_be_read_is_parked_without_the_channel_s_secrets() {
    let gateway = gateway();
    let answer = gateway.accept_webhook(Called::Channel("c"), webhook("{")).await;
    assert_eq!(status(&answer), 200);
    let parked = gateway.store().parked(store::ParkedFilter::default()).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(&parked[0].entry.body[..], b"{");
    assert!(!parked[0].entry.url.contains("s3cret"), "{}", parked[0].entry.url);
    assert!(parked[0].entry.url.contains("word=opensesame"), "{}", parked[0].entry.url);
}

#[tokio::test]
async fn defaults_of_deployment_hold_on_shared_routes() {
    let gateway = gateway();
    let body = r#"{"to":"s1","id":"1","from":"a-b","text":"x"}"#;
    assert_eq!(status(&gateway.accept_webhook(Called::Shared("t"), webhook(body)).await), 200);
    let wrong = Incoming { query: String::new(), ..webhook(body) };
    assert_eq!(status(&gateway.accept_webhook(Called::Shared("t"), wrong).await), 401);
}

#[tokio::test]
async fn a_message_of_which_nothing_can_be_sent_is_refused_at_once() {
    let gateway = gateway();
    let accept = |message: &str| {
        let body = format!(r#"{{"contactId":"a","message":{message}}}"#);
        gateway.accept_message(Some("c"), Some("Bearer t0ken"), body.into())
    };
    assert!(accept(r#"{"type":"text","text":"x"}"#).await.is_ok());
    let attachment = r#"{"type":"attachment","attachment":{"url":"https://x.io/a.png"}}"#;
    assert!(matches!(accept(attachment).await, Err(Refused::Message(_))));
}

#[tokio::test]
async fn an_alias_leads_back_to_the_contact() {
    let gateway = gateway();
    let body = r#"{"id":"1","from":"a-b","text":"x"}"#;
    assert_eq!(status(&gateway.accept_webhook(Called::Channel("c"), webhook(body)).await), 200);
    let alias = crate::platform::contact_alias("a-b");
    let body = format!(r#"{{"contactId":"{alias}","message":{{"type":"text","text":"hi"}}}}"#);
    let mid = gateway.accept_message(Some("c"), Some("Bearer t0ken"), body.into()).await.unwrap();
    let filter = store::Filter { mid: Some(mid.into()), ..store::Filter::default() };
    let found = gateway.store().list(filter).await.unwrap();
    assert_eq!(found[0].delivery.contact, "a-b");
}

pub(super) fn answer(url: &str, times: Option<u64>, status: u16, body: &str) -> ScriptedAnswer {
    ScriptedAnswer {
        url: Some(url.into()),
        times,
        response: Some(Response { status, body: body.to_string().into(), ..Response::default() }),
        ..ScriptedAnswer::default()
    }
}

/// Waits until nothing is queued.
pub(super) async fn settled(gateway: &Gateway) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while gateway.store().counts().await.unwrap().queued > 0 && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const WITH_TOKEN: &str = "
patchcord: 1
name: t
contact_id: custom
config: {key: {secret: true}, sender: {address: true}}
http: {auth: {bearer: {$call: token}}}
calls:
  token:
    request: {url: 'https://x.io/token', query: {key: '{{config.key}}'}}
    response: {return: $.token}
    cache: {ttl: 1h}
  upload: {request: {url: 'https://x.io/upload', json: {of: '{{arg.of}}'}}, response: {return: $.file}}
send:
  steps:
    - {each: parts, let: {file: {$call: upload, of: '{{part.text}}'}}, request: {url: 'https://x.io/send', json: {f: '{{file}}'}}, response: {id: $.id}}
";

#[tokio::test]
async fn many_messages_fetch_one_token_and_a_retry_repeats_no_call() {
    let provider = Arc::new(Scripted::new(vec![
        answer("https://x.io/token", None, 200, r#"{"token":"t1"}"#),
        answer("https://x.io/upload", None, 200, r#"{"file":"f1"}"#),
        answer("https://x.io/send", Some(1), 503, ""),
        answer("https://x.io/send", None, 200, r#"{"id":"p"}"#),
    ]));
    let gateway = gateway_of(WITH_TOKEN, provider.clone());
    for contact in ["a", "b", "c", "d"] {
        let body = format!(r#"{{"contactId":"{contact}","message":{{"type":"text","text":"{contact}"}}}}"#);
        gateway.accept_message(Some("c"), Some("Bearer t0ken"), body.into()).await.unwrap();
    }
    settled(&gateway).await;
    gateway.finish(Duration::from_secs(5)).await;
    let requests = provider.requests();
    let count =
        |url: &str| requests.iter().filter(|request| request.urls[0].as_str().starts_with(url)).count();
    assert_eq!(count("https://x.io/token"), 1, "one makes the call, the others wait for its value");
    assert_eq!(
        count("https://x.io/upload"),
        4,
        "once for each message, also for the one that was tried again"
    );
    assert_eq!(count("https://x.io/send"), 5);
    assert!(requests.iter().filter(|request| request.urls[0].as_str().ends_with("/send")).all(|it| {
        it.headers.iter().any(|(name, value)| name == "authorization" && value == "Bearer t1")
    }));
}
