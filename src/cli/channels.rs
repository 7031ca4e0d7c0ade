//! `channels`: the channels of an installation, and what their life needs at the providers.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Subcommand, ValueEnum};

use super::{Trouble, Verdict, print};
use crate::call::{CallCache, HttpTransport, Transport};
use crate::diagnostic::text;
use crate::expression::Value;
use crate::gateway::{Driven, drive};
use crate::load::{ChannelSettings, Settings, read_installation};
use crate::pipeline::{Errand, Ground, Outcome};
use crate::plan::{CallStep, Life};
use crate::world::World;

/// Arguments of `channels`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// The installation
    #[arg(long, short, global = true, default_value = "patchcord.yaml", env = "PATCHCORD_CONFIG")]
    config: PathBuf,
    /// How to print what came of it
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show every channel with its URLs
    List,
    /// Make the provider send webhooks to a channel (`lifecycle: on_connect` of its mapping)
    Connect {
        /// The channel
        name: String,
    },
    /// End that (`on_disconnect`)
    Disconnect {
        /// The channel
        name: String,
    },
    /// Find out whether the credentials of a channel are good (`probe`)
    Probe {
        /// The channel; all of them unless given
        name: Option<String>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// What the steps of a channel's life came to.
pub(super) struct Lived {
    /// What they came to; none where the mapping has none.
    pub(super) driven: Option<Driven>,
}

impl Lived {
    /// Whether nothing went wrong.
    pub(super) fn is_good(&self) -> bool {
        self.driven.as_ref().is_none_or(|driven| matches!(driven.outcome, Outcome::Sent { .. }))
    }

    /// Why it went wrong, without the channel's secrets.
    pub(super) fn reason(&self, channel: &ChannelSettings) -> String {
        let fault = self.driven.as_ref().and_then(|driven| driven.outcome.fault());
        let reason = fault.map(ToString::to_string).unwrap_or_default();
        channel.channel.redact(&reason).into_owned()
    }
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    let settings = read(&args.config)?;
    let of = |name: &String| match find(&settings, name) {
        Some(channel) => Ok(vec![channel]),
        None => Err(Trouble(format!("there is no channel `{name}`; {}", known(&settings)))),
    };
    let (channels, word, pick): (_, _, fn(&Life) -> &[CallStep]) = match &args.what {
        What::List => {
            list(&settings, args.format);
            return Ok(Verdict::Good);
        }
        What::Connect { name } => (of(name)?, "connect", |life| &life.on_connect),
        What::Disconnect { name } => (of(name)?, "disconnect", |life| &life.on_disconnect),
        What::Probe { name: Some(name) } => (of(name)?, "probe", |life| &life.probe),
        What::Probe { name: None } => (settings.channels.iter().collect(), "probe", |life| &life.probe),
    };
    let transport = transport(&settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut good = true;
    let mut results = Vec::new();
    for channel in channels {
        let lived = runtime.block_on(live(channel, pick(&channel.plan.life), &transport));
        good &= lived.is_good();
        let name = &channel.channel.name;
        let (outcome, reason) = match &lived.driven {
            None => ("nothing", format!("the mapping `{}` says nothing about it", channel.plan.name)),
            Some(driven) => (driven.outcome.as_str(), lived.reason(channel)),
        };
        if args.format == Format::Text {
            print(&match outcome {
                "sent" => format!("{name}: {word}: ok"),
                "nothing" => format!("{name}: {word}: nothing to do, {reason}"),
                _ => format!("{name}: {word}: failed: {reason}"),
            });
        }
        results.push(Value::map([
            ("channel", Value::Text(name.clone())),
            ("outcome", Value::text(outcome)),
            ("reason", if reason.is_empty() { Value::Null } else { Value::from(reason) }),
        ]));
    }
    if args.format == Format::Json {
        print_json(&Value::map([("action", Value::text(word)), ("results", Value::list(results))]));
    }
    Ok(Verdict::of(good))
}

/// An installation that can be run; what is wrong with it goes to standard error.
fn read(config: &std::path::Path) -> Result<Settings, Trouble> {
    let (mut library, settings) = read_installation(config, None);
    library.problems.sort();
    if !library.problems.is_empty() {
        anstream::eprintln!("{}", text(&library.problems, &library.sources, true));
    }
    settings.ok_or_else(|| Trouble(format!("{} has errors", config.display())))
}

fn find<'s>(settings: &'s Settings, name: &str) -> Option<&'s ChannelSettings> {
    settings.channels.iter().find(|channel| channel.channel.name == name)
}

