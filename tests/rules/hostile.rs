//! A thousand hostile payloads for every shipped mapping: never a panic, always a verdict, and nothing that the
//! platform would refuse ever leaves. The mutations are seeded, so a failure can be repeated.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use patchcord::call::Scripted;
use patchcord::load::{Library, Loaded};
use patchcord::pipeline::Incoming;
use patchcord::plan::{ContactIdKind, Plan};
use patchcord::rehearsal::{self, Stage, read_tests, sent_of, sign_webhook, stage_of, webhook_of};
use patchcord::sandbox::platform::{Channel, IdType, rules};
use patchcord::spec::{MappingTests, TestCase};
use serde_json::Value;

use crate::program::root;

const PAYLOADS: u64 = 1000;
const ANSWERS: u64 = 300;

/// 2100-01-01: the recorded payloads are younger than the clock of a rehearsal, and that they lie ahead of it says
/// nothing about the mapping; what lies beyond this does.
const LATER: i64 = 4_102_444_800_000;

/// A seeded generator: `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }
}

/// A mapping and its variants, with their tests.
struct Subject {
    name: String,
    plans: BTreeMap<String, Plan>,
    tests: MappingTests,
}

impl Subject {
    fn plan(&self, case: &TestCase) -> &Plan {
        &self.plans[case.mapping.as_ref().map_or(self.name.as_str(), |name| name.value.as_str())]
    }
}

/// What is shipped.
const SHIPPED: &[&str] = &["mappings", "src/sandbox"];
/// What proves the constructs of the language; most of them refuse at the door what is not to the letter.
const CONSTRUCTS: &[&str] = &["tests/fixtures/mappings"];

fn subjects(paths: &[&str]) -> Vec<Subject> {
    let paths: Vec<_> = paths.iter().map(|path| root().join(path)).collect();
    let mut library = Library::read(&paths).unwrap();
    let subjects = library.mappings.clone().into_iter().map(|mut mapping| {
        let tests = patchcord::load::test_file_of(&mapping.path);
        let tests = read_tests(&tests, &mapping, &mut library).unwrap();
        mapping.trees.clear();
        (mapping, tests)
    });
    let subjects: Vec<_> = subjects.collect();
    drop(library);
    subjects.into_iter().map(|(mapping, tests)| subject(mapping, tests)).collect()
}

fn subject(mapping: Loaded, tests: MappingTests) -> Subject {
    let name = mapping.name.unwrap().to_string();
    let own = (name.clone(), mapping.plan.unwrap());
    let variants = mapping.variants.into_iter().map(|(name, plan)| (name.to_string(), plan.unwrap()));
    let plans =
        std::iter::once(own).chain(variants).map(|(name, plan)| (name, Arc::into_inner(plan).unwrap()));
    Subject { name, plans: plans.collect(), tests }
}

/// Stands for a number that is too large for any type; put in as text.
const HUGE: &str = "@HUGE@";

fn hostile_value(dice: &mut Dice, old: &Value) -> Value {
    match dice.below(19) {
        0 => Value::Null,
        1 => Value::Bool(true),
        2 => Value::from(-1),
        3 => Value::from(i64::MIN),
        4 => Value::from(u64::MAX),
        5 => HUGE.into(),
        6 => Value::from(1e308),
        7 => Value::from(-0.000_000_1),
        8 => "".into(),
        9 => "x".repeat(100_000).into(),
        10 => "\u{0}\u{7}\u{202e}👩‍👩‍👧‍👦\u{feff}\r\n{{it}} $.a <b>&amp;".into(),
        11 => "é".repeat(7001).into(),
        12 => Value::Array(vec![]),
        13 => Value::Object(serde_json::Map::new()),
        14 => Value::Array(vec![old.clone(); 40]),
        15 => (0..100).fold(old.clone(), |inner, _| Value::Array(vec![inner])),
        16 => old.to_string().into(),
        17 => "javascript:alert(1)//../%00\\".into(),
        _ => serde_json::json!({"id": old, "$ref": "#", "": {}, "__proto__": null}),
    }
}

/// The number of nodes.
fn size(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum(),
        _ => 0,
    }
}

/// Changes the node of that number.
fn change(value: &mut Value, at: &mut usize, dice: &mut Dice) -> bool {
    if *at == 0 {
        *value = hostile_value(dice, value);
        return true;
    }
    *at -= 1;
    match value {
        Value::Array(items) => {
            let gone = dice.below(8) == 0;
            if gone && *at < items.len() {
                items.remove(*at);
                return true;
            }
            items.iter_mut().any(|item| change(item, at, dice))
        }
        Value::Object(members) => {
            let gone = dice.below(3) == 0;
            if let (true, Some(key)) = (gone, members.keys().nth(*at).cloned()) {
                members.remove(&key);
                return true;
            }
            members.values_mut().any(|member| change(member, at, dice))
        }
        _ => false,
    }
}

