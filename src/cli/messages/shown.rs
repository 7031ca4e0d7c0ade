//! Messages and webhooks as people and programs see them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::gateway::Changed;
use crate::store::{Record, Webhook};
use crate::world::Millis;

/// What a list tells of a message.
pub(super) fn message(record: &Record) -> Value {
    let it = &record.delivery;
    json!({
        "id": it.id,
        "state": record.state.as_str(),
        "channel": it.lane.channel,
        "direction": it.lane.direction.as_str(),
        "contact": it.contact,
        "message_id": it.mid,
        "kind": it.kind.as_str(),
        "attempts": it.attempts,
        "accepted_at": time(it.accepted_at),
        "not_before": (it.not_before > 0).then(|| time(it.not_before)),
        "settled_at": record.settled_at.map(time),
        "reason": record.error,
        "webhook_id": it.webhook,
    })
}

/// All there is about a message.
pub(super) fn whole_message(record: &Record, came_with: Option<&Webhook>) -> Value {
    let mut value = message(record);
    if let Value::Object(members) = &mut value {
        if let Some(progress) = &record.delivery.progress {
            members.insert("progress".into(), json_or_text(progress));
        }
        match serde_json::from_slice(&record.delivery.payload) {
            Ok(payload) => drop(members.insert("payload".into(), payload)),
            Err(_) => bytes(members, "payload", &record.delivery.payload),
        }
        members.insert("webhook".into(), came_with.map_or(Value::Null, webhook));
    }
    value
}

/// What a list tells of a webhook.
pub(super) fn webhook_head(it: &Webhook) -> Value {
    let entry = &it.entry;
    json!({
        "id": it.id,
        "received_at": time(entry.received_at),
        "channel": entry.channel,
        "mapping": entry.mapping,
        "route": entry.route,
        "verdict": entry.verdict.as_str(),
        "reason": entry.reason,
        "size": entry.body.len(),
    })
}

/// A webhook with its bytes.
pub(super) fn webhook(it: &Webhook) -> Value {
    let mut value = webhook_head(it);
    if let Value::Object(members) = &mut value {
        members.insert("method".into(), it.entry.method.as_str().into());
        members.insert("url".into(), it.entry.url.as_str().into());
        members.insert("headers".into(), json_or_text(&it.entry.headers));
        bytes(members, "body", &it.entry.body);
    }
    value
}

/// Bytes as the text that they are, or as Base64.
fn bytes(members: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => members.insert(name.into(), text.into()),
        Err(_) => members.insert(format!("{name}_base64"), STANDARD.encode(bytes).into()),
    };
}

fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn time(at: Millis) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}

/// A list of messages.
pub(super) fn messages(records: &[Record]) -> String {
    let heads: Vec<_> = records.iter().map(message).collect();
    table(
        &["id", "state", "channel", "direction", "contact", "kind", "accepted_at", "attempts", "reason"],
        &heads,
    )
}

/// A list of webhooks.
pub(super) fn webhooks(webhooks: &[Webhook]) -> String {
    let heads: Vec<_> = webhooks.iter().map(webhook_head).collect();
    table(&["id", "received_at", "channel", "mapping", "route", "size", "reason"], &heads)
}

/// These members of each, in columns.
fn table(columns: &[&str], items: &[Value]) -> String {
    let row = |item: &Value| columns.iter().map(|name| cell(item.get(*name))).collect::<Vec<_>>();
    let mut rows = vec![columns.iter().map(|name| name.to_uppercase().replace('_', " ")).collect::<Vec<_>>()];
    rows.extend(items.iter().map(row));
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A member on one line; what came from outside must not move the cursor.
fn cell(value: Option<&Value>) -> String {
    let text = match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The members of something, a line each, and what they hold below it.
pub(super) fn lines(value: &Value) -> String {
    let mut lines = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) | Value::Array(_) => {
                lines.push(format!("{name}:"));
                let inner = serde_json::to_string_pretty(value).unwrap_or_default();
                lines.extend(inner.lines().map(|line| format!("  {line}")));
            }
            Value::Null => {}
            value => lines.push(format!("{name}: {}", cell(Some(value)))),
        }
    }
    lines.join("\n")
}

/// What was done.
pub(super) fn changed(changed: &Changed, word: &str) -> String {
    let mut lines = vec![format!("{} {word}", changed.changed)];
    if !changed.unknown.is_empty() {
        let ids: Vec<_> = changed.unknown.iter().map(ToString::to_string).collect();
        lines.push(format!("nothing to do with: {}", ids.join(", ")));
    }
    if changed.still_parked > 0 {
        lines.push(format!("{} still parked:", changed.still_parked));
        let reasons = changed.reasons.iter();
        lines.extend(reasons.map(|it| format!("  {}: {}", it.id, cell(Some(&it.reason.as_str().into())))));
    }
    lines.join("\n")
}
