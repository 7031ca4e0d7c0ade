//! What is refused, with which status, and in which words.

use serde_json::json;

use crate::four::Four;
use crate::support::http::{self, Answer};
use crate::support::{among_others, say};

/// The refusal has this status, is JSON, and its message holds these words.
fn refused(what: &str, answer: &Answer, status: u16, words: &str) {
    let error = answer.error();
    say(format!("{what}: {} {error}", answer.status));
    assert_eq!(answer.status, status, "{what}: {error}");
    assert_eq!(answer.header("content-type"), "application/json", "{what}");
    assert!(error.contains(words), "{what}: `{error}` does not say `{words}`");
}

#[test]
fn webhooks_that_prove_nothing_are_refused_before_anything_else() {
    let _turn = among_others();
    let four = Four::start();
    let change = json!({"messages": [{"from": "16505551234", "id": "wamid.X", "timestamp": "1749416383",
        "type": "text", "text": {"body": "forged"}}]});
    refused("clicksend, wrong word", &four.clicksend("?key=guess", "forged"), 401, "missing or wrong");
    refused("clicksend, no word", &four.clicksend("", "forged"), 401, "missing or wrong");
    refused("twilio, another key", &four.twilio("receive", "54321", &[("Body", "forged")]), 401, "signature");
    refused("whatsapp, another key", &four.meta("another", &change), 401, "signature");
    refused("telegram, wrong secret", &four.telegram("guess", "forged"), 401, "missing or wrong");
    let unsigned = four.post("/providers/whatsapp/receive", &[("content-type", "application/json")], "{");
    refused("whatsapp, unsigned and broken", &unsigned, 401, "not signed");
    assert!(four.platform.received("forged").is_empty());
}

#[test]
fn requests_that_make_no_sense_get_the_status_that_says_so() {
    let _turn = among_others();
    let four = Four::start();
    let url = |path: &str| format!("{}{path}", four.gateway.url);
    let text = json!({"contactId": "1111111", "message": {"type": "text", "text": "hi"}}).to_string();
    let message = |path: &str, token: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        http::post(&url(path), &[("content-type", "application/json"), ("authorization", &bearer)], body)
    };
    let with_token = |body: &str| message("/channels/telegram/message", "platform-telegram", body);

    refused("wrong token", &message("/channels/telegram/message", "guess", &text), 401, "token");
    refused(
        "a token of another channel",
        &message("/channels/telegram/message", "platform-twilio", &text),
        401,
        "token",
    );
    refused("no token", &http::post(&url("/channels/telegram/message"), &[], &text), 401, "token");
    refused("wrong token, no channel", &message("/message", "guess", &text), 401, "token");
    refused("wrong token, broken body", &message("/channels/telegram/message", "guess", "{"), 401, "token");

    refused("message that is not JSON", &with_token("{\"contactId\":"), 400, "not JSON");
    refused(
        "unknown message type",
        &with_token(r#"{"contactId":"1","message":{"type":"sticker"}}"#),
        400,
        "`sticker`",
    );
    refused("no contact", &with_token(r#"{"message":{"type":"text","text":"x"}}"#), 400, "contactId");
    refused(
        "empty text",
        &with_token(r#"{"contactId":"1","message":{"type":"text","text":""}}"#),
        400,
        "empty",
    );
    let json_type =
        [("content-type", "application/json"), ("x-telegram-bot-api-secret-token", "bot_secret-1")];
    refused(
        "webhook that is not JSON",
        &four.post("/channels/telegram/receive", &json_type, "{"),
        400,
        "JSON",
    );

    refused(
        "unknown channel, message",
        &message("/channels/nobody/message", "guess", &text),
        404,
        "`nobody`",
    );
    refused("unknown channel, webhook", &four.post("/channels/nobody/receive", &[], "{}"), 404, "`nobody`");
    refused("unknown mapping", &four.post("/providers/nobody/receive", &[], "{}"), 404, "`nobody`");
    refused("unknown route", &four.post("/channels/twilio/nowhere", &[], ""), 404, "`receive`");
    refused(
        "a shared route on a channel",
        &four.post("/channels/whatsapp/receive", &[], "{}"),
        404,
        "receive",
    );
    refused("nothing there", &http::get(&url("/favicon.ico")), 404, "/favicon.ico");

    refused("GET of a POST route", &http::get(&url("/channels/twilio/receive")), 405, "POST");
    refused("GET of /message", &http::get(&url("/channels/twilio/message")), 405, "GET");
    refused(
        "PUT of a handshake route",
        &http::exchange("PUT", &url("/providers/whatsapp/receive"), &[], b"").unwrap(),
        405,
        "PUT",
    );

    let large = "x".repeat(65_537);
    refused("webhook too large", &four.post("/channels/telegram/receive", &json_type, &large), 413, "65536");
    refused("message too large", &with_token(&large), 413, "65536");
    let fits = json!({"contactId": "1111111", "message": {"type": "text", "text": "y".repeat(60_000)}});
    assert_eq!(with_token(&fits.to_string()).status, 200, "one that fits is taken");
}