fn hostile_bytes(dice: &mut Dice, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    match dice.below(9) {
        0 => body.truncate(dice.below(body.len() + 1)),
        1 => body.clear(),
        2 => return [b"[".repeat(20_000), b"]".repeat(20_000)].concat(),
        3 => return b"{\"a\":".repeat(5000),
        4 => body.splice(0..0, [0xff, 0xfe, 0x00]).for_each(drop),
        5 => body.extend_from_slice(b"\xc3\x28%zz&=&&a[]=1&a[]=2"),
        6 => return b"<a><![CDATA[".repeat(2000),
        _ => {
            for _ in 0..=dice.below(8) {
                let at = dice.below(body.len());
                if let Some(byte) = body.get_mut(at) {
                    *byte = u8::try_from(dice.below(256)).unwrap();
                }
            }
        }
    }
    body
}

fn hostile_body(dice: &mut Dice, body: &[u8]) -> Vec<u8> {
    let Ok(mut json) = serde_json::from_slice::<Value>(body) else {
        let fields = String::from_utf8_lossy(body).into_owned();
        if fields.trim_start().starts_with('<') && dice.below(3) > 0 {
            return hostile_xml(dice, &fields).into_bytes();
        }
        if dice.below(3) == 0 || !fields.contains('=') {
            return hostile_bytes(dice, body);
        }
        // A form: some field gets another value, goes or comes twice.
        let mut pairs: Vec<String> = fields.split('&').map(ToString::to_string).collect();
        let at = dice.below(pairs.len());
        let name = pairs[at].split('=').next().unwrap_or_default().to_string();
        let value = hostile_value(dice, &Value::Null);
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), ToString::to_string)
            .replace(HUGE, &"9".repeat(400));
        let value: String = percent(&value);
        match dice.below(3) {
            0 => drop(pairs.remove(at)),
            1 => pairs.push(format!("{name}={value}")),
            _ => pairs[at] = format!("{name}={value}"),
        }
        return pairs.join("&").into_bytes();
    };
    if dice.below(5) == 0 {
        return hostile_bytes(dice, body);
    }
    for _ in 0..=dice.below(3) {
        let mut at = dice.below(size(&json));
        change(&mut json, &mut at, dice);
    }
    json.to_string().replace(&format!("\"{HUGE}\""), &"9".repeat(60)).into_bytes()
}

/// XML in which some texts and elements are others; most of it can still be read.
fn hostile_xml(dice: &mut Dice, text: &str) -> String {
    // What stands between two tags, and the tags.
    let mut pieces: Vec<String> = text.split_inclusive('>').map(ToString::to_string).collect();
    for _ in 0..=dice.below(2) {
        let at = dice.below(pieces.len());
        let piece = pieces[at].clone();
        let Some((content, tag)) = piece.split_once('<').filter(|(content, _)| !content.trim().is_empty())
        else {
            continue;
        };
        let value = hostile_value(dice, &Value::String(content.into()));
        let value = value.as_str().map_or_else(|| value.to_string(), ToString::to_string);
        let value = value.replace(HUGE, &"9".repeat(400)).replace(['\u{0}', '\u{7}'], "");
        pieces[at] = format!("<![CDATA[{}]]><{tag}", value.replace("]]>", ""));
    }
    pieces.concat()
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}

fn hostile_request(dice: &mut Dice, request: &mut Incoming) {
    request.body = Bytes::from(hostile_body(dice, &request.body));
    match dice.below(12) {
        0 => request.headers.clear(),
        1 => request.query = "a=1&a=2&%ff=%00&key".into(),
        2 => request.headers.push(("content-type".into(), "application/json; charset=\"\u{0}".into())),
        3 => request.headers.iter_mut().for_each(|(_, value)| *value = "x".repeat(9000).into()),
        _ => {}
    }
}

/// What is wrong with what came of a webhook or message.
fn problems(outcome: &Value, plan: &Plan, verdicts: &[&str], key: &str) -> Vec<String> {
    let mut found = Vec::new();
    let verdict = outcome[key].as_str().unwrap_or_default();
    if !verdicts.contains(&verdict) {
        found.push(format!("`{verdict}` is no {key}"));
    }
    if let Some(status) = outcome["reply"]["status"].as_i64()
        && !(200..600).contains(&status)
    {
        found.push(format!("the answer has the status {status}"));
    }
    let channel = Channel {
        id_type: if plan.contact_id == ContactIdKind::Phone { IdType::Phone } else { IdType::Custom },
        statuses: ["sent", "delivered", "read", "failed"].map(String::from).into(),
        ..Channel::default()
    };
    for request in outcome["platform_requests"].as_array().into_iter().flatten() {
        if let Err(problems) = rules::check(&request["body"], &channel, LATER) {
            found.extend(problems);
        }
    }
    found
}

/// Runs one case; says what is wrong with what came of it.
fn attempt(run: impl FnOnce() -> Vec<String>) -> Vec<String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let why = panic.downcast_ref::<String>().cloned();
        vec![format!(
            "PANIC: {}",
            why.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
        )]
    })
}

