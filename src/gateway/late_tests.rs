//! Events that wait, or need a call: the gateway on a store in memory, with a scripted network.

use super::tests::{answer, gateway_of, settled, webhook};
use super::*;
use crate::call::Scripted;

const MAPPING: &str = "
patchcord: 1
name: t
contact_id: custom
config: {key: {secret: true}, sender: {address: true}}
deployment: {word: {default: opensesame}}
verify:
  - equal: ['{{request.query.word}}', '{{deployment.word}}']
calls:
  body: {request: {url: 'https://x.io/body'}, response: {return: $.text, remember: {contact.seen: $.text}}}
webhooks:
  - route: POST r
    decode: json
    events:
      - {when: {$.type: echo}, emit: message_echo, id: $.id, contact: {id: $.from}, text: $.text, delay: 300ms, unless_sent: $.id}
      - {emit: message, id: $.id, contact: {id: $.from}, text: {$call: body}}
send:
  steps:
    - {each: parts, request: {url: 'https://x.io/send', json: {t: '{{part.text}}', seen: '{{store.contact.seen}}'}}, response: {id: $.id}}
";

/// What the platform was told, as JSON text.
pub(super) fn told(provider: &Scripted) -> Vec<String> {
    let requests = provider.requests();
    let posted = requests.iter().filter(|request| request.urls[0].as_str().starts_with("https://platform."));
    posted.map(|it| String::from_utf8_lossy(&it.body.bytes().unwrap_or_default()).into_owned()).collect()
}

/// Takes one webhook; the platform is told once, with these words in it.
async fn told_of_one(provider: &Arc<Scripted>, words: &str) -> Gateway {
    let gateway = gateway_of(MAPPING, provider.clone());
    gateway.accept_webhook(Called::Channel("c"), webhook(r#"{"id":"1","from":"a"}"#)).await;
    settled(&gateway).await;
    let told = told(provider);
    assert!(told.len() == 1 && told[0].contains(words), "{told:?}");
    gateway
}

#[tokio::test]
async fn a_call_that_fails_for_now_delays_a_message_and_what_it_remembers_is_there_for_the_answer() {
    let provider = Arc::new(Scripted::new(vec![
        answer("https://x.io/body", Some(1), 503, ""),
        answer("https://x.io/body", None, 200, r#"{"text":"the body"}"#),
        answer("https://x.io/send", None, 200, r#"{"id":"p1"}"#),
        answer("https://platform.example/*", None, 200, ""),
    ]));
    let gateway = told_of_one(&provider, "the body").await;
    let body = r#"{"contactId":"a","message":{"type":"text","text":"hi"}}"#;
    gateway.accept_message(Some("c"), Some("Bearer t0ken"), body.into()).await.unwrap();
    settled(&gateway).await;
    let sent = provider.requests().into_iter().find(|request| request.urls[0].as_str().ends_with("/send"));
    assert_eq!(sent.unwrap().body.bytes().unwrap(), r#"{"t":"hi","seen":"the body"}"#);
}

#[tokio::test]
async fn a_call_that_fails_for_good_keeps_no_message_back() {
    let provider = Arc::new(Scripted::new(vec![
        answer("https://x.io/body", None, 404, ""),
        answer("https://platform.example/*", None, 200, ""),
    ]));
    told_of_one(&provider, "could not be fetched").await;
}

#[tokio::test]
async fn a_message_that_would_be_blank_waits_for_credentials_that_are_good() {
    let provider = Arc::new(Scripted::new(vec![
        answer("https://x.io/body", Some(3), 401, ""),
        answer("https://x.io/body", None, 200, r#"{"text":"the body"}"#),
        answer("https://platform.example/*", None, 200, ""),
    ]));
    told_of_one(&provider, "the body").await;
}

#[tokio::test]
async fn an_echo_of_our_own_message_that_overtakes_the_answer_is_dropped() {
    let provider = Arc::new(Scripted::new(vec![
        answer("https://x.io/send", None, 200, r#"{"id":"p1"}"#),
        answer("https://platform.example/*", None, 200, ""),
    ]));
    let gateway = gateway_of(MAPPING, provider.clone());
    for echo in [
        r#"{"type":"echo","id":"p1","from":"a","text":"x"}"#,
        r#"{"type":"echo","id":"p2","from":"b","text":"x"}"#,
    ] {
        gateway.accept_webhook(Called::Channel("c"), webhook(echo)).await;
    }
    // It is sent while the echo waits.
    let body = r#"{"contactId":"a","message":{"type":"text","text":"x"}}"#;
    gateway.accept_message(Some("c"), Some("Bearer t0ken"), body.into()).await.unwrap();
    settled(&gateway).await;
    let told = told(&provider);
    assert!(told.len() == 1 && told[0].contains("\"p2\""), "{told:?}");
}
