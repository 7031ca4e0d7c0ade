//! Hostile answers of a provider, to what is sent and to what the gateway does of its own accord.

use bytes::Bytes;
use patchcord::call::{Response, Scripted};
use patchcord::expression::Value;
use patchcord::rehearsal::{run, run_of, send, sent_of};

use super::mutation::{self, Dice, Kind};
use super::subject::{self, Subject, shipped};
use super::{Tally, attack, attempt};

const ANSWERS: u64 = 300;

#[test]
fn no_answer_of_a_provider_brings_a_mapping_down() {
    attack("Hostile answers of providers", shipped(), |subject| attacked(subject, ANSWERS));
}

fn attacked(subject: &Subject, answers: u64) -> Tally {
    let cases = subject.cases(|case| case.send.is_some() || case.run.is_some());
    let mut tally = Tally::default();
    for number in 0..answers {
        let mut dice = Dice(number);
        let (case, kind) = (cases[dice.below(cases.len())], Kind::of(number));
        let stage = subject.stage(&subject.plan, case);
        let mut answers = subject::answers(case);
        answers
            .iter_mut()
            .filter_map(|answer| answer.response.as_mut())
            .for_each(|response| hostile_response(kind, &mut dice, response));
        let found = attempt(|| {
            let (mut kept, provider) = (subject::kept(case), Scripted::new(answers));
            let (came, contact) = match (&case.send, &case.run) {
                (Some(given), _) => {
                    let Ok((message, _)) = sent_of(given, &case.provider) else { return Vec::new() };
                    (send(&stage, &message, &provider, &mut kept), Some(message.contact_id))
                }
                (None, Some(given)) => {
                    let Ok(what) = run_of(&subject.plan, given) else { return Vec::new() };
                    (run(&stage, what, (Value::Null, &Value::Null), &provider, &mut kept), None)
                }
                _ => return Vec::new(),
            };
            let outcome = subject::json(&came);
            tally.add(outcome["outcome"].as_str().unwrap_or_default(), 1);
            let outcomes = ["sent", "failed", "retry", "throttled", "opt_out"];
            subject::problems(&outcome, &subject.plan, &outcomes, "outcome", contact.as_deref())
        });
        if !found.is_empty() {
            let (name, test) = (&subject.name, &case.name.value);
            tally.bad.push(format!("{name} number {number}, {kind:?} ({test}): {}", found.join("; ")));
        }
    }
    tally
}

fn hostile_response(kind: Kind, dice: &mut Dice, response: &mut Response) {
    response.body = Bytes::from(mutation::body(kind, dice, &response.body));
    match dice.below(8) {
        0 => response.status = [100, 204, 301, 418, 429, 599][dice.below(6)],
        1 => response.headers.push(("retry-after".into(), "99999999999999999999".into())),
        2 => response.headers.clear(),
        _ => {}
    }
}
