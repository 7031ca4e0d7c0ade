//! How long the pure mapping of a `WhatsApp` text of 1 KB takes, from the request to its events with its signature, and
//! from a message to the request that sends it; without HTTP and store. `cargo bench --bench mapping`.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use patchcord::call::CallCache;
use patchcord::expression::{Env, Scope, Value};
use patchcord::load::Library;
use patchcord::memory::Memory;
use patchcord::message::{Content, Outbound};
use patchcord::pipeline::{Incoming, Next, Progress, Sending, Site, find_route, receive, sign};
use patchcord::rehearsal::{NOW, Stage};

const BODY: &str = include_str!("webhook.json");
const TEXT: &str =
    "Your replacement jacket leaves our shop today, the courier brings it tomorrow between 9 and 12.";

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    let mut library = Library::read(&["mappings/whatsapp.yaml".into()])?;
    let plan = library.mappings.pop().and_then(|loaded| loaded.plan).ok_or("the mapping has errors")?;
    let channel = Value::from_json(br#"{"config":{"phone_number_id":"106540352242922"}}"#)?;
    let (stage, _) = Stage::new(&plan, &channel, NOW);

    criterion.bench_function("JSON of a webhook of 1 KB", |bencher| {
        bencher.iter(|| Value::from_json(black_box(BODY.as_bytes())));
    });

    let mut request = webhook();
    let route = find_route(&plan, true, &request.method, &request.route)?;
    let mut env = Env::new(&stage.world);
    env.set(Scope::Deployment, stage.channel.deployment.clone());
    sign(route.webhook, &mut request, &mut env)?;
    let site = Site {
        plan: &plan,
        channel: None,
        deployment: &stage.channel.deployment,
        directory: &stage,
        world: &stage.world,
    };
    let received = || {
        let route = find_route(&plan, true, &request.method, &request.route).ok()?;
        Some(receive(&site, route, black_box(&request), &mut None))
    };
    if received().map_or(0, |received| received.events.len()) != 1 {
        return Err("the webhook must be understood".into());
    }
    criterion.bench_function("webhook of 1 KB to its event, JSON and signature included", |bencher| {
        bencher.iter(received);
    });

    let content = Content { text: Some(TEXT.into()), ..Content::default() };
    let message = Outbound { contact_id: "+628112345678".into(), content, ..Outbound::default() };
    let cache = Arc::new(CallCache::default());
    let sent = || {
        let (memory, progress) = (Memory::default(), Progress::default());
        let message = black_box(&message);
        let sending =
            Sending::new(&plan, &stage.channel, memory, message, progress, cache.clone(), &stage.world);
        sending.map(|mut sending| sending.step())
    };
    if !matches!(sent(), Ok(Next::Request(_))) {
        return Err("the message must lead to a request".into());
    }
    criterion.bench_function("message to the request that sends it", |bencher| bencher.iter(sent));
    criterion.final_summary();
    Ok(())
}

fn webhook() -> Incoming {
    Incoming {
        method: "POST".into(),
        url: "https://gateway.example.com/providers/whatsapp/receive".into(),
        route: "receive".into(),
        headers: [
            ("host", "gateway.example.com"),
            ("accept", "*/*"),
            ("user-agent", "facebookexternalua"),
            ("content-type", "application/json"),
            ("content-length", "950"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec(),
        body: BODY.into(),
        ..Incoming::default()
    }
}
