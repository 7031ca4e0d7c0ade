//! What a scenario's file says.

use std::collections::BTreeMap;
use std::time::Duration;

use patchcord::delivery::{BreakerPolicy, LaneSettings, Rate, RetryPolicy};
use patchcord::message::Status;
use patchcord::store::{Direction, Lane, StatusSet};
use patchcord::world::Millis;
use serde::Deserialize;
use smol_str::{SmolStr, format_smolstr};

use crate::disk::Sick;
use crate::network::{Latency, Receipts, Sky, Weather};
use crate::schedule::{Deed, Schedule};
use crate::town::channel;

/// A length of time: `250ms`, `3s`, `5m`, `1h`, `2d`, with a minus where it goes back.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
struct Time(Millis);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.trim_end_matches(char::is_alphabetic);
        let unit = match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            other => return Err(format!("`{other}` is no unit of time")),
        };
        digits.parse::<Millis>().map(|number| Self(number * unit)).map_err(|error| error.to_string())
    }
}

impl Time {
    fn duration(self) -> Duration {
        Duration::from_millis(u64::try_from(self.0).unwrap())
    }
}

/// A scenario.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    #[serde(rename = "about")]
    _about: String,
    #[serde(default)]
    channel: Settings,
    /// What the platform sends.
    #[serde(default)]
    messages: Vec<Burst>,
    /// What contacts write.
    #[serde(default)]
    webhooks: Vec<Burst>,
    /// What the provider says of every message that it took.
    #[serde(default)]
    receipts: Vec<Receipt>,
    /// How long a token is good; for ever unless given.
    tokens: Option<Time>,
    /// How long it takes to get one, at most.
    #[serde(default)]
    token_takes: Time,
    /// How `after` is said.
    #[serde(default)]
    after_is: Form,
    /// The first that fits holds; fine otherwise.
    #[serde(default)]
    weather: Vec<Spell>,
    /// What goes wrong with the gateway itself.
    #[serde(default)]
    events: Vec<Happens>,
    disk: Option<Disk>,
    /// What must be so in the end, by name.
    pub then: BTreeMap<String, Bound>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    rate: String,
    per_contact: String,
    platform_rate: String,
    platform_batch: usize,
    in_flight: usize,
    timeout: Time,
    first: Time,
    max: Time,
    attempts: Option<u32>,
    give_up_after: Time,
    statuses: Vec<Status>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            rate: "20/s".into(),
            per_contact: "unlimited".into(),
            platform_rate: "20/s".into(),
            platform_batch: 1,
            in_flight: 32,
            timeout: Time(30_000),
            first: Time(1000),
            max: Time(600_000),
            attempts: None,
            give_up_after: Time(24 * 3_600_000),
            statuses: vec![Status::Delivered, Status::Read, Status::Failed],
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Burst {
    at: Time,
    /// How far apart.
    #[serde(default)]
    every: Time,
    #[serde(default = "one")]
    times: u64,
    /// In turn.
    #[serde(default = "one")]
    contacts: u64,
    #[serde(default = "one_part")]
    parts: u8,
    /// Each once more, after so long.
    again_after: Option<Time>,
}

fn one() -> u64 {
    1
}

