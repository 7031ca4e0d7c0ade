//! The tests of a mapping.

use std::collections::HashSet;

use smol_str::SmolStr;

use super::body::{body_of, raw_map};
use super::compare::{Difference, compare};
use super::downloading::downloads;
use super::kept::Kept;
use super::receiving::{receive, request_of};
use super::running::{Run, run as run_it};
use super::sending::{answers_of, message_of, send};
use super::stage::{NOW, Stage};
use crate::call::{Scripted, ScriptedAnswer};
use crate::diagnostic::Span;
use crate::expression::{Env, Map, Scope, Value};
use crate::load::Loaded;
use crate::message::Outbound;
use crate::pipeline::{Incoming, find_route, sign};
use crate::plan::Plan;
use crate::spec::{self, MappingTests, Raw, TestCase, TestChannel};
use crate::yaml::Text;

/// What a test came to.
#[derive(Clone, Debug)]
pub struct CaseResult {
    /// The test's name.
    pub name: String,
    /// Where it stands.
    pub span: Span,
    /// What was different; empty if it passed.
    pub differences: Vec<Difference>,
    /// Why it could not be run.
    pub broken: Option<String>,
    /// All that came of it, as `dry-run --format json` shows it.
    pub outcome: Value,
    /// The places of the plan that it reached.
    pub reached: HashSet<usize>,
}

impl CaseResult {
    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty() && self.broken.is_none()
    }
}

/// Runs all tests of a mapping and its variants, but for those whose plan has errors.
pub fn run(mapping: &Loaded, tests: &MappingTests) -> Vec<CaseResult> {
    let run = |case: &TestCase| {
        let plan = mapping.plan_of(case.mapping.as_ref().map(|name| name.value.as_str()))?;
        Some(run_case(plan, tests.channel.as_ref(), case))
    };
    tests.tests.iter().filter_map(run).collect()
}

fn run_case(plan: &Plan, channel: Option<&TestChannel>, case: &TestCase) -> CaseResult {
    let mut result = CaseResult {
        name: case.name.value.to_string(),
        span: case.name.span,
        differences: Vec::new(),
        broken: None,
        outcome: Value::Null,
        reached: HashSet::new(),
    };
    let (stage, problems) = stage_of(plan, channel, case);
    if !problems.is_empty() {
        result.broken = Some(format!("the channel: {}", problems.join("; ")));
        return result;
    }
    let outcome = match (&case.receive, &case.send) {
        (Some(received), None) => earlier(&stage, case).and_then(|(mut kept, provider)| {
            let outcome = rehearse_webhook(&stage, received, &provider, &mut kept)?;
            Ok(with_downloads(&stage, &outcome, &provider))
        }),
        (None, Some(sent)) => earlier(&stage, case)
            .and_then(|(mut kept, provider)| rehearse_message(&stage, sent, &provider, &mut kept)),
        (None, None) if let Some(given) = &case.run => earlier(&stage, case)
            .and_then(|(mut kept, provider)| rehearse_run(&stage, given, &provider, &mut kept)),
        _ => Err("a test is one of `receive`, `send` and `run`".into()),
    };
    result.reached = stage.world.reached();
    match outcome {
        Ok(outcome) => {
            result.differences = check(&case.expect, &outcome);
            result.outcome = outcome;
        }
        Err(why) => result.broken = Some(why),
    }
    result
}

/// The stage of a test, and what is wrong with its channel.
pub fn stage_of<'p>(
    plan: &'p Plan,
    channel: Option<&TestChannel>,
    case: &TestCase,
) -> (Stage<'p>, Vec<String>) {
    Stage::new(plan, &channel_value(channel, case.channel.as_ref()), NOW)
}

/// The channel of a test: the file's, with the test's own values over it.
fn channel_value(file: Option<&TestChannel>, own: Option<&TestChannel>) -> Value {
    let mut merged = Map::new();
    let (mut config, mut deployment) = (Map::new(), Map::new());
    for channel in [file, own].into_iter().flatten() {
        for (name, text) in [
            ("name", &channel.name),
            ("channel_id", &channel.channel_id),
            ("address", &channel.address),
            ("country", &channel.country),
            ("public_url", &channel.public_url),
        ] {
            if let Some(text) = text {
                merged.insert(name, Value::Text(text.value.clone()));
            }
        }
        let raw = |map: &spec::Map<Raw>, into: &mut Map| {
            map.0.iter().for_each(|(name, raw)| into.insert(name.value.clone(), raw.0.to_value()));
        };
        raw(&channel.config, &mut config);
        raw(&channel.deployment, &mut deployment);
    }
    merged.insert("config", Value::Map(config.into()));
    merged.insert("deployment", Value::Map(deployment.into()));
    Value::Map(merged.into())
}

