//! `sandbox`: the whole gateway on one machine, between two stand-ins.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use smol_str::SmolStr;
use tokio::net::TcpListener;

use super::{Trouble, Verdict, print};
use crate::call::NetworkPolicy;
use crate::compile;
use crate::diagnostic::{Diagnostics, Sources, text};
use crate::expression::{Map, Value};
use crate::gateway::Gateway;
use crate::load::{ChannelSettings, MediaSettings, ServerSettings, Settings};
use crate::message::Status;
use crate::plan::{Channel, ChannelFacts, ContactIdKind, Limits, Plan, Retry};
use crate::platform::{PlatformChannel, Token};
use crate::sandbox::{page, platform, provider};
use crate::server;
use crate::world::World;
use crate::yaml;

/// The mapping of the provider stand-in.
const MAPPING: &str = include_str!("../sandbox/stand_in.yaml");
const CHANNEL: &str = "sandbox";
const CONTACT: &str = "+60123456789";
const PLATFORM_TOKEN: &str = "sandbox-token";
const PROVIDER_TOKEN: &str = "sandbox-provider-token";
const SECRET: &str = "sandbox-secret";
/// How long a round trip may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Arguments of `sandbox`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Make the round trip and stop: exit code 0 if everything crossed, 1 if not
    #[arg(long)]
    once: bool,
    /// Where the page is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8090")]
    listen: String,
    /// Where the gateway keeps its messages; a temporary folder unless given
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    #[command(flatten)]
    logs: super::logs::LogArgs,
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    super::logs::start(&args.logs);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let temporary = std::env::temp_dir().join(format!("patchcord-sandbox-{}", World::system().new_id()));
    let folder = args.data.clone().unwrap_or_else(|| temporary.clone());
    std::fs::create_dir_all(&folder)?;
    let result = runtime.block_on(sandbox(args, &folder.join("patchcord.db").display().to_string()));
    if args.data.is_none() {
        let _ = std::fs::remove_dir_all(&temporary);
    }
    result
}

async fn local() -> Result<(TcpListener, String), Trouble> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    Ok((listener, format!("http://{address}")))
}

async fn sandbox(args: &Args, database: &str) -> Result<Verdict, Trouble> {
    let world = World::system();
    let (gateway_listener, gateway_url) = local().await?;
    let (platform_listener, platform_url) = local().await?;
    let (provider_listener, provider_url) = local().await?;
    let base_url = format!("{gateway_url}/channels/{CHANNEL}");

    let channels =
        [(CHANNEL.to_string(), platform::Channel { token: PLATFORM_TOKEN.into(), ..Default::default() })];
    let messenger =
        platform::Platform::new(platform::Options { channels: channels.into(), ..Default::default() });
    let carrier = provider::Provider::new(provider::Options {
        webhook_url: Some(format!("{base_url}/events")),
        secret: SECRET.into(),
        token: Some(PROVIDER_TOKEN.into()),
        ..Default::default()
    });
    let webhook_url = format!("{platform_url}/custom/channel/webhook/");
    let settings = settings(database, &gateway_url, webhook_url, &provider_url)?;
    let gateway =
        Gateway::start(settings, world.clone(), None).map_err(|error| Trouble(error.to_string()))?;
    let gateway = Arc::new(gateway);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let limits = ServerSettings { drain: Duration::from_secs(5), ..ServerSettings::default() };
    let serving = tokio::spawn(server::serve(gateway_listener, None, gateway.clone(), limits, async move {
        drop(stopped.await);
    }));
    let stand_ins = [
        tokio::spawn(messenger.clone().serve(platform_listener)),
        tokio::spawn(carrier.clone().serve(provider_listener)),
    ];

    print(&format!(
        "The gateway {gateway_url} between two stand-ins on this machine:\n\
         a provider {provider_url} and an IS-Messenger {platform_url}; messages are kept in {database}\n"
    ));
    let good = round_trip(&messenger, &carrier, &base_url).await;
    let mut verdict = Ok(Verdict::of(good));
    if !args.once {
        verdict =
            stay(args, messenger, carrier, base_url, provider_url, world).await.map(|()| Verdict::of(good));
    }

    drop(stop);
    drop(serving.await);
    for stand_in in stand_ins {
        stand_in.abort();
    }
    gateway.close().await;
    verdict
}

/// One message each way, with its receipts; says what happened.
async fn round_trip(messenger: &platform::Platform, carrier: &provider::Provider, base_url: &str) -> bool {
    print("contact -> provider -> gateway -> IS-Messenger");
    let inbound = inbound(messenger, carrier).await;
    print(&inbound.clone().unwrap_or_else(|why| format!("  FAILED: {why}")));
    print("agent -> IS-Messenger -> gateway -> provider");
    let outbound = outbound(messenger, carrier, base_url).await;
    print(&outbound.clone().unwrap_or_else(|why| format!("  FAILED: {why}")));
    let good = inbound.is_ok() && outbound.is_ok();
    print(if good { "\nThe round trip is good." } else { "\nThe round trip FAILED." });
    good
}

