//! Messages and receipts of four providers cross in both directions, in each side's own format.

use serde_json::{Value, json};

use crate::four::Four;
use crate::support::{among_others, http, say, until};

/// The fields of a text message, as Twilio's documentation lists them.
const TWILIO_MESSAGE: &[(&str, &str)] = &[
    ("ToCountry", "US"),
    ("ToState", ""),
    ("SmsMessageSid", "SMXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX1"),
    ("NumMedia", "0"),
    ("ToCity", ""),
    ("FromZip", "94107"),
    ("SmsSid", "SMXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX1"),
    ("FromState", "CA"),
    ("SmsStatus", "received"),
    ("FromCity", "SAN FRANCISCO"),
    ("Body", "from twilio: ü & 1+1"),
    ("FromCountry", "US"),
    ("To", "+15558675310"),
    ("ToZip", ""),
    ("NumSegments", "1"),
    ("MessageSid", "SMXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX1"),
    ("AccountSid", "ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"),
    ("From", "+14017122661"),
    ("ApiVersion", "2010-04-01"),
];
const WAMID: &str = "wamid.HBgLMTY1MDU1NTEyMzQVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=";

#[test]
fn webhooks_of_four_providers_arrive_at_the_platform() {
    let _turn = among_others();
    let four = Four::start();

    let answer = four.clicksend("?key=3b5d5c3712955042", "from clicksend");
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    let answer = four.twilio("receive", "12345", TWILIO_MESSAGE);
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/xml"));
    assert_eq!(answer.text(), r#"<?xml version="1.0" encoding="UTF-8"?><Response/>"#);
    let message = json!({"contacts": [{"profile": {"name": "Sheena Nelson"}, "wa_id": "16505551234"}],
        "messages": [{"from": "16505551234", "id": WAMID, "timestamp": "1749416383", "type": "text",
            "text": {"body": "from whatsapp"}}]});
    assert_eq!(four.meta("meta-app-secret", &message).status, 200);
    assert_eq!(four.telegram("bot_secret-1", "from telegram").status, 200);

    let seen = four.at_platform("from clicksend");
    assert_eq!(
        seen,
        json!({"channelId": "ch-clicksend", "contactId": "+61429912603", "events": [{"type": "message",
            "mId": "1F12D781-99C1-6D94-96FE-F5A311C8997D", "timestamp": 1_775_012_927_000_u64,
            "message": {"type": "text", "text": "from clicksend"}}]})
    );
    let seen = four.at_platform("from twilio");
    assert_eq!((&seen["channelId"], &seen["contactId"]), (&json!("ch-twilio"), &json!("+14017122661")));
    assert_eq!(seen["events"][0]["message"]["text"], "from twilio: ü & 1+1");
    assert_eq!(seen["contact"], json!({"countryCode": "US"}));
    let seen = four.at_platform("from whatsapp");
    assert_eq!((&seen["channelId"], &seen["contactId"]), (&json!("ch-whatsapp"), &json!("+16505551234")));
    assert_eq!(seen["contact"], json!({"firstName": "Sheena", "lastName": "Nelson"}));
    let mid = seen["events"][0]["mId"].as_str().unwrap();
    assert!(mid.starts_with("m_") && mid.len() <= 50, "{mid}");
    let seen = four.at_platform("from telegram");
    assert_eq!((&seen["channelId"], &seen["contactId"]), (&json!("ch-telegram"), &json!("1111111")));
    assert_eq!(seen["events"][0]["mId"], "1111111_1365");
    assert_eq!(seen["contact"], json!({"firstName": "Ada", "lastName": "Lovelace", "language": "pt"}));

    // What providers deliver again arrives once.
    assert_eq!(four.clicksend("?key=3b5d5c3712955042", "from clicksend").status, 200);
    assert_eq!(four.twilio("receive", "12345", TWILIO_MESSAGE).status, 200);
    assert_eq!(four.meta("meta-app-secret", &message).status, 200);
    assert_eq!(four.telegram("bot_secret-1", "from telegram").status, 200);
    let marker = json!({"contacts": [], "messages": [{"from": "16505551234", "id": "wamid.LAST",
        "timestamp": "1749416383", "type": "text", "text": {"body": "marker"}}]});
    assert_eq!(four.meta("meta-app-secret", &marker).status, 200);
    four.at_platform("marker");
    let stats = four.platform.stats();
    say(format!(
        "8 signed webhooks of 4 providers, each twice, and a last one: {} messages at the platform, {} duplicates, {}",
        stats["messages"], stats["duplicates"], stats["verdicts"]
    ));
    assert_eq!((&stats["messages"], &stats["duplicates"]), (&json!(5), &json!(0)));
    assert_eq!(stats["verdicts"], json!({"accepted": 5}));
}

#[test]
fn messages_of_the_platform_arrive_at_four_providers() {
    let _turn = among_others();
    let four = Four::start();
    four.send("clicksend", "+61429912603", "to clicksend");
    four.send("twilio", "+14017122661", "to twilio");
    four.send("whatsapp", "+16505551234", "to whatsapp");
    four.send("telegram", "1111111", "to telegram");

    let seen = four.provider.first("to clicksend");
    assert_eq!(seen["url"], "/clicksend/v3/sms/send");
    // printf %s 'ada:clicksend-key' | openssl base64
    assert_eq!(seen["headers"]["authorization"], "Basic YWRhOmNsaWNrc2VuZC1rZXk=");
    assert_eq!(
        seen["json"],
        json!({"messages": [{"to": "+61429912603", "from": "+61422222222", "body": "to clicksend",
            "source": "patchcord"}]})
    );
    let seen = four.provider.first("to+twilio");
    assert_eq!(seen["url"], "/twilio/2010-04-01/Accounts/ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX/Messages.json");
    let form: Vec<_> = url::form_urlencoded::parse(seen["body"].as_str().unwrap().as_bytes()).collect();
    let form: Vec<_> = form.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        form,
        [
            ("To", "+14017122661"),
            ("From", "+15558675310"),
            ("Body", "to twilio"),
            ("StatusCallback", "https://gateway.example.com/channels/twilio/status"),
        ]
    );
    let seen = four.provider.first("to whatsapp");
    assert_eq!(seen["url"], "/whatsapp/v25.0/106540352242922/messages");
    assert_eq!(seen["headers"]["authorization"], "Bearer meta-access-token");
    assert_eq!(
        seen["json"],
        json!({"messaging_product": "whatsapp", "recipient_type": "individual", "to": "16505551234",
            "type": "text", "text": {"body": "to whatsapp", "preview_url": false}})
    );
    let seen = four.provider.first("to telegram");
    assert_eq!(seen["url"], "/telegram/bot123456:ABC-DEF1234ghIkl-zyx57W2v1u123ew11/sendMessage");
    assert_eq!(seen["json"], json!({"chat_id": "1111111", "text": "to telegram"}));
    say(format!("4 messages in 4 formats: {}", four.provider.stats()["by_status"]));
}