/// The store and the provider of a test, after what happens before; the clock stands where the test begins.
fn earlier(stage: &Stage<'_>, case: &TestCase) -> Result<(Kept, Scripted), String> {
    let provider = Scripted::new(scripted(&case.provider)?);
    let given = case.store.as_ref().map(|raw| raw.0.to_value()).unwrap_or_default();
    let mut kept = Kept::of(&given)?;
    for webhook in &case.before {
        rehearse_webhook(stage, webhook, &provider, &mut kept)?;
    }
    for sent in &case.sent_before {
        rehearse_message(stage, sent, &provider, &mut kept)?;
    }
    if let Some(after) = &case.after {
        stage.pass(after.0);
    }
    Ok((kept, provider))
}

fn rehearse_webhook(
    stage: &Stage<'_>,
    given: &spec::Receive,
    provider: &Scripted,
    kept: &mut Kept,
) -> Result<Value, String> {
    let (shared, mut request) = webhook_of(stage, given)?;
    if given.sign.is_some_and(|flag| flag.0) {
        sign_webhook(stage, shared, &mut request)?;
    }
    Ok(receive(stage, shared, &request, provider, kept).json)
}

/// What a webhook came to, with the requests that the files of its events are fetched with.
fn with_downloads(stage: &Stage<'_>, outcome: &Value, provider: &Scripted) -> Value {
    let mut members = outcome.as_map().cloned().unwrap_or_default();
    members.insert("downloads", downloads(stage, outcome.get("events"), provider));
    Value::Map(members.into())
}

/// The webhook of a test, not signed yet, and whether it is for a shared route.
pub fn webhook_of(stage: &Stage<'_>, given: &spec::Receive) -> Result<(bool, Incoming), String> {
    let (method, path) = given.route.value.split_once(' ').unwrap_or(("POST", given.route.value.as_str()));
    let mut headers = match raw_map(&given.headers) {
        Value::Map(map) => (*map).clone(),
        _ => Map::new(),
    };
    let (content_type, body) = body_of(given)?;
    let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    if !content_type.is_empty() && !has_type {
        headers.insert("content-type", Value::from(content_type));
    }
    let described = Value::map([
        ("method", Value::text(method)),
        ("path", Value::text(path.trim())),
        ("query", if given.query.0.is_empty() { Value::Null } else { raw_map(&given.query) }),
        ("headers", Value::Map(headers.into())),
        ("ip", given.ip.as_ref().map_or(Value::Null, |ip| Value::Text(ip.value.clone()))),
        ("body", Value::Bytes(body)),
    ]);
    request_of(stage, &described)
}

/// Adds what the mapping asks for as a proof of who calls.
pub fn sign_webhook(stage: &Stage<'_>, shared: bool, request: &mut Incoming) -> Result<(), String> {
    let route = find_route(stage.plan, shared, &request.method, &request.route)
        .map_err(|problem| problem.to_string())?;
    let mut env = Env::new(&stage.world);
    env.set(Scope::Config, stage.channel.config.clone());
    env.set(Scope::Deployment, stage.channel.deployment.clone());
    env.set(Scope::Channel, stage.channel.scope.clone());
    sign(route.webhook, request, &mut env).map_err(|failure| failure.to_string())
}

fn rehearse_message(
    stage: &Stage<'_>,
    given: &spec::SendCase,
    provider: &Scripted,
    kept: &mut Kept,
) -> Result<Value, String> {
    Ok(send(stage, &message_of_test(given)?, provider, kept))
}

fn rehearse_run(
    stage: &Stage<'_>,
    given: &spec::RunCase,
    provider: &Scripted,
    kept: &mut Kept,
) -> Result<Value, String> {
    let what = run_of(stage.plan, given)?;
    let cursor = given.cursor.as_ref().map_or(Value::Null, |raw| raw.0.to_value());
    Ok(run_it(stage, what, (cursor, &raw_map(&given.with)), provider, kept))
}

/// What a test runs.
pub fn run_of<'p>(plan: &'p Plan, given: &'p spec::RunCase) -> Result<Run<'p>, String> {
    let life = &plan.life;
    let contact = given.contact_id.as_ref().map(|id| id.value.as_str());
    let none = |what: &str, name: &Text| format!("the mapping has no {what} `{}`", name.value);
    match (&given.lifecycle, &given.action, &given.poll, &given.lookup_contact) {
        (Some(name), None, None, None) => {
            let steps = match name.value.as_str() {
                "on_connect" => &life.on_connect,
                "on_disconnect" => &life.on_disconnect,
                "probe" => &life.probe,
                _ => return Err(none("lifecycle", name)),
            };
            Ok(Run::Steps(steps, None))
        }
        (None, Some(name), None, None) => {
            let steps = life.action(&name.value).ok_or_else(|| none("action", name))?;
            Ok(Run::Steps(steps, contact.or(Some(""))))
        }
        (None, None, Some(name), None) => {
            life.poll(&name.value).map(Run::Poll).ok_or_else(|| none("poll", name))
        }
        (None, None, None, Some(id)) => match &life.lookup_contact {
            Some(look_up) => Ok(Run::LookUp(&look_up.profile, &id.value)),
            None => Err("the mapping has no `lookup_contact`".into()),
        },
        _ => Err("`run` is exactly one of `lifecycle`, `action`, `poll` and `lookup_contact`".into()),
    }
}

