//! The whole gateway in the town: its channels, with the simulator's own mapping.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use patchcord::call::{self, NetworkPolicy};
use patchcord::delivery::{LaneSettings, Rate};
use patchcord::diagnostic;
use patchcord::expression::{Map, Value};
use patchcord::load::{ChannelSettings, Library, MediaSettings, ServerSettings, Settings};
use patchcord::message::Status;
use patchcord::plan::{self, Breaker, Channel, ChannelFacts, ContactIdKind, InDoubt, Limits, Plan, Retry};
use patchcord::platform::{PlatformChannel, Token};
use patchcord::store::{Direction, Lane};
use smol_str::SmolStr;

/// What the platform proves itself with.
pub const TOKEN: &str = "t0ken";
/// What providers prove themselves with.
pub const WORD: &str = "opensesame";

fn plan() -> Arc<Plan> {
    static PLAN: OnceLock<Arc<Plan>> = OnceLock::new();
    let compile = || {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim/provider.yaml");
        let library = Library::read(&[file]).unwrap();
        assert!(
            library.problems.is_empty(),
            "{}",
            diagnostic::text(&library.problems, &library.sources, false)
        );
        library.plans().into_values().next().unwrap()
    };
    Arc::clone(PLAN.get_or_init(compile))
}

/// The lanes as the gateway makes them of what a channel can be told.
pub fn lanes(lanes: &BTreeMap<Lane, LaneSettings>) -> BTreeMap<Lane, LaneSettings> {
    let limits = Limits::default();
    let made = lanes.iter().map(|(lane, settings)| {
        let settings = match lane.direction {
            Direction::Inbound => LaneSettings {
                rate: settings.rate,
                batch: settings.batch,
                post: settings.post,
                ..LaneSettings::default()
            },
            Direction::Outbound => LaneSettings {
                time_limit: call::longest(settings.time_limit, limits.media) + Duration::from_secs(15),
                window: LaneSettings::default().window,
                ..settings.clone()
            },
        };
        (lane.clone(), settings)
    });
    made.collect()
}

/// An installation whose channels behave like these lanes.
pub fn settings(lanes: &BTreeMap<Lane, LaneSettings>) -> Settings {
    let outbound = lanes.iter().filter(|(lane, _)| lane.direction == Direction::Outbound);
    let channels = outbound.map(|(lane, settings)| {
        let inbound = &lanes[&Lane::inbound(lane.channel.clone())];
        channel(&lane.channel, settings, inbound)
    });
    Settings {
        listen: String::new(),
        public_url: "https://gateway.test".into(),
        store: String::new(),
        network: NetworkPolicy::default(),
        server: ServerSettings::default(),
        media: MediaSettings::default(),
        keep: Duration::from_hours(7 * 24),
        keep_dead: Duration::from_hours(30 * 24),
        admin: None,
        channels: channels.collect(),
    }
}

fn channel(name: &SmolStr, outbound: &LaneSettings, inbound: &LaneSettings) -> ChannelSettings {
    let plan = plan();
    let mut config = Map::new();
    config.insert("host", Value::from(format!("{name}.test")));
    config.insert("word", Value::text(WORD));
    let (channel, problems) =
        Channel::new(&plan, &ChannelFacts { name: name.to_string(), config, ..ChannelFacts::default() });
    assert_eq!(problems, []);
    let statuses = [Status::Sent, Status::Delivered, Status::Read, Status::Failed];
    ChannelSettings {
        plan,
        channel: Arc::new(channel),
        platform: PlatformChannel { channel_id: name.to_string(), id_type: ContactIdKind::Custom },
        webhook_url: format!("https://platform.test/{name}"),
        token: Token::new(TOKEN),
        platform_rate: rate(inbound.rate),
        platform_batch: inbound.batch,
        statuses: statuses.into_iter().filter(|status| outbound.post.contains(*status)).collect(),
        limits: Limits {
            rate: rate(outbound.rate),
            per_contact: rate(outbound.per_contact),
            in_flight: outbound.in_flight,
            timeout: outbound.time_limit,
            ..Limits::default()
        },
        retry: Retry {
            attempts: outbound.retry.attempts,
            first: outbound.retry.first,
            max: outbound.retry.max,
            give_up_after: outbound.retry.give_up_after,
            in_doubt: if outbound.hold_doubtful { InDoubt::Hold } else { InDoubt::Retry },
            breaker: Breaker {
                failures: outbound.breaker.failures,
                pause: outbound.breaker.pause,
                max: outbound.breaker.max,
            },
        },
    }
}

fn rate(rate: Rate) -> plan::Rate {
    rate.limit().map_or(plan::Rate::Unlimited, |(count, per)| plan::Rate::Limited { count, per })
}
