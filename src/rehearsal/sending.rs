//! A message, offline.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use smol_str::SmolStr;
use url::{Url, form_urlencoded};

use super::kept::{Kept, shown};
use super::stage::Stage;
use crate::call::{
    self, File, Outgoing, Part, PartContent, Payload, Response, Scripted, ScriptedAnswer, Shown, Transport,
};
use crate::expression::{Map, Value};
use crate::memory::Remember;
use crate::message::{Contact, Content, Event, EventKind, Fault, IdOwner, Outbound, Status};
use crate::pipeline::{Next, Outcome, Progress};
use crate::platform::{read_message, request_body};

/// Sends a message to a scripted provider; gives what `dry-run --format json` shows. `kept` stands for the store.
pub fn send(stage: &Stage<'_>, message: &Outbound, provider: &Scripted, kept: &mut Kept) -> Value {
    let mut changes = Vec::new();
    let earlier = provider.requests().len();
    let mut sending = match stage.sending(message, Progress::default(), kept) {
        Ok(sending) => sending,
        Err(failure) => return broken(stage, message, failure.0),
    };
    loop {
        match sending.step() {
            Next::Request(request) => sending.answer(provider.answer(&request)),
            Next::Wait(key) => return broken(stage, message, format!("nobody makes the call {key}")),
            Next::Done(outcome) => {
                kept.remember(sending.remembered());
                changes.extend(sending.remembered().iter().cloned());
                if !matches!(outcome, Outcome::Later { .. }) {
                    let requests = provider.requests().split_off(earlier);
                    return result(stage, message, &requests, &outcome, &changes);
                }
                match stage.sending(message, sending.progress(), kept) {
                    Ok(next) => sending = next,
                    Err(failure) => return broken(stage, message, failure.0),
                }
            }
        }
    }
}

/// The parts that a message is cut into; why not, where it can't be.
pub fn parts(stage: &Stage<'_>, message: &Outbound, kept: &Kept) -> Result<Value, String> {
    stage
        .sending(message, Progress::default(), kept)
        .and_then(|mut sending| sending.parts().cloned())
        .map_err(|failure| failure.0)
}

/// Sends a message for real.
pub async fn send_live(
    stage: &Stage<'_>,
    message: &Outbound,
    transport: &dyn Transport,
    kept: &mut Kept,
) -> Value {
    let (mut requests, mut changes) = (Vec::new(), Vec::new());
    let mut sending = match stage.sending(message, Progress::default(), kept) {
        Ok(sending) => sending,
        Err(failure) => return broken(stage, message, failure.0),
    };
    loop {
        match sending.step() {
            Next::Request(request) => {
                sending.answer(call::send(transport, &request).await);
                requests.push(*request);
            }
            Next::Wait(key) => return broken(stage, message, format!("nobody makes the call {key}")),
            Next::Done(outcome) => {
                kept.remember(sending.remembered());
                changes.extend(sending.remembered().iter().cloned());
                let Outcome::Later { after } = outcome else {
                    return result(stage, message, &requests, &outcome, &changes);
                };
                tokio::time::sleep(std::time::Duration::from_millis(after)).await;
                match stage.sending(message, sending.progress(), kept) {
                    Ok(next) => sending = next,
                    Err(failure) => return broken(stage, message, failure.0),
                }
            }
        }
    }
}

fn broken(stage: &Stage<'_>, message: &Outbound, reason: String) -> Value {
    let fault = Fault { code: "mapping".into(), message: reason };
    result(stage, message, &[], &Outcome::Failed { fault }, &[])
}

fn result(
    stage: &Stage<'_>,
    message: &Outbound,
    requests: &[Outgoing],
    outcome: &Outcome,
    changes: &[Remember],
) -> Value {
    let failed = match outcome {
        Outcome::Failed { fault } | Outcome::OptOut { fault } => failed_status(stage, message, fault),
        _ => None,
    };
    let mut members = vec![("requests", Value::list(requests.iter().map(request_json).collect()))];
    members.extend(report(outcome));
    members.push(("platform_requests", Value::list(failed.into_iter().collect())));
    members.extend(shown(changes).map(|changes| ("remembered", changes)));
    Value::map(members)
}

