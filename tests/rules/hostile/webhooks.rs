//! Hostile webhooks. Each is tried as it is; where that is refused at the door it is signed, and where only the
//! provider can sign, the door is opened: so the rules of the mapping see all of them.

use bytes::Bytes;
use patchcord::call::Scripted;
use patchcord::pipeline::{Incoming, find_route};
use patchcord::plan::Plan;
use patchcord::rehearsal::{Rehearsed, Stage, receive, sign_webhook, webhook_of};
use patchcord::spec::TestCase;

use super::mutation::{self, Dice, Kind};
use super::subject::{self, Subject, constructs, shipped};
use super::{Tally, attack, attempt};

const PAYLOADS: u64 = 1000;

#[test]
fn no_webhook_brings_a_mapping_down_or_gets_nonsense_through() {
    let tallies = attack("Hostile webhooks", shipped(), |subject| attacked(subject, PAYLOADS));
    for (name, tally) in &tallies {
        assert_eq!(u64::try_from(tally.count("payloads")).unwrap(), PAYLOADS, "{name}");
        // Otherwise they would show nothing about the rules.
        assert!(tally.count("accepted") >= 100, "{name}: only {} were accepted", tally.count("accepted"));
        assert!(tally.count("reached the rules") >= 500, "{name}: {}", tally.count("reached the rules"));
    }
}

#[test]
fn no_webhook_brings_a_construct_down_or_gets_nonsense_through() {
    let mut subjects = constructs();
    subjects.retain(|subject| !subject.cases(|case| case.receive.is_some()).is_empty());
    attack("Hostile webhooks of the constructs", &subjects, |subject| attacked(subject, PAYLOADS / 5));
}

fn attacked(subject: &Subject, payloads: u64) -> Tally {
    let cases = subject.cases(|case| case.receive.is_some());
    let mut tally = Tally::default();
    for number in 0..payloads {
        let mut dice = Dice(number);
        let (case, kind) = (cases[dice.below(cases.len())], Kind::of(number));
        let stage = subject.stage(&subject.plan, case);
        let (shared, mut request) = webhook_of(&stage, case.receive.as_ref().unwrap()).unwrap();
        hostile_request(kind, &mut dice, &mut request);
        tally.add("payloads", 1);
        let found = attempt(|| try_doors(subject, case, shared, &request, &mut tally));
        if !found.is_empty() {
            let body = String::from_utf8_lossy(&request.body).chars().take(200).collect::<String>();
            let (name, test) = (&subject.name, &case.name.value);
            tally
                .bad
                .push(format!("{name} number {number}, {kind:?} ({test}): {}\n  {body}", found.join("; ")));
        }
    }
    tally
}

/// As it is, signed, and with the door open, until it gets in.
fn try_doors(
    subject: &Subject,
    case: &TestCase,
    shared: bool,
    request: &Incoming,
    tally: &mut Tally,
) -> Vec<String> {
    let stage = subject.stage(&subject.plan, case);
    let mut found = Vec::new();
    let mut through = |stage: &Stage<'_>, request: &Incoming, plan: &Plan| {
        let mut kept = subject::kept(case);
        let provider = Scripted::new(subject::answers(case));
        let came = receive(stage, shared, request, &provider, &mut kept);
        let verdicts = ["accepted", "ignored", "rejected", "replied"];
        let json = subject::json(&came.json);
        found.extend(subject::problems(&json, plan, &verdicts, "verdict", None));
        came.trace.0.iter().any(|(stage, _)| *stage == "verified").then_some((came, json))
    };
    let mut came = through(&stage, request, &subject.plan);
    if came.is_none() {
        let mut signed = request.clone();
        // What can't be signed is tried as it is.
        let _ = sign_webhook(&stage, shared, &mut signed);
        came = through(&stage, &signed, &subject.plan);
    }
    if came.is_some() {
        tally.add("proven", 1);
    } else {
        let stage = subject.stage(&subject.open, case);
        let provable = find_route(&subject.open, shared, &request.method, &request.route).is_ok();
        came = through(&stage, request, &subject.open);
        tally.add(if provable { "let in unproven" } else { "for no route" }, 1);
    }
    if let Some((came, json)) = came {
        count(&came, &json, tally);
    }
    found
}

fn count(came: &Rehearsed, json: &serde_json::Value, tally: &mut Tally) {
    let length = |name: &str| json[name].as_array().map_or(0, Vec::len);
    tally.add(json["verdict"].as_str().unwrap_or_default(), 1);
    tally.add("reached the rules", usize::from(came.trace.0.iter().any(|(stage, _)| *stage == "decoded")));
    tally.add("events", length("events"));
    tally.add("bodies for the platform", length("platform_requests"));
}

fn hostile_request(kind: Kind, dice: &mut Dice, request: &mut Incoming) {
    let by_query = request.body.is_empty() && !request.query.is_empty();
    if by_query || (!request.query.is_empty() && dice.one_in(10)) {
        request.query = mutation::pairs(kind, dice, &request.query);
    }
    if !by_query {
        request.body = Bytes::from(mutation::body(kind, dice, &request.body));
    }
    if dice.one_in(10) {
        hostile_headers(kind, dice, request);
    }
}

fn hostile_headers(kind: Kind, dice: &mut Dice, request: &mut Incoming) {
    match dice.below(5) {
        0 => request.headers.clear(),
        1 => request.headers.extend(request.headers.clone()),
        2 => request.headers.push(("content-type".into(), "application/json; charset=\"\u{0}".into())),
        3 => request.query = "a=1&a=2&%ff=%00&key".into(),
        _ => {
            let at = dice.below(request.headers.len());
            if let Some((_, value)) = request.headers.get_mut(at) {
                *value = String::from_utf8_lossy(&mutation::text(kind, dice, value)).into();
            }
        }
    }
}