fn known(settings: &Settings) -> String {
    let names: Vec<_> =
        settings.channels.iter().map(|channel| format!("`{}`", channel.channel.name)).collect();
    format!("the channels are {}", names.join(", "))
}

/// The network of an installation.
pub(super) fn transport(settings: &Settings) -> Result<HttpTransport, Trouble> {
    HttpTransport::new(settings.network).map_err(|error| Trouble(error.to_string()))
}

/// Takes steps of a channel's life.
pub(super) async fn live(channel: &ChannelSettings, steps: &[CallStep], transport: &dyn Transport) -> Lived {
    if steps.is_empty() {
        return Lived { driven: None };
    }
    let (world, calls) = (World::system(), Arc::new(CallCache::default()));
    let ground = Ground {
        plan: &channel.plan,
        channel: &channel.channel,
        calls: &calls,
        world: &world,
        timeout: channel.limits.timeout,
    };
    let mut errand = Errand::steps(ground, steps);
    Lived { driven: Some(drive(&mut errand, transport, &calls).await) }
}

fn list(settings: &Settings, format: Format) {
    let channels: Vec<Value> = settings.channels.iter().map(|channel| described(settings, channel)).collect();
    if format == Format::Json {
        print_json(&Value::map([("channels", Value::list(channels))]));
        return;
    }
    for channel in &channels {
        let text = |name: &str| channel.get(name).to_text();
        let items = |name: &str| {
            let items = channel.get(name).as_list().unwrap_or_default().iter().map(Value::to_text);
            items.map(|item| item.to_string()).collect::<Vec<_>>()
        };
        let mut lines = vec![
            format!("{} ({}, ID type {})", text("name"), text("mapping"), text("id_type")),
            format!("  API Base URL  {}", text("api_base_url")),
        ];
        lines.extend(items("webhooks").iter().map(|webhook| format!("  webhook       {webhook}")));
        for (name, label) in
            [("lifecycle", "lifecycle    "), ("actions", "actions      "), ("polls", "polls        ")]
        {
            let items = items(name);
            if !items.is_empty() {
                lines.push(format!("  {label} {}", items.join(", ")));
            }
        }
        print(&lines.join("\n"));
    }
}

fn described(settings: &Settings, channel: &ChannelSettings) -> Value {
    let (plan, name) = (&channel.plan, &channel.channel.name);
    let (base, life) = (format!("{}/channels/{name}", settings.public_url), &plan.life);
    let texts = |texts: Vec<String>| Value::list(texts.into_iter().map(Value::from).collect());
    let webhooks = plan.webhooks.iter().map(|webhook| {
        let below = if webhook.shared {
            format!("{}/providers/{}", settings.public_url, plan.name)
        } else {
            base.clone()
        };
        format!("{} {below}/{}", webhook.methods.join("|"), webhook.route())
    });
    let lifecycle =
        [("on_connect", &life.on_connect), ("on_disconnect", &life.on_disconnect), ("probe", &life.probe)];
    let lifecycle = lifecycle.iter().filter(|(_, steps)| !steps.is_empty()).map(|(name, _)| (*name).into());
    Value::map([
        ("name", Value::Text(name.clone())),
        ("mapping", Value::Text(plan.name.clone())),
        ("id_type", Value::text(channel.platform.id_type.as_str())),
        ("address", Value::Text(channel.channel.address())),
        ("api_base_url", Value::from(base.clone())),
        ("webhooks", texts(webhooks.collect())),
        ("lifecycle", texts(lifecycle.collect())),
        ("actions", texts(life.actions.iter().map(|(name, _)| name.to_string()).collect())),
        ("polls", texts(life.polls.iter().map(|poll| poll.name.to_string()).collect())),
    ])
}

fn print_json(value: &Value) {
    print(&serde_json::to_string_pretty(value).unwrap_or_default());
}