/// What an outcome is, member by member.
pub(super) fn report(outcome: &Outcome) -> [(&'static str, Value); 4] {
    let ids = match outcome {
        Outcome::Sent { ids, .. } => ids.concat().into_iter().map(Value::from).collect(),
        _ => Vec::new(),
    };
    let error = outcome.fault().map(|fault| {
        Value::map([("code", Value::text(&fault.code)), ("message", Value::text(&fault.message))])
    });
    #[allow(clippy::cast_precision_loss)] // at most a day
    let retry_after = outcome.after().map(|ms| match ms % 1000 {
        0 => Value::from(i64::try_from(ms / 1000).unwrap_or(i64::MAX)),
        _ => Value::Float(ms as f64 / 1000.0),
    });
    [
        ("outcome", Value::text(outcome.as_str())),
        ("ids", Value::list(ids)),
        ("error", error.unwrap_or_default()),
        ("retry_after", retry_after.unwrap_or_default()),
    ]
}

/// The status that tells the platform that a message failed.
fn failed_status(stage: &Stage<'_>, message: &Outbound, fault: &Fault) -> Option<Value> {
    let event = Event {
        kind: EventKind::MessageStatus,
        id: message.id.clone(),
        id_owner: IdOwner::Own,
        timestamp: stage.world.now(),
        contact: Contact { id: message.contact_id.clone(), ..Contact::default() },
        content: Content::default(),
        status: Some(Status::Failed),
        error: Some(fault.clone()),
        up_to: None,
    };
    request_body(&stage.platform, &event).ok().flatten().map(Stage::platform_request)
}

pub(super) fn request_json(request: &Outgoing) -> Value {
    let url = request.urls.first().map(Url::as_str).unwrap_or_default();
    let (bare, query) = url.split_once('?').unwrap_or((url, ""));
    let query: Vec<(SmolStr, Value)> = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (SmolStr::new(name), Value::text(value)))
        .collect();
    let headers = request.headers.iter().map(|(name, value)| (name.clone(), Value::text(value)));
    let mut json = Map::new();
    json.insert("method", Value::Text(request.method.clone()));
    json.insert("url", Value::text(bare));
    json.insert("query", grouped(&query));
    json.insert("headers", Value::map(headers));
    let bytes = request.body.bytes().filter(|_| !matches!(request.body, Payload::Nothing));
    match bytes.as_ref().map(|body| std::str::from_utf8(body).map_err(|_| body)) {
        None => json.insert("body", Value::Null),
        Some(Ok(text)) => json.insert("body", Value::text(text)),
        Some(Err(bytes)) => {
            json.insert("body", Value::Null);
            json.insert("body_base64", Value::from(STANDARD.encode(bytes)));
        }
    }
    match &request.body {
        Payload::File(file) => json.insert("file", file_json(file)),
        Payload::Multipart { parts, .. } => {
            json.insert("multipart", Value::list(parts.iter().map(part_json).collect()));
        }
        Payload::Nothing | Payload::Bytes(_) => {}
    }
    match &request.shown {
        Shown::Nothing => {}
        Shown::Json(value) => json.insert("json", value.clone()),
        Shown::Form(fields) => json.insert("form", grouped(fields)),
    }
    Value::Map(json.into())
}

/// A file that a body holds: it is not fetched.
fn file_json(file: &File) -> Value {
    Value::map([("url", Value::text(&file.url))])
}

