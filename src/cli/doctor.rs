//! `doctor`: whether an installation can work where it is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;

use super::channels::{live, transport};
use super::{Trouble, Verdict, print};
use crate::call::{self, Departure, HttpTransport, Outgoing, Payload, Response, Shown};
use crate::diagnostic::text;
use crate::expression::Value;
use crate::load::{Settings, read_installation};
use crate::store::{self, StoreError};
use crate::world::{Millis, World};

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The installation
    #[arg(long, short, default_value = "patchcord.yaml", env = "PATCHCORD_CONFIG")]
    config: PathBuf,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

/// How far the clock may be off before signatures and tokens begin to fail, in milliseconds.
const SKEW: Millis = 60_000;
/// How long the gateway's own answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Bad,
    /// It could not be told.
    Unknown,
}

impl Health {
    fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Bad => "problem",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
struct Check {
    what: String,
    health: Health,
    message: String,
}

impl Check {
    fn new(what: impl Into<String>, health: Health, message: impl Into<String>) -> Self {
        Self { what: what.into(), health, message: message.into() }
    }
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    if !args.config.is_file() {
        return Err(Trouble(format!("there is no {}", args.config.display())));
    }
    let (mut library, settings) = read_installation(&args.config, None);
    library.problems.sort();
    if !library.problems.is_empty() {
        anstream::eprintln!("{}", text(&library.problems, &library.sources, true));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let checks = match settings {
        None => {
            vec![Check::new("installation", Health::Bad, "it has errors or lacks secrets, as told above")]
        }
        Some(settings) => runtime.block_on(examine(&settings))?,
    };
    match args.format {
        Format::Text => checks.iter().for_each(|Check { what, health, message }| {
            print(&format!("{:<8} {what}: {message}", health.as_str()));
        }),
        Format::Json => {
            let checks = checks.iter().map(|check| {
                Value::map([
                    ("check", Value::text(&check.what)),
                    ("health", Value::text(check.health.as_str())),
                    ("message", Value::text(&check.message)),
                ])
            });
            let all = Value::map([("checks", Value::list(checks.collect()))]);
            print(&serde_json::to_string_pretty(&all).unwrap_or_default());
        }
    }
    Ok(Verdict::of(checks.iter().all(|check| check.health != Health::Bad)))
}

async fn examine(settings: &Settings) -> Result<Vec<Check>, Trouble> {
    let count = settings.channels.len();
    let transport = transport(settings)?;
    let sound = format!("sound, with every secret of {count} channel{}", if count == 1 { "" } else { "s" });
    let mut checks = vec![Check::new("installation", Health::Good, sound), store(settings)];
    checks.push(public_url(&settings.public_url));
    checks.push(reachable(settings, &transport).await);
    let mut skews = Vec::new();
    for channel in &settings.channels {
        let what = format!("channel {}", channel.channel.name);
        let asked = World::system().now();
        let lived = live(channel, &channel.plan.life.probe, &transport).await;
        let Some(driven) = &lived.driven else {
            let message = format!("the mapping `{}` has no `probe`", channel.plan.name);
            checks.push(Check::new(what, Health::Unknown, message));
            continue;
        };
        let answered = World::system().now();
        let date = driven.last.as_ref().and_then(|(_, response)| date(response));
        skews.extend(date.map(|date| skew(date, asked, answered)));
        checks.push(if lived.is_good() {
            Check::new(what, Health::Good, "the provider takes its credentials")
        } else {
            Check::new(what, Health::Bad, lived.reason(channel))
        });
    }
    checks.push(clock(&skews));
    Ok(checks)
}

/// Whether messages can be kept.
fn store(settings: &Settings) -> Check {
    let Some(path) = settings.store.strip_prefix("sqlite:") else { return database(settings) };
    let (health, message) = if Path::new(path).exists() {
        let (feed, _reader) = store::feed(1);
        match store::open(&settings.store, &store::Options::default(), feed) {
            Ok(_) => (Health::Good, format!("{path} can be written")),
            Err(StoreError::InUse(_)) => (Health::Good, format!("{path} is in use by a running gateway")),
            Err(error) => (Health::Bad, error.to_string()),
        }
    } else {
        match writable(Path::new(path)) {
            Ok(()) => (Health::Good, format!("{path} will be created")),
            Err(why) => (Health::Bad, format!("{path} can't be created: {why}")),
        }
    };
    Check::new("store", health, message)
}

/// Whether a database can be reached and written.
fn database(settings: &Settings) -> Check {
    let (feed, _reader) = store::feed(1);
    let (health, message) = match store::open(&settings.store, &store::Options::default(), feed) {
        Ok(_) => (Health::Good, "the database can be reached and written".to_owned()),
        Err(error @ StoreError::InUse(_)) => (Health::Good, format!("{error}: by a running gateway")),
        Err(error) => (Health::Bad, error.to_string()),
    };
    Check::new("store", health, message)
}

/// Whether a file could be created, with the folders that it needs.
fn writable(path: &Path) -> Result<(), String> {
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir() || folder.as_os_str().is_empty());
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let trial = folder.join(format!(".patchcord-doctor-{}", std::process::id()));
    std::fs::write(&trial, b"").and_then(|()| std::fs::remove_file(&trial)).map_err(|error| error.to_string())
}

/// Whether providers can use it.
fn public_url(public_url: &str) -> Check {
    let bad = |message: String| Check::new("public_url", Health::Bad, message);
    let Ok(url) = url::Url::parse(public_url) else { return bad(format!("`{public_url}` is not a URL")) };
    let local = match url.host() {
        None => true,
        Some(url::Host::Domain(name)) => {
            name == "localhost" || [".localhost", ".local", ".internal"].iter().any(|end| name.ends_with(end))
        }
        Some(url::Host::Ipv4(ip)) => {
            ip.is_loopback() || ip.is_private() || ip.is_unspecified() || ip.is_link_local()
        }
        Some(url::Host::Ipv6(ip)) => ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local(),
    };
    if local {
        return bad(format!("{public_url} can't be reached from the internet"));
    }
    if url.scheme() != "https" {
        return bad(format!("{public_url} is not https: what is sent to it can be read on the way"));
    }
    Check::new("public_url", Health::Good, public_url)
}

/// Whether the gateway answers where providers look for it.
async fn reachable(settings: &Settings, transport: &HttpTransport) -> Check {
    let url = format!("{}/healthz", settings.public_url);
    let parsed = match url.parse() {
        Ok(parsed) => parsed,
        Err(error) => return Check::new("gateway", Health::Bad, format!("{url} is no URL: {error}")),
    };
    let request = Outgoing {
        method: "GET".into(),
        urls: vec![parsed],
        headers: Vec::new(),
        body: Payload::Nothing,
        shown: Shown::Nothing,
        timeout: TIMEOUT,
        departure: Departure::default(),
    };
    let (health, message) = match call::send(transport, &request).await {
        Ok(response) if response.status == 200 && response.body.starts_with(b"ok") => {
            (Health::Good, format!("{url} answers"))
        }
        Ok(response) => (Health::Bad, format!("{url} answers {}: something else is there", response.status)),
        Err(error) => {
            (Health::Unknown, format!("nothing answers at {url} ({error}); is the gateway running?"))
        }
    };
    Check::new("gateway", health, message)
}

/// When a response was made, by the other side's clock.
fn date(response: &Response) -> Option<Millis> {
    let (_, date) = response.headers.iter().find(|(name, _)| name == "date")?;
    Some(jiff::fmt::rfc2822::parse(date).ok()?.timestamp().as_millisecond())
}

/// How far our clock is ahead of a date that was given between two moments.
fn skew(date: Millis, asked: Millis, answered: Millis) -> Millis {
    // A date is rounded down to a second.
    let (earliest, latest) = (date, date.saturating_add(1000));
    if asked > latest {
        asked.saturating_sub(latest)
    } else if answered < earliest {
        answered.saturating_sub(earliest)
    } else {
        0
    }
}

fn clock(skews: &[Millis]) -> Check {
    // One provider's clock may be wrong; if ours is, it is wrong for all.
    let Some(least) = skews.iter().min_by_key(|skew| skew.abs()) else {
        return Check::new("clock", Health::Unknown, "no provider told the time");
    };
    let (seconds, direction) = (least.abs() / 1000, if *least > 0 { "ahead of" } else { "behind" });
    if least.abs() > SKEW {
        let message =
            format!("{seconds} s {direction} the providers'; signatures and tokens will be refused");
        return Check::new("clock", Health::Bad, message);
    }
    Check::new("clock", Health::Good, "as the providers'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_https_and_not_of_this_machine() {
        for bad in [
            "http://gateway.example.com",
            "https://localhost",
            "https://127.0.0.1:8080",
            "https://192.168.1.2",
            "https://[::1]",
            "nonsense",
        ] {
            assert_eq!(public_url(bad).health, Health::Bad, "{bad}");
        }
        assert_eq!(public_url("https://gateway.example.com").health, Health::Good);
    }

    #[test]
    fn a_clock_is_as_wrong_as_the_nearest_provider_says() {
        assert_eq!(skew(10_000, 10_400, 10_900), 0);
        assert_eq!(skew(10_000, 200_000, 201_000), 189_000);
        assert_eq!(skew(500_000, 100_000, 101_000), -399_000);
        assert_eq!(clock(&[]).health, Health::Unknown);
        assert_eq!(clock(&[400_000, 0]).health, Health::Good);
        assert!(clock(&[400_000, 189_000]).message.starts_with("189 s ahead of"));
        assert!(clock(&[-189_000]).message.starts_with("189 s behind"));
    }
}