fn one_part() -> u8 {
    1
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    status: Status,
    after: Time,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Form {
    #[default]
    Seconds,
    Date,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Side {
    Provider,
    Platform,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spell {
    #[serde(default)]
    from: Time,
    until: Option<Time>,
    at: Side,
    contact: Option<SmolStr>,
    times: Option<u64>,
    /// How long it asks to be left alone.
    after: Option<Time>,
    /// In so many cases of all.
    answers: BTreeMap<Sky, u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Happens {
    at: Time,
    /// It loses its power, and comes back after so long.
    crash: Option<Time>,
    /// It is stopped in order, and comes back after so long.
    stop: Option<Time>,
    /// The wall clock jumps.
    jump: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Disk {
    from: Time,
    until: Time,
    /// How many operations in a thousand.
    refuses: u64,
    slowest: Time,
}

/// What a figure must be.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Bound {
    Exactly(u64),
    Within {
        #[serde(default)]
        at_least: u64,
        at_most: Option<u64>,
    },
}

impl Bound {
    pub fn holds(&self, figure: u64) -> bool {
        match *self {
            Self::Exactly(wanted) => figure == wanted,
            Self::Within { at_least, at_most } => {
                figure >= at_least && at_most.is_none_or(|at_most| figure <= at_most)
            }
        }
    }
}

impl Scenario {
    pub fn schedule(&self) -> Schedule {
        let mut deeds = Vec::new();
        for (number, burst) in self.messages.iter().enumerate() {
            deeds.extend(burst.all().map(|(at, contact, n)| {
                let mid = format_smolstr!("m{number}-{n}");
                (at, Deed::Message { channel: channel(0), contact, mid, parts: burst.parts })
            }));
        }
        for (number, burst) in self.webhooks.iter().enumerate() {
            for (at, contact, n) in burst.all() {
                let webhook =
                    Deed::Webhook { channel: channel(0), contact, mid: format_smolstr!("w{number}-{n}") };
                deeds.extend(burst.again_after.map(|after| (at + after.duration(), webhook.clone())));
                deeds.push((at, webhook));
            }
        }
        for it in &self.events {
            let at = it.at.duration();
            deeds.extend(it.crash.map(|_| (at, Deed::Crash)));
            deeds.extend(it.stop.map(|_| (at, Deed::Stop { within: Duration::from_secs(5) })));
            deeds.extend(it.crash.or(it.stop).map(|down| (at + down.duration(), Deed::Start)));
            deeds.extend(it.jump.map(|by| (at, Deed::Jump(by.0))));
        }
        deeds.sort_by_key(|(at, _)| *at);
        let post: StatusSet = self.channel.statuses.iter().copied().collect();
        let disk = self.disk.as_ref();
        Schedule {
            deeds,
            lanes: self.channel.lanes(post),
            latency: Latency {
                held_up: 0,
                least: 20,
                uneven: 5,
                thought: 5,
                token: u64::try_from(self.token_takes.0).unwrap(),
            },
            weather: self.weather.iter().map(Spell::weather).collect(),
            receipts: Receipts::These(
                self.receipts.iter().map(|it| (it.status, it.after.duration())).collect(),
            ),
            tokens: self.tokens.map(Time::duration),
            dates: self.after_is == Form::Date,
            sick: disk.map_or(Sick::default(), |disk| Sick {
                from: disk.from.duration(),
                until: disk.until.duration(),
                permille: disk.refuses,
                slowest: u64::try_from(disk.slowest.0).unwrap(),
            }),
            feed: 64,
            post,
        }
    }
}

impl Settings {
    fn lanes(&self, post: StatusSet) -> BTreeMap<Lane, LaneSettings> {
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        let outbound = LaneSettings {
            rate: rate(&self.rate),
            per_contact: rate(&self.per_contact),
            in_flight: self.in_flight,
            retry: RetryPolicy {
                first: self.first.duration(),
                max: self.max.duration(),
                attempts: self.attempts,
                give_up_after: self.give_up_after.duration(),
            },
            breaker: BreakerPolicy::default(),
            post,
            time_limit: self.timeout.duration(),
            ..LaneSettings::default()
        };
        let inbound = LaneSettings {
            rate: rate(&self.platform_rate),
            batch: self.platform_batch,
            post,
            ..LaneSettings::default()
        };
        [(Lane::outbound(channel(0)), outbound), (Lane::inbound(channel(0)), inbound)].into()
    }
}

impl Burst {
    fn all(&self) -> impl Iterator<Item = (Duration, SmolStr, u64)> {
        (0..self.times).map(|n| {
            let at = self.at.duration() + self.every.duration() * u32::try_from(n).unwrap();
            (at, format_smolstr!("c{}", n % self.contacts), n)
        })
    }
}

impl Spell {
    fn weather(&self) -> Weather {
        let after = self.after.map(|after| u64::try_from(after.0).unwrap());
        Weather {
            from: self.from.duration(),
            until: self.until.map_or(Duration::MAX, Time::duration),
            side: Some(match self.at {
                Side::Provider => Direction::Outbound,
                Side::Platform => Direction::Inbound,
            }),
            contact: self.contact.clone(),
            times: self.times,
            after: after.map(|after| (after, after)),
            odds: self.answers.iter().map(|(sky, odds)| (*sky, *odds)).collect(),
        }
    }
}