fn part_json(part: &Part) -> Value {
    let (key, content) = match &part.content {
        PartContent::File(file) => ("file", file_json(file)),
        PartContent::Bytes(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => ("value", Value::text(text)),
            Err(_) => ("value_base64", Value::from(STANDARD.encode(bytes))),
        },
    };
    let mut json = Map::new();
    json.insert("name", Value::Text(part.name.clone()));
    json.insert(key, content);
    let optional = [("filename", &part.filename), ("type", &part.content_type)];
    for (key, text) in optional {
        if let Some(text) = text {
            json.insert(key, Value::Text(text.clone()));
        }
    }
    Value::Map(json.into())
}

/// `{name: [values]}`.
fn grouped(pairs: &[(SmolStr, Value)]) -> Value {
    let mut groups: Vec<(SmolStr, Vec<Value>)> = Vec::new();
    for (name, value) in pairs {
        let value = Value::Text(value.to_text());
        match groups.iter_mut().find(|(known, _)| known == name) {
            Some((_, values)) => values.push(value),
            None => groups.push((name.clone(), vec![value])),
        }
    }
    Value::map(groups.into_iter().map(|(name, values)| (name, Value::list(values))))
}

/// A message as `dry-run --send` describes it: the platform's body, or the canonical form.
pub fn message_of(given: &Value) -> Result<Outbound, String> {
    let json = given.to_json().unwrap_or_default();
    let mut message = if given.get("message").as_map().is_some() {
        let body = if given.get("contactId").is_empty() {
            // The mapping tests write `contact_id` beside the platform's `message`.
            let body =
                [("contactId", given.get("contact_id").clone()), ("message", given.get("message").clone())];
            Value::map(body).to_json().unwrap_or_default()
        } else {
            json
        };
        read_message(body.as_bytes()).map_err(|refusal| refusal.0)?
    } else {
        serde_json::from_str::<Outbound>(&json).map_err(|error| format!("this is not a message: {error}"))?
    };
    if message.contact_id.is_empty() {
        return Err("`contact_id` is missing".into());
    }
    if message.content.is_empty() {
        return Err(
            "the message says nothing: give `message`, `text`, `attachments`, `location` or `quick_replies`"
                .into(),
        );
    }
    let id = given.get("id").to_text();
    message.id = if id.is_empty() { "m-1".into() } else { id.into() };
    Ok(message)
}

/// Scripted answers as `dry-run --provider` describes them.
pub fn answers_of(given: &Value) -> Result<Vec<ScriptedAnswer>, String> {
    let items = match given {
        Value::Null => return Ok(Vec::new()),
        Value::List(items) => items,
        other => return Err(format!("the provider's answers are a list, not {}", other.kind())),
    };
    items.iter().map(answer_of).collect()
}

fn answer_of(given: &Value) -> Result<ScriptedAnswer, String> {
    let text = |name: &str| Some(given.get(name).to_text().to_string()).filter(|text| !text.is_empty());
    let times = match given.get("times") {
        Value::Null => 1,
        times => {
            times.to_int().and_then(|times| u64::try_from(times).ok()).ok_or("`times` is a whole number")?
        }
    };
    let status = match given.get("status") {
        Value::Null => 200,
        status => status
            .to_int()
            .and_then(|status| u16::try_from(status).ok())
            .ok_or("`status` is an HTTP status")?,
    };
    let mut headers: Vec<(SmolStr, String)> = given
        .get("headers")
        .as_map()
        .map(|map| {
            map.iter()
                .map(|(name, value)| (SmolStr::new(name.to_lowercase()), value.to_text().into()))
                .collect()
        })
        .unwrap_or_default();
    let json = given.as_map().and_then(|map| map.get("json"));
    let body = match json {
        Some(json) => {
            if !headers.iter().any(|(name, _)| name == "content-type") {
                headers.push(("content-type".into(), "application/json".into()));
            }
            Bytes::from(json.to_json().unwrap_or_default())
        }
        None => given.get("body").to_bytes(),
    };
    let timeout = given.get("timeout").is_truthy();
    let response = (!timeout).then_some(Response { status, headers, body });
    Ok(ScriptedAnswer { method: text("method"), url: text("url"), times: Some(times), response })
}
