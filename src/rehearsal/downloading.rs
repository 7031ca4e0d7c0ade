//! The files of a webhook's events, fetched from a scripted provider as the platform would have them fetched.

use super::sending::request_json;
use super::stage::Stage;
use crate::call::Scripted;
use crate::expression::Value;
use crate::message::{Fault, Source};
use crate::pipeline::{Fetching, NextFetch};

/// The requests that the files of these events (as in [`receive`](super::receive)'s result) are fetched with, in
/// order; for a file that can't be had, why.
pub fn downloads(stage: &Stage<'_>, events: &Value, provider: &Scripted) -> Value {
    let mut made = Vec::new();
    for event in events.as_list().unwrap_or_default() {
        for attachment in event.get("attachments").as_list().unwrap_or_default() {
            let source = attachment.get("source");
            let json = source.to_json().filter(|_| !source.is_empty());
            if let Some(source) = json.and_then(|json| serde_json::from_str::<Source>(&json).ok()) {
                download(stage, source, provider, &mut made);
            }
        }
    }
    Value::list(made)
}

fn download(stage: &Stage<'_>, source: Source, provider: &Scripted, made: &mut Vec<Value>) {
    let timeout = stage.plan.limits.timeout;
    let mut fetching =
        Fetching::new(stage.plan, &stage.channel, source, stage.calls.clone(), &stage.world, timeout);
    loop {
        let fault = match fetching.step() {
            NextFetch::Request(request) => {
                made.push(request_json(&request));
                fetching.answer(provider.answer(&request));
                continue;
            }
            // Time passes at once here.
            NextFetch::Pause(_) => continue,
            NextFetch::Download(request) => return made.push(request_json(&request)),
            NextFetch::Wait(key) => {
                Fault { code: "call".into(), message: format!("nobody makes the call {key}") }
            }
            NextFetch::Later(fault, _) | NextFetch::Failed(fault) => fault,
        };
        return made.push(Value::map([("error", Value::text(fault.to_string()))]));
    }
}
