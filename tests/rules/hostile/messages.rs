//! Hostile messages of the platform: `POST /message`, through the mapping and as far as the provider.

use patchcord::call::Scripted;
use patchcord::plan::ContactIdKind;
use patchcord::platform::read_message;
use patchcord::rehearsal::send;
use serde_json::{Value, json};

use super::mutation::{self, Dice, Kind};
use super::subject::{self, Subject, shipped};
use super::{Tally, attack, attempt};

const MESSAGES: u64 = 1000;

#[test]
fn no_message_of_the_platform_brings_a_mapping_down() {
    let tallies = attack("Hostile messages of the platform", shipped(), attacked);
    for (name, tally) in &tallies {
        assert_eq!(u64::try_from(tally.count("messages")).unwrap(), MESSAGES, "{name}");
        assert!(tally.count("requests") > 100, "{name}: only {} requests were made", tally.count("requests"));
    }
}

/// What the platform sends, of every type.
fn messages(contact: &str) -> Vec<Value> {
    let attachment = |kind: &str, name: &str, mime: &str| {
        json!({"type": "attachment", "attachment": {"type": kind, "url": format!("https://files.example.com/{name}"),
            "mimeType": mime, "fileName": name, "description": "what it is"}})
    };
    [
        json!({"type": "text", "text": "Hello, **you**: https://example.com/a?b=1 ¿qué tal?"}),
        attachment("image", "a.png", "image/png"),
        attachment("video", "a.mp4", "video/mp4"),
        attachment("audio", "a.mp3", "audio/mpeg"),
        attachment("file", "a b.pdf", "application/pdf"),
        json!({"type": "location", "latitude": 3.1, "longitude": 101.6, "name": "KL", "address": "Jalan 1"}),
        json!({"type": "quick_reply", "title": "Which?", "replies": ["Yes", "No", {"title": "See", "url": "https://example.com"}]}),
    ]
    .into_iter()
    .map(|message| json!({"channelId": "c", "contactId": contact, "locale": "en", "message": message}))
    .collect()
}

/// With type and contact as they were: most of the others are refused before a mapping sees them.
fn addressed(message: &Value, body: Vec<u8>) -> Vec<u8> {
    let Ok(mut mutant) = serde_json::from_slice::<Value>(&body) else { return body };
    if mutant["message"].is_object() {
        mutant["message"]["type"] = message["message"]["type"].clone();
        mutant["contactId"] = message["contactId"].clone();
    }
    mutant.to_string().into_bytes()
}

fn attacked(subject: &Subject) -> Tally {
    let cases = subject.cases(|case| case.send.is_some());
    let mut tally = Tally::default();
    for number in 0..MESSAGES {
        let mut dice = Dice(number);
        let (case, kind) = (cases[dice.below(cases.len())], Kind::of(number));
        let contact = match subject.plan.contact_id {
            ContactIdKind::Phone => "+60123456789",
            ContactIdKind::Custom => &case.send.as_ref().unwrap().contact_id.value,
        };
        let messages = messages(contact);
        let message = &messages[dice.below(messages.len())];
        let mut body = mutation::body(kind, &mut dice, message.to_string().as_bytes());
        if !dice.one_in(4) {
            body = addressed(message, body);
        }
        tally.add("messages", 1);
        let found = attempt(|| {
            let mut message = match read_message(&body) {
                Ok(message) => message,
                Err(refusal) => {
                    tally.add("refused with 400", 1);
                    let why = refusal.to_string();
                    let told = !why.is_empty() && why.chars().count() < 1000;
                    return if told { Vec::new() } else { vec![format!("it is refused with {why:?}")] };
                }
            };
            message.id = "m-1".into();
            let stage = subject.stage(&subject.plan, case);
            let provider = Scripted::new(subject::answers(case));
            let outcome = subject::json(&send(&stage, &message, &provider, &mut subject::kept(case)));
            tally.add(outcome["outcome"].as_str().unwrap_or_default(), 1);
            tally.add("requests", outcome["requests"].as_array().map_or(0, Vec::len));
            let outcomes = ["sent", "failed", "retry", "throttled", "opt_out"];
            subject::problems(&outcome, &subject.plan, &outcomes, "outcome", Some(&message.contact_id))
        });
        if !found.is_empty() {
            let body = String::from_utf8_lossy(&body).chars().take(200).collect::<String>();
            let (name, test) = (&subject.name, &case.name.value);
            tally
                .bad
                .push(format!("{name} number {number}, {kind:?} ({test}): {}\n  {body}", found.join("; ")));
        }
    }
    tally
}