fn json(value: &patchcord::expression::Value) -> Value {
    serde_json::from_str(&value.to_json().unwrap()).unwrap()
}

fn stage<'p>(subject: &'p Subject, case: &TestCase) -> Stage<'p> {
    stage_of(subject.plan(case), subject.tests.channel.as_ref(), case).0
}

#[test]
fn no_webhook_brings_a_mapping_down_or_gets_nonsense_through() {
    hostile_webhooks(SHIPPED, PAYLOADS, 50);
}

#[test]
fn no_webhook_brings_a_construct_down_or_gets_nonsense_through() {
    hostile_webhooks(CONSTRUCTS, PAYLOADS / 5, 0);
}

/// So many hostile webhooks for each mapping in these folders, of which at least so many must be accepted.
fn hostile_webhooks(paths: &[&str], payloads: u64, least: usize) {
    let mut bad = Vec::new();
    for mut subject in subjects(paths) {
        if !subject.tests.tests.iter().any(|case| case.receive.is_some()) {
            continue;
        }
        let mut accepted = hostile_webhooks_of(&subject, payloads, &mut bad);
        if accepted < least {
            // What is refused at the door proves nothing about the rules behind it, and not every proof can be made
            // here: some need the provider's private key.
            let webhooks = subject.plans.values_mut().flat_map(|plan| &mut plan.webhooks);
            webhooks.for_each(|webhook| webhook.verify.clear());
            accepted = hostile_webhooks_of(&subject, payloads, &mut bad);
        }
        assert!(accepted >= least, "{}: only {accepted} of {payloads} were accepted", subject.name);
    }
    assert!(
        bad.is_empty(),
        "{} bad:\n{}",
        bad.len(),
        bad.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
}

/// So many hostile webhooks for one mapping; says how many were accepted.
fn hostile_webhooks_of(subject: &Subject, payloads: u64, bad: &mut Vec<String>) -> usize {
    let cases: Vec<&TestCase> = subject.tests.tests.iter().filter(|case| case.receive.is_some()).collect();
    let mut accepted = 0;
    for seed in 0..payloads {
        let mut dice = Dice(seed);
        let case = cases[dice.below(cases.len())];
        let stage = stage(subject, case);
        let given = case.receive.as_ref().unwrap();
        let Ok((shared, mut request)) = webhook_of(&stage, given) else { continue };
        hostile_request(&mut dice, &mut request);
        if given.sign.is_some_and(|flag| flag.0) {
            let _ = sign_webhook(&stage, shared, &mut request);
        }
        let found = attempt(|| {
            let mut kept = rehearsal::Kept::default();
            let outcome =
                json(&rehearsal::receive(&stage, shared, &request, &Scripted::default(), &mut kept).json);
            accepted += usize::from(outcome["verdict"] == "accepted");
            problems(&outcome, subject.plan(case), &["accepted", "ignored", "rejected", "replied"], "verdict")
        });
        if !found.is_empty() {
            let body = String::from_utf8_lossy(&request.body).chars().take(300).collect::<String>();
            let name = &case.name.value;
            bad.push(format!("{} seed {seed} ({name}): {}\n  {body}", subject.name, found.join("; ")));
        }
    }
    accepted
}

#[test]
fn no_answer_of_a_provider_brings_a_mapping_down() {
    let mut bad = Vec::new();
    for subject in subjects(SHIPPED) {
        let cases: Vec<&TestCase> = subject.tests.tests.iter().filter(|case| case.send.is_some()).collect();
        for seed in 0..ANSWERS {
            let mut dice = Dice(seed);
            let case = cases[dice.below(cases.len())];
            let stage = stage(&subject, case);
            let Ok((message, mut answers)) = sent_of(case.send.as_ref().unwrap(), &case.provider) else {
                continue;
            };
            for response in answers.iter_mut().filter_map(|answer| answer.response.as_mut()) {
                response.body = Bytes::from(hostile_body(&mut dice, &response.body));
                match dice.below(8) {
                    0 => response.status = [100, 204, 301, 418, 429, 599][dice.below(6)],
                    1 => response.headers.push(("retry-after".into(), "99999999999999999999".into())),
                    2 => response.headers.clear(),
                    _ => {}
                }
            }
            let found = attempt(|| {
                let outcome = json(&rehearsal::send(
                    &stage,
                    &message,
                    &Scripted::new(answers),
                    &mut rehearsal::Kept::default(),
                ));
                problems(
                    &outcome,
                    subject.plan(case),
                    &["sent", "failed", "retry", "throttled", "opt_out"],
                    "outcome",
                )
            });
            if !found.is_empty() {
                bad.push(format!("{} seed {seed} ({}): {}", subject.name, case.name.value, found.join("; ")));
            }
        }
    }
    assert!(
        bad.is_empty(),
        "{} bad:\n{}",
        bad.len(),
        bad.iter().take(20).cloned().collect::<Vec<_>>().join("\n")
    );
}
