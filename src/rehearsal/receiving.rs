//! A webhook, offline.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use smol_str::SmolStr;

use super::stage::Stage;
use crate::expression::Value;
use crate::message::EventKind;
use crate::pipeline::{Incoming, NoRoute, Reply, Routed, Site, Trace, Verdict, find_route};
use crate::platform::request_body;
use crate::store::StatusSet;

/// What a webhook came to.
pub struct Rehearsed {
    /// As `dry-run --format json` shows it.
    pub json: Value,
    /// What each stage made.
    pub trace: Trace,
}

/// Takes a webhook through all stages. `seen` stands for the store: the ids of messages that were there before.
pub fn receive(stage: &Stage<'_>, shared: bool, request: &Incoming, seen: &mut HashSet<String>) -> Rehearsed {
    let route = find_route(stage.plan, shared, &request.method, &request.route);
    let mut trace = Some(Trace::default());
    let route = match route {
        Ok(route) => route,
        Err(problem) => {
            let status = if matches!(problem, NoRoute::Path { .. }) { 404 } else { 405 };
            let reason = problem.to_string();
            let json =
                result(&Reply::error(status, &reason), Verdict::Rejected, Some(&reason), (vec![], vec![]), vec![]);
            return Rehearsed { json, trace: Trace::default() };
        }
    };
    let shared = route.webhook.shared;
    let site = Site {
        plan: stage.plan,
        channel: (!shared).then_some(&*stage.channel),
        deployment: &stage.channel.deployment,
        directory: stage,
        world: &stage.world,
    };
    let received = crate::pipeline::receive(&site, route, request, &mut trace);
    let (events, requests, problem) = deliver(stage, &received.events, seen);
    let reason = received.reason.clone().or(problem);
    let polls = received.polls.iter().map(|poked| {
        Value::map([("poll", Value::Text(poked.poll.clone())), ("with", poked.with.clone())])
    });
    let polls = polls.collect();
    let json = result(&received.reply, received.verdict, reason.as_deref(), (events, polls), requests);
    Rehearsed { json, trace: trace.unwrap_or_default() }
}

/// The events as JSON, the requests that post them, and why one is not posted.
pub(super) fn deliver(
    stage: &Stage<'_>,
    given: &[Routed],
    seen: &mut HashSet<String>,
) -> (Vec<Value>, Vec<Value>, Option<String>) {
    let mut events = Vec::new();
    let mut requests = Vec::new();
    let mut reason = None;
    for routed in given {
        let event = &routed.event;
        events.push(
            serde_json::to_vec(event).ok().and_then(|json| Value::from_json(&json).ok()).unwrap_or_default(),
        );
        let is_message = matches!(event.kind, EventKind::Message | EventKind::MessageEcho);
        if is_message && !seen.insert(format!("{}|{}", routed.channel, event.id)) {
            reason.get_or_insert_with(|| format!("`{}` was received before", event.id));
            continue;
        }
        // The gateway posts a status only of a message that it knows, and `sent` only where a channel asks for it.
        let is_news = event.status.is_none_or(|status| StatusSet::default().contains(status));
        if !is_news || (event.kind == EventKind::MessageStatus && event.contact.id.is_empty()) {
            continue;
        }
        match request_body(&stage.platform, event) {
            Ok(Some(body)) => requests.push(Stage::platform_request(body)),
            Ok(None) => {}
            Err(problem) => {
                reason.get_or_insert_with(|| problem.to_string());
            }
        }
    }
    (events, requests, reason)
}

fn result(
    reply: &Reply,
    verdict: Verdict,
    reason: Option<&str>,
    (events, polls): (Vec<Value>, Vec<Value>),
    platform_requests: Vec<Value>,
) -> Value {
    let headers = reply.headers.iter().map(|(name, value)| (SmolStr::new(name), Value::text(value)));
    Value::map([
        (
            "reply",
            Value::map([
                ("status", Value::Int(reply.status.into())),
                ("headers", Value::map(headers)),
                ("body", Value::text(String::from_utf8_lossy(&reply.body))),
            ]),
        ),
        ("verdict", Value::text(verdict.as_str())),
        ("reason", reason.map_or(Value::Null, Value::text)),
        ("events", Value::list(events)),
        ("polls", Value::list(polls)),
        ("platform_requests", Value::list(platform_requests)),
        ("calls", Value::list(Vec::new())),
    ])
}

/// A request as `dry-run --receive` describes it, and whether it is for a shared route.
pub fn request_of(stage: &Stage<'_>, given: &Value) -> Result<(bool, Incoming), String> {
    let text = |name: &str| given.get(name).to_text().to_string();
    let address = if given.get("url").is_empty() { text("path") } else { text("url") };
    let (address, query_in_url) = address.split_once('?').map_or((address.as_str(), ""), |(a, q)| (a, q));
    let absolute = address.contains("://");
    let path = address
        .split_once("://")
        .map_or(address, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"));
    let method =
        if given.get("method").is_empty() { "POST".to_string() } else { text("method").to_uppercase() };
    let query = match given.get("query") {
        Value::Null => query_in_url.to_string(),
        Value::Map(map) => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            for (name, value) in map.iter() {
                match value {
                    Value::List(items) => items.iter().for_each(|item| {
                        query.append_pair(name, &item.to_text());
                    }),
                    one => {
                        query.append_pair(name, &one.to_text());
                    }
                }
            }
            query.finish()
        }
        other => other.to_text().trim_start_matches('?').to_string(),
    };
    let below = |prefix: &str| path.strip_prefix(prefix)?.split_once('/').map(|(_, route)| route.to_string());
    let (shared, route) = if let Some(route) = below("/channels/") {
        (false, route)
    } else if let Some(route) = below("/providers/") {
        (true, route)
    } else {
        let route = path.trim_matches('/').to_string();
        let own = find_route(stage.plan, false, &method, &route).is_err();
        (own && find_route(stage.plan, true, &method, &route).is_ok(), route)
    };
    let url = if absolute { address.to_string() } else { stage.url(shared, &route) };
    let url = if query.is_empty() { url } else { format!("{url}?{query}") };
    let body = match given.get("body_base64") {
        Value::Null => given.get("body").to_bytes(),
        encoded => Bytes::from(
            STANDARD.decode(encoded.to_text().as_bytes()).map_err(|error| format!("body_base64: {error}"))?,
        ),
    };
    let headers = given.get("headers").as_map().map(|map| {
        map.iter().map(|(name, value)| (SmolStr::new(name.to_lowercase()), value.to_text())).collect()
    });
    let headers = headers.unwrap_or_default();
    Ok((shared, Incoming { method: method.into(), url, route, query, headers, body, ip: String::new() }))
}

impl Stage<'_> {
    /// The public URL of a route.
    pub(super) fn url(&self, shared: bool, route: &str) -> String {
        if shared {
            format!("{}/providers/{}/{route}", self.public_url, self.plan.name)
        } else {
            format!("{}/channels/{}/{route}", self.public_url, self.channel.name)
        }
    }
}