#[test]
fn receipts_of_three_providers_come_back_under_the_gateway_s_id() {
    let _turn = among_others();
    let four = Four::start();
    let sent = |channel: &str, contact: &str, id: &str| {
        let mid = four.send(channel, contact, &format!("receipt for {channel}"));
        let number = until("the message is sent", 20, || {
            four.provider.received(contact.trim_start_matches('+')).first().map(|seen| seen["number"].clone())
        });
        (mid, format!("{id}{number}"))
    };
    let (clicksend, id) = sent("clicksend", "+61429912603", "CS-");
    let receipt = |code: u32, text: &str, error: Value| {
        json!({"timestamp_send": 1_722_565_411, "timestamp": 1_722_565_420, "message_id": id, "status_code": code,
            "status_text": text, "error_code": error, "error_text": null, "message_type": "sms"})
        .to_string()
    };
    let (path, json_type) =
        ("/channels/clicksend/status?key=3b5d5c3712955042", [("content-type", "application/json")]);
    let body = receipt(201, "Success: Message received on handset.", Value::Null);
    assert_eq!(four.post(path, &json_type, &body).status, 200);

    let (twilio, id) = sent("twilio", "+14017122661", "SM-");
    let callback = |status, error| {
        let fields = [
            ("SmsSid", &*id),
            ("SmsStatus", status),
            ("MessageStatus", status),
            ("To", "+14017122661"),
            ("MessageSid", &*id),
            ("AccountSid", "ACXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX"),
            ("From", "+15558675310"),
            ("ApiVersion", "2010-04-01"),
            ("ErrorCode", error),
        ];
        let given = fields.len() - usize::from(error.is_empty());
        four.twilio("status", "12345", &fields[..given]).status
    };
    assert_eq!((callback("sent", ""), callback("undelivered", "30003")), (200, 200));

    let (whatsapp, id) =
        sent("whatsapp", "+16505551234", "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA-");
    for status in ["sent", "delivered", "read", "delivered"] {
        let value = json!({"statuses": [{"id": id, "status": status, "timestamp": "1750263773",
            "recipient_id": "16505551234"}]});
        assert_eq!(four.meta("meta-app-secret", &value).status, 200);
    }

    four.platform.status(&clicksend, "delivered");
    let reason = four.platform.status(&twilio, "failed");
    assert_eq!(
        reason,
        "The phone cannot be reached: it is off, out of coverage or cannot receive SMS (30003)"
    );
    four.platform.status(&whatsapp, "read");
    assert_eq!(four.platform.statuses(&whatsapp), ["delivered", "read"]);
    let stats = four.platform.stats();
    say(format!(
        "statuses at the platform: {}; backwards: {}",
        stats["sent"]["statuses"], stats["sent"]["backward_statuses"]
    ));
    assert_eq!(stats["sent"]["statuses"], json!({"delivered": 2, "failed": 1, "read": 1}));
    assert_eq!(stats["sent"]["backward_statuses"], 0);
    assert_eq!(stats["sent"]["unknown_statuses"], 0);
}

