//! `dry-run`: one webhook or one message through the real pipeline, offline.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;

use super::{Trouble, Verdict, print};
use crate::call::{HttpTransport, NetworkPolicy, Scripted};
use crate::diagnostic::text;
use crate::expression::Value;
use crate::load::Library;
use crate::plan::Plan;
use crate::rehearsal::{
    Kept, NOW, Stage, answers_of, downloads, message_of, parts, receive, request_of, send, send_live,
};

/// Arguments of `dry-run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A mapping: its file, or its name below `mappings`
    mapping: PathBuf,
    /// A webhook, or a list of webhooks that arrive in this order (JSON; `-` is standard input)
    #[arg(long, value_name = "FILE", required_unless_present = "send", conflicts_with = "send")]
    receive: Option<PathBuf>,
    /// A message: the platform's body or the canonical form (JSON; `-` is standard input)
    #[arg(long, value_name = "FILE")]
    send: Option<PathBuf>,
    /// The channel (JSON); what is left out gets a sensible value
    #[arg(long, value_name = "FILE")]
    channel: Option<PathBuf>,
    /// What the provider answers (JSON)
    #[arg(long, value_name = "FILE", conflicts_with = "live")]
    provider: Option<PathBuf>,
    /// The time, as in 2026-01-02T03:04:05Z, which it is unless given
    #[arg(long, value_name = "RFC3339")]
    now: Option<String>,
    /// Send the requests for real
    #[arg(long, requires = "send")]
    live: bool,
    /// With --live: let requests reach private addresses
    #[arg(long, requires = "live")]
    allow_private: bool,
    /// How to print what came of it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    let plan = load(&args.mapping)?;
    let channel = args.channel.as_deref().map(read_json).transpose()?.unwrap_or_default();
    let now = match &args.now {
        None => NOW,
        Some(text) => text
            .parse::<jiff::Timestamp>()
            .map_err(|_| Trouble(format!("`{text}` is not a time like 2026-01-02T03:04:05Z")))?
            .as_millisecond(),
    };
    let (stage, problems) = Stage::new(&plan, &channel, now);
    if !problems.is_empty() {
        return Err(Trouble(format!("the channel: {}", problems.join("; "))));
    }
    match (&args.receive, &args.send) {
        (Some(path), _) => receiving(args, &stage, path),
        (None, Some(path)) => sending(args, &stage, path),
        (None, None) => Err(Trouble("give --receive or --send".into())),
    }
}

/// The plan of a mapping; its problems go to standard error.
fn load(mapping: &Path) -> Result<Arc<Plan>, Trouble> {
    let (folder, name) = (Path::new("mappings"), mapping.display().to_string());
    let below = folder.join(format!("{name}.yaml"));
    let path = match (mapping.exists(), below.exists()) {
        (false, true) => &below,
        (false, false) if folder.is_dir() => folder, // a variant has no file of its own
        _ => mapping,
    };
    let mut library = Library::read(&[path.to_path_buf()])?;
    library.problems.sort();
    if library.problems.has_errors() {
        anstream::eprintln!("{}", text(&library.problems, &library.sources, true));
    }
    if path == folder {
        let plan = library.plans().remove(name.as_str());
        return plan.ok_or_else(|| Trouble(format!("there is no mapping `{name}`")));
    }
    let plan = library.mappings.pop().and_then(|loaded| loaded.plan);
    plan.ok_or_else(|| Trouble("the mapping has errors".into()))
}

fn read_json(path: &Path) -> Result<Value, Trouble> {
    let from_stdin = path == Path::new("-");
    let name = if from_stdin { "standard input".into() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    if from_stdin {
        std::io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(path).map_err(|error| Trouble(format!("{name}: {error}")))?;
    }
    Value::from_json(&bytes).map_err(|error| Trouble(format!("{name} is not JSON: {error}")))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn receiving(args: &Args, stage: &Stage<'_>, path: &Path) -> Result<Verdict, Trouble> {
    let given = read_json(path)?;
    let requests = match &given {
        Value::List(items) => items.to_vec(),
        one => vec![one.clone()],
    };
    let mut kept = store(stage)?;
    let provider = provider(args)?;
    let mut results = Vec::new();
    for (index, given) in requests.iter().enumerate() {
        let (shared, request) = request_of(stage, given).map_err(Trouble)?;
        let rehearsed = receive(stage, shared, &request, &provider, &mut kept);
        if args.format == Format::Text {
            print(&format!("== request {}: {} {}", index + 1, request.method, request.url));
            for (name, value) in &rehearsed.trace.0 {
                print(&format!("-- {name}\n{}", pretty(value)));
            }
            let mut shown = rehearsed.json.as_map().cloned().unwrap_or_default();
            shown.insert("downloads", downloads(stage, rehearsed.json.get("events"), &provider));
            let names = ["verdict", "reason", "events", "platform_requests", "calls", "downloads"];
            let json = Value::Map(shown.into());
            print(&sections(&json, &[&names[..], &["remembered", "reply"]].concat()));
        }
        results.push(rehearsed.json);
    }
    if args.format == Format::Json {
        print(&pretty(&Value::map([("results", Value::list(results))])));
    }
    Ok(Verdict::Good)
}

fn sending(args: &Args, stage: &Stage<'_>, path: &Path) -> Result<Verdict, Trouble> {
    let message = message_of(&read_json(path)?).map_err(Trouble)?;
    let mut kept = store(stage)?;
    let result = if args.live {
        let policy = NetworkPolicy { allow_private: args.allow_private };
        let transport = HttpTransport::new(policy).map_err(|error| Trouble(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(send_live(stage, &message, &transport, &mut kept))
    } else {
        send(stage, &message, &provider(args)?, &mut kept)
    };
    match args.format {
        Format::Json => print(&pretty(&result)),
        Format::Text => {
            if let Ok(parts) = parts(stage, &message, &store(stage)?) {
                print(&format!("-- parts\n{}", pretty(&parts)));
            }
            print(&sections(
                &result,
                &["requests", "outcome", "ids", "error", "retry_after", "platform_requests", "remembered"],
            ));
        }
    }
    Ok(Verdict::Good)
}

/// What the provider answers.
fn provider(args: &Args) -> Result<Scripted, Trouble> {
    let answers = args.provider.as_deref().map(read_json).transpose()?.unwrap_or_default();
    Ok(Scripted::new(answers_of(&answers).map_err(Trouble)?))
}

/// What stands for the store: what `--channel` says that it holds.
fn store(stage: &Stage<'_>) -> Result<Kept, Trouble> {
    Kept::of(&stage.store).map_err(|problem| Trouble(format!("the channel: {problem}")))
}

/// The members of a result, each under its name; those that hold nothing are left out.
fn sections(result: &Value, names: &[&str]) -> String {
    let shown = names.iter().filter(|name| !result.get(name).is_empty());
    shown.map(|name| ["-- ", name, "\n", &pretty(result.get(name)), "\n"].concat()).collect()
}
