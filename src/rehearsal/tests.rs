//! The pipeline as a whole, on mappings that each test writes out.

use super::{Kept, NOW, Stage, answers_of, message_of, request_of, send};
use crate::call::{Response, Scripted};
use crate::compile;
use crate::diagnostic::{self, Diagnostics, Sources};
use crate::expression::Value;
use crate::pipeline::{Next, Outcome, Progress, Received, Site, find_route};
use crate::plan::Plan;
use crate::yaml;

fn plan(rest: &str) -> Plan {
    let (mut sources, mut out) = (Sources::new(), Diagnostics::new());
    let text = format!("patchcord: 1\nname: t\ncontact_id: custom\n{rest}");
    let file = sources.add("t.yaml", text);
    let plan = yaml::parse(file, &sources, &mut out).and_then(|node| compile::mapping(&node, &mut out));
    plan.unwrap_or_else(|| panic!("{}", diagnostic::text(&out, &sources, false)))
}

fn json(text: &str) -> Value {
    Value::from_json(text.as_bytes()).unwrap()
}

/// What a `POST` to a mapping's route comes to, below the level of `dry-run`.
fn received(plan: &Plan, shared: bool, route: &str, body: &str) -> Received {
    let (stage, _) = Stage::new(plan, &Value::Null, NOW);
    let given = Value::map([("path", Value::text(route)), ("body", Value::text(body))]);
    let (_, request) = request_of(&stage, &given).unwrap();
    let site = Site {
        plan,
        channel: (!shared).then_some(&*stage.channel),
        deployment: &stage.channel.deployment,
        directory: &stage,
        world: &stage.world,
    };
    let route = find_route(plan, shared, &request.method, &request.route).unwrap();
    crate::pipeline::receive(&site, route, &request, &mut None)
}

/// What a message comes to, as `dry-run --format json` shows it.
fn sent(plan: &Plan, message: &str, answers: &str) -> Value {
    let (stage, _) = Stage::new(plan, &Value::Null, NOW);
    let provider = Scripted::new(answers_of(&json(answers)).unwrap());
    send(&stage, &message_of(&json(message)).unwrap(), &provider, &mut Kept::default())
}

#[test]
fn a_webhook_that_can_t_be_read_is_kept_where_the_provider_is_told_that_all_is_well() {
    let events = "events: [{emit: message, id: $.id, contact: {id: $.from}, text: $.text}]";
    let told = plan(&format!(
        "webhooks: [{{route: POST r, decode: json, ack: {{error: {{status: 200}}}}, {events}}}]\n"
    ));
    let taken = received(&told, false, "r", "{\"id\":");
    assert_eq!(taken.reply.status, 200);
    assert!(taken.parked.is_some());
    let refused = plan(&format!("webhooks: [{{route: POST r, decode: json, {events}}}]\n"));
    let taken = received(&refused, false, "r", "{\"id\":");
    assert_eq!((taken.reply.status, taken.parked), (400, None));
}