#[test]
fn the_handshake_of_a_shared_route_is_answered_with_its_challenge() {
    let _turn = among_others();
    let four = Four::start();
    let ask = |token: &str| {
        let query = format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}");
        http::get(&format!("{}/providers/whatsapp/receive?{query}", four.gateway.url))
    };
    let answer = ask("meta-verify-token");
    assert_eq!((answer.status, answer.text().as_str()), (200, "1158201444"));
    let refused = ask("guessed");
    assert_eq!(refused.status, 401);
    say(format!(
        "right token: {} {}; wrong token: {} {}",
        answer.status,
        answer.text(),
        refused.status,
        refused.text()
    ));
}

#[test]
fn every_form_of_the_api_base_url_works() {
    let _turn = among_others();
    let four = Four::start();
    let base = &four.gateway.url;
    let urls = [
        base.clone(),
        format!("{base}/message"),
        format!("{base}/channels/telegram"),
        format!("{base}/channels/telegram/"),
        format!("{base}/channels/telegram/message"),
    ];
    let mids: Vec<_> = urls
        .iter()
        .map(|url| four.platform.send(url, "platform-telegram", "1111111", &format!("by {url};")))
        .collect();
    for url in &urls {
        four.provider.first(&format!("by {url};"));
    }
    let distinct: std::collections::BTreeSet<_> = mids.iter().collect();
    assert_eq!(distinct.len(), urls.len());
    assert!(mids.iter().all(|mid| mid.len() <= 50));
    say(format!("{} base URLs, {} ids such as {}", urls.len(), distinct.len(), mids[0]));
}