/// The message of a test, and the answers that the provider gives.
pub fn sent_of(
    given: &spec::SendCase,
    provider: &[spec::ScriptedAnswer],
) -> Result<(Outbound, Vec<ScriptedAnswer>), String> {
    Ok((message_of_test(given)?, scripted(provider)?))
}

/// The answers of a test's provider.
pub fn scripted(provider: &[spec::ScriptedAnswer]) -> Result<Vec<ScriptedAnswer>, String> {
    answers_of(&Value::list(provider.iter().map(answer_value).collect()))
}

fn message_of_test(given: &spec::SendCase) -> Result<Outbound, String> {
    let mut described = Map::new();
    described.insert("contact_id", Value::Text(given.contact_id.value.clone()));
    for (name, text) in [("id", &given.id), ("locale", &given.locale)] {
        if let Some(text) = text {
            described.insert(name, Value::Text(text.value.clone()));
        }
    }
    for (name, raw) in [
        ("message", &given.message),
        ("text", &given.text),
        ("attachments", &given.attachments),
        ("location", &given.location),
        ("quick_replies", &given.quick_replies),
    ] {
        if let Some(raw) = raw {
            described.insert(name, raw.0.to_value());
        }
    }
    message_of(&Value::Map(described.into()))
}

fn answer_value(answer: &spec::ScriptedAnswer) -> Value {
    let mut value = Map::new();
    for (name, text) in [("method", &answer.method), ("url", &answer.url), ("body", &answer.body)] {
        if let Some(text) = text {
            value.insert(name, Value::Text(text.value.clone()));
        }
    }
    for (name, count) in [("status", answer.status), ("times", answer.times)] {
        if let Some(count) = count {
            value.insert(name, Value::Int(count.0.into()));
        }
    }
    value.insert("headers", raw_map(&answer.headers));
    if let Some(json) = &answer.json {
        value.insert("json", json.0.to_value());
    }
    value.insert("timeout", Value::Bool(answer.timeout.is_some_and(|flag| flag.0)));
    Value::Map(value.into())
}

/// Compares what is expected with what came.
fn check(expect: &spec::Expect, outcome: &Value) -> Vec<Difference> {
    let exact = expect.exact.is_some_and(|flag| flag.0);
    let mut differences = Vec::new();
    for (name, raw) in [
        ("verdict", &expect.verdict),
        ("events", &expect.events),
        ("value", &expect.value),
        ("cursor", &expect.cursor),
        ("requests", &expect.requests),
        ("downloads", &expect.downloads),
        ("outcome", &expect.outcome),
        ("ids", &expect.ids),
        ("error", &expect.error),
        ("retry_after", &expect.retry_after),
        ("remembered", &expect.remembered),
        ("calls", &expect.calls),
    ] {
        if let Some(raw) = raw {
            compare(name, &raw.0.to_value(), outcome.get(name), exact, &mut differences);
        }
    }
    if let Some(raw) = &expect.polls {
        let polls = outcome.get("polls").as_list().unwrap_or_default();
        compare("polls", &raw.0.to_value(), &Value::list(polls.to_vec()), exact, &mut differences);
    }
    if let Some(raw) = &expect.reply {
        compare("reply", &raw.0.to_value(), &reply_with_json(outcome.get("reply")), false, &mut differences);
    }
    if let Some(raw) = &expect.platform {
        let bodies = outcome.get("platform_requests").as_list().unwrap_or_default();
        let bodies = bodies.iter().map(|request| request.get("body").clone()).collect();
        compare("platform", &raw.0.to_value(), &Value::list(bodies), exact, &mut differences);
    }
    differences
}

/// The answer to a webhook with its body decoded as `json` too.
fn reply_with_json(reply: &Value) -> Value {
    let mut map = reply.as_map().cloned().unwrap_or_default();
    if let Ok(json) = Value::from_json(reply.get("body").to_text().as_bytes()) {
        map.insert(SmolStr::new_static("json"), json);
    }
    Value::Map(map.into())
}