async fn inbound(messenger: &platform::Platform, carrier: &provider::Provider) -> Result<String, String> {
    let text = "Hello, is my order on its way?";
    let began = Instant::now();
    let say = provider::Say {
        from: CONTACT.into(),
        name: Some("Ada Lovelace".into()),
        text: Some(text.into()),
        ..Default::default()
    };
    let id =
        carrier.say(&say).await.map_err(|refusal| format!("the gateway refused the webhook: {refusal:?}"))?;
    let accepted = began.elapsed();
    let mut changes = messenger.changes();
    let arrived = async {
        loop {
            changes.borrow_and_update();
            if messenger.inbox().iter().any(|message| message.mid == id) {
                return began.elapsed();
            }
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let arrived = tokio::time::timeout(PATIENCE, arrived).await;
    let arrived = arrived.map_err(|_| format!("nothing arrived within {} s", PATIENCE.as_secs()))?;
    Ok(format!("  \"{text}\"\n  accepted after {}, at IS-Messenger after {}", ms(accepted), ms(arrived)))
}

async fn outbound(
    messenger: &platform::Platform,
    carrier: &provider::Provider,
    base_url: &str,
) -> Result<String, String> {
    let text = "Yes, it left this morning.";
    let began = Instant::now();
    let message = serde_json::json!({"type": "text", "text": text});
    let mid = messenger
        .send(base_url, PLATFORM_TOKEN, CONTACT, &message)
        .await
        .map_err(|error| format!("the gateway refused the message: {error}"))?;
    let mut lines = vec![format!("  \"{text}\"\n  accepted after {}", ms(began.elapsed()))];
    let at_provider = || carrier.taken().iter().any(|taken| taken.reference.as_deref() == Some(mid.as_str()));
    let status = |value: &str| {
        messenger.sent_as(&mid).is_some_and(|sent| sent.statuses.iter().any(|status| status.value == value))
    };
    let steps: [(&str, &dyn Fn() -> bool); 3] = [
        ("at the provider", &at_provider),
        ("delivered", &|| status("delivered")),
        ("read", &|| status("read")),
    ];
    for (what, happened) in steps {
        while !happened() {
            if began.elapsed() > PATIENCE {
                lines.push(format!("not {what} within {} s", PATIENCE.as_secs()));
                return Err(lines.join(", ").trim_start().to_string());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        lines.push(format!("{what} after {}", ms(began.elapsed())));
    }
    Ok(lines.join(", "))
}

fn ms(duration: Duration) -> String {
    format!("{:.0} ms", duration.as_secs_f64() * 1000.0)
}

/// Serves the page until somebody stops the program.
async fn stay(
    args: &Args,
    messenger: platform::Platform,
    carrier: provider::Provider,
    base_url: String,
    provider_url: String,
    world: World,
) -> Result<(), Trouble> {
    let options = page::Options {
        base_url,
        token: PLATFORM_TOKEN.into(),
        provider_url,
        console_url: None,
        contact: CONTACT.into(),
        world,
    };
    let router = page::router(messenger, carrier, options).map_err(|error| Trouble(error.to_string()))?;
    let listener = TcpListener::bind(&args.listen).await.map_err(|error| {
        Trouble(format!("can't serve the page on {}: {error}; choose --listen", args.listen))
    })?;
    print(&format!("\nType more on http://{} (Ctrl-C ends the sandbox)", listener.local_addr()?));
    tokio::select! {
        served = crate::sandbox::http::serve(listener, router) => served?,
        () = super::serve::stopped() => {}
    }
    Ok(())
}

fn settings(
    database: &str,
    gateway_url: &str,
    webhook_url: String,
    provider_url: &str,
) -> Result<Settings, Trouble> {
    let plan = Arc::new(plan()?);
    let facts = ChannelFacts {
        name: CHANNEL.into(),
        channel_id: CHANNEL.into(),
        public_url: gateway_url.into(),
        config: [
            ("url", Value::text(provider_url)),
            ("token", Value::text(PROVIDER_TOKEN)),
            ("secret", Value::text(SECRET)),
            ("sender", Value::text("+60387654321")),
        ]
        .into_iter()
        .map(|(name, value)| (SmolStr::new_static(name), value))
        .collect::<Map>(),
        ..ChannelFacts::default()
    };
    let (channel, problems) = Channel::new(&plan, &facts);
    if let Some(problem) = problems.first() {
        return Err(Trouble(problem.message.clone()));
    }
    let channel = ChannelSettings {
        plan,
        channel: Arc::new(channel),
        platform: PlatformChannel { channel_id: CHANNEL.into(), id_type: ContactIdKind::Phone },
        webhook_url,
        token: Token::new(PLATFORM_TOKEN),
        platform_rate: Limits::default().rate,
        platform_batch: 1,
        statuses: vec![Status::Delivered, Status::Read, Status::Failed],
        limits: Limits::default(),
        retry: Retry::default(),
    };
    Ok(Settings {
        listen: String::new(),
        public_url: gateway_url.into(),
        store: format!("sqlite:{database}"),
        network: NetworkPolicy { allow_private: true },
        server: ServerSettings::default(),
        media: MediaSettings::default(),
        keep: Duration::from_secs(24 * 3600),
        keep_dead: Duration::from_secs(7 * 24 * 3600),
        admin: None,
        channels: vec![channel],
    })
}

fn plan() -> Result<Plan, Trouble> {
    let (mut sources, mut out) = (Sources::new(), Diagnostics::new());
    let file = sources.add("stand_in.yaml", MAPPING);
    yaml::parse(file, &sources, &mut out)
        .and_then(|node| compile::mapping(&node, &mut out))
        .ok_or_else(|| Trouble(text(&out, &sources, false)))
}
