//! How long the pure mapping of a 1 KB `WhatsApp` text takes: from the request to its events, with signature,
//! without HTTP and store. Run it with `cargo bench --bench mapping`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use patchcord::expression::{Env, Scope, Value};
use patchcord::load::Library;
use patchcord::pipeline::{Incoming, Site, find_route, receive, sign};
use patchcord::rehearsal::{NOW, Stage};

const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"contacts":[{"profile":{"name":"Sheena Nelson"},"wa_id":"628112345678"}],"messages":[{"from":"628112345678","id":"wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQz00000001","timestamp":"1700000000","text":{"body":"Hi, I ordered the blue rain jacket in size M last week (order 20931-B) and the parcel arrived this morning, but the zip of the left pocket is broken and the hood is a different colour than in the picture. \u00bfPodr\u00edan cambiarla? I can bring it to the shop in Kuala Lumpur on Saturday, or you send a courier to the same address as before. I kept the box, the labels and the invoice. Please tell me which of the two you prefer, and whether I have to pay for anything. Thanks a lot! \ud83d\ude4f"},"type":"text"}]},"field":"messages"}]}]}"#;
const BATCH: u32 = 2_000;
const BATCHES: usize = 51;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut library = Library::read(&["mappings/whatsapp.yaml".into()])?;
    let plan = library.mappings.pop().and_then(|loaded| loaded.plan).ok_or("the mapping has errors")?;
    let channel = Value::from_json(br#"{"config":{"phone_number_id":"106540352242922"}}"#)?;
    let (stage, _) = Stage::new(&plan, &channel, NOW);
    let mut request = Incoming {
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
    };
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
    let once = || {
        let route = find_route(&plan, true, &request.method, &request.route).ok()?;
        Some(receive(&site, route, black_box(&request), &mut None))
    };
    let events = once().map_or(0, |received| received.events.len());
    assert_eq!(events, 1, "the webhook must be understood");

    let mapping = time(|| drop(black_box(once())));
    let parsing = time(|| drop(black_box(Value::from_json(black_box(BODY.as_bytes())))));
    println!("mapping: {mapping:.1?} per webhook, of which {parsing:.1?} are the JSON");
    Ok(())
}

/// The median over batches of what one call takes.
fn time(call: impl Fn()) -> Duration {
    let batch = |_| {
        let start = Instant::now();
        (0..BATCH).for_each(|_| call());
        start.elapsed() / BATCH
    };
    let mut batches: Vec<Duration> = (0..BATCHES).map(batch).collect();
    batches.sort();
    batches.get(BATCHES / 2).copied().unwrap_or_default()
}
