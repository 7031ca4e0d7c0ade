//! How long single expressions take, on a webhook of 1 KB that is parsed already. `cargo bench --bench expression`.

use std::error::Error;
use std::hint::black_box;

use criterion::Criterion;
use patchcord::expression::{Env, Names, Query, Scope, Value, parse_template};
use patchcord::world::World;

const BODY: &str = include_str!("webhook.json");

const PATHS: &[&str] = &[
    "$.object",
    "$.entry[0].changes[0].value.messages[0].text.body",
    "$.entry[*].changes[?@.field == 'messages'].value",
    "$..wa_id",
];

const TEMPLATES: &[&str] = &[
    "{{it.object}}",
    "from {{it.entry.[0].id}} of {{it.object}}",
    "{{upper it.object}}",
    "{{e164 (wrap it.entry.[0].changes.[0].value.contacts.[0].wa_id '+' '')}}",
    "{{#if (eq it.object 'page')}}page{{else}}{{left it.object 8}}{{/if}}",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let body = Value::from_json(BODY.as_bytes())?;
    for path in PATHS {
        let query = Query::compile(path).map_err(|problem| format!("{path}: {}", problem.message))?;
        if query.value(&body).is_empty() {
            return Err(format!("`{path}` must find something").into());
        }
        criterion.bench_function(&format!("path {path}"), |bencher| {
            bencher.iter(|| query.value(black_box(&body)));
        });
    }
    let world = World::fixed(1_700_000_000_000, 7);
    let mut env = Env::new(&world);
    env.set(Scope::It, body);
    for template in TEMPLATES {
        let mut problems = Vec::new();
        let text = parse_template(template, &Names::of(&[Scope::It]), &mut problems);
        if let Some(problem) = problems.first() {
            return Err(format!("{template}: {}", problem.message).into());
        }
        if text.eval(&mut env).map_err(|failure| failure.0)?.is_empty() {
            return Err(format!("`{template}` must come to something").into());
        }
        criterion.bench_function(&format!("template {template}"), |bencher| {
            bencher.iter(|| {
                // Each evaluation of an event has a budget of its own.
                env.refill();
                text.eval(black_box(&mut env))
            });
        });
    }
    criterion.final_summary();
    Ok(())
}