#[test]
fn a_condition_of_the_mapping_that_fails_parks_the_webhook() {
    let plan = plan(
        "webhooks: [{route: POST r, decode: json, require: \"{{gt (parse_time it.at '%Y') 0}}\", \
         events: [{emit: message, id: $.id, contact: {id: $.from}, text: $.text}]}]\n",
    );
    let taken = received(&plan, false, "r", r#"{"at":"soon","id":1,"from":"a","text":"x"}"#);
    assert_eq!(taken.reply.status, 200);
    assert!(taken.parked.is_some_and(|reason| reason.contains("soon")));
}

#[test]
fn a_payload_that_names_no_channel_is_for_none() {
    let plan = plan(
        "config: {sender: {address: true}}\n\
         webhooks: [{route: POST r, shared: true, decode: json, channel: {address: $.to}, \
         events: [{emit: message, id: $.id, contact: {id: $.from}, text: $.text}]}]\n",
    );
    let taken = received(&plan, true, "r", r#"{"id":1,"from":"a","text":"x"}"#);
    assert_eq!(taken.events, []);
    assert_eq!(taken.reason.as_deref(), Some("the payload names no channel"));
}

#[test]
fn a_step_can_have_a_request_for_each_item_of_an_earlier_response() {
    let plan = plan(
        "send:\n  steps:\n\
         \x20   - {id: made, request: {method: POST, url: 'https://x.io/make'}, response: {decode: json}}\n\
         \x20   - {each: '{{made.list}}', as: one, request: {method: POST, url: 'https://x.io/{{one}}'}, \
         response: {decode: json, id: $.id}}\n",
    );
    let answers = r#"[{"json":{"list":["a","b"]}},{"json":{"id":"1"}},{"json":{"id":"2"}}]"#;
    let result = sent(&plan, r#"{"contact_id":"c","text":"x"}"#, answers);
    assert_eq!(result.get("ids").to_json().unwrap(), r#"["1","2"]"#);
    assert_eq!(result.get("outcome"), &Value::text("sent"));
}

#[test]
fn a_message_of_which_nothing_is_sent_is_not_sent() {
    let plan = plan(
        "send:\n  plan: {attachments: {mode: drop}}\n  steps:\n\
         \x20   - {each: parts, request: {url: 'https://x.io/', json: {t: '{{part.text}}'}}}\n",
    );
    let message = r#"{"contact_id":"c","attachments":[{"type":"image","url":"https://x/a.png"}]}"#;
    let result = sent(&plan, message, "[]");
    assert_eq!(result.get("outcome"), &Value::text("failed"));
    assert!(result.get("error").get("message").to_text().contains("nothing of this message"));
}

#[test]
fn an_attempt_goes_on_behind_what_was_sent() {
    let plan = plan(
        "send:\n  plan: {text: {max: 2}}\n  steps:\n\
         \x20   - {id: made, request: {method: POST, url: 'https://x.io/make'}, response: {decode: json}}\n\
         \x20   - {each: parts, when: '{{ne part.text \"b\"}}', request: {url: 'https://x.io/', \
         json: {t: '{{part.text}}', s: '{{made.s}}'}}, response: {id: $.id}}\n",
    );
    let (stage, _) = Stage::new(&plan, &Value::Null, NOW);
    let message = message_of(&json(r#"{"contact_id":"c","text":"a b c"}"#)).unwrap();
    let mut progress = Progress::default();
    let mut bodies = Vec::new();
    // One request in each attempt, as the gateway does it.
    let outcome = loop {
        let mut sending = stage.sending(&message, progress, &Kept::default()).unwrap();
        match sending.step() {
            Next::Wait(key) => panic!("nobody makes the call {key}"),
            Next::Done(outcome) => break outcome,
            Next::Request(request) => {
                bodies.push(request.body.map(|body| String::from_utf8_lossy(&body).into_owned()));
                let body = format!(r#"{{"id":"{}","s":7}}"#, bodies.len());
                sending.answer(Ok(Response { status: 200, headers: vec![], body: body.into() }));
            }
        }
        let kept = serde_json::to_string(&sending.progress()).unwrap();
        progress = serde_json::from_str(&kept).unwrap();
    };
    let body = |text: &str| Some(format!(r#"{{"t":"{text}","s":7}}"#));
    assert_eq!(bodies, [None, body("a"), body("c")]);
    assert_eq!(outcome, Outcome::Sent { ids: vec![vec!["2".into()], vec!["3".into()]] });
}

#[test]
fn quick_replies_keep_the_text_that_they_belong_to() {
    let plan = plan(
        "send:\n  plan: {attachments: {mode: each, caption: {}}, quick_replies: {mode: native}}\n  steps:\n\
         \x20   - {each: parts, request: {url: 'https://x.io/', json: {t: '{{part.text}}', u: '{{part.url}}', \
         c: '{{part.caption}}', q: '{{part.quick_replies}}'}}}\n",
    );
    let message = r#"{"contact_id":"c","text":"Q?","attachments":[{"type":"image","url":"https://x/a.png"}],
        "quick_replies":[{"title":"A"}]}"#;
    let result = sent(&plan, message, r#"[{"times":2}]"#);
    let bodies: Vec<_> = result
        .get("requests")
        .as_list()
        .unwrap()
        .iter()
        .map(|request| request.get("body").to_text())
        .collect();
    assert_eq!(bodies, [r#"{"u":"https://x/a.png"}"#, r#"{"t":"Q?","q":[{"title":"A"}]}"#]);
}

#[test]
fn a_payload_can_t_make_a_mapping_fill_the_memory() {
    let plan = plan(
        "webhooks: [{route: POST r, decode: json, events: [{each: '$.messages[*]', emit: message, id: $.id, \
         contact: {id: $.from, name: '{{root.name}}'}, text: $.text}]}]\n",
    );
    let messages = (0..5000).map(|n| format!(r#"{{"id":{n},"from":"a","text":"x"}}"#));
    let messages = messages.collect::<Vec<_>>().join(",");
    let body = format!(r#"{{"name":"{}","messages":[{messages}]}}"#, "n".repeat(500_000));
    let taken = received(&plan, false, "r", &body);
    let bytes: usize =
        taken.events.iter().filter_map(|routed| routed.event.contact.name.as_ref()).map(String::len).sum();
    assert!(bytes < 64 << 20, "{bytes}");
    assert!(taken.parked.is_some());
}

#[test]
fn a_status_that_names_nobody_is_an_event_and_no_request() {
    let plan = plan(
        "webhooks: [{route: POST r, decode: json, events: [{emit: message_status, id: $.id, contact: {id: $.to}, \
         status: $.status}]}]\n",
    );
    let (stage, _) = Stage::new(&plan, &Value::Null, NOW);
    let outcome = |body: &str| {
        let given = Value::map([("path", Value::text("r")), ("body", Value::text(body))]);
        let (shared, request) = request_of(&stage, &given).unwrap();
        let json = super::receive(&stage, shared, &request, &Scripted::default(), &mut Kept::default()).json;
        let count = |name: &str| json.get(name).as_list().unwrap().len();
        (count("events"), count("platform_requests"), json.get("reason").clone())
    };
    assert_eq!(outcome(r#"{"id":"1","status":"delivered"}"#), (1, 0, Value::Null));
    assert_eq!(outcome(r#"{"id":"1","status":"sent","to":"c"}"#), (1, 0, Value::Null));
    assert_eq!(outcome(r#"{"id":"1","status":"read","to":"c"}"#), (1, 1, Value::Null));
}
