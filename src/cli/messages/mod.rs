//! `messages`: what is in the store. Reading works beside the running gateway and without one; what changes something
//! goes through the gateway where one runs, and into the store where none does.

mod change;
mod filter;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use self::change::{Order, Target, carry_out};
use self::filter::{ChosenMessages, ChosenWebhooks, MessageFilter, WebhookFilter};
use super::{Trouble, Verdict, print};
use crate::diagnostic::text;
use crate::gateway::examine;
use crate::load::{Library, Settings, survey_installation};
use crate::store::{self, Filter, ParkedFilter, Record, Records, StoreError, Webhook};
use crate::world::World;

/// How many are read at once.
const PAGE: usize = 500;
/// How many are listed unless it is said.
const LISTED: usize = 50;

/// Arguments of `messages`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    /// The installation
    #[arg(long, short, global = true, default_value = "patchcord.yaml", env = "PATCHCORD_CONFIG")]
    config: PathBuf,
    /// Another store than the installation's, such as a copy of it: `sqlite:PATH` or `postgres://..`
    #[arg(long, global = true, value_name = "ADDRESS")]
    store: Option<String>,
    /// How to print; `export` prints JSON lines either way
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List messages, newest first
    List {
        #[command(flatten)]
        filter: MessageFilter,
        /// Only below this id: the last one of the list before
        #[arg(long, value_name = "ID")]
        before: Option<i64>,
        /// How many
        #[arg(long, default_value_t = LISTED)]
        limit: usize,
    },
    /// Show all there is about one message, the webhook that it came with included
    Show {
        /// Its id in the list
        id: i64,
    },
    /// Queue dead letters (failed, dead or held) again, behind what their contacts have queued
    Retry(ChosenMessages),
    /// Remove dead letters for good
    Drop(ChosenMessages),
    /// Print messages with the webhooks that they came with, as JSON lines, oldest first
    Export {
        #[command(flatten)]
        filter: MessageFilter,
    },
    /// Webhooks that their mapping could not understand
    #[command(subcommand)]
    Parked(Parked),
    /// Look for what can't be right in the store; changes nothing
    Fsck,
}

#[derive(Debug, Subcommand)]
enum Parked {
    /// List parked webhooks, oldest first
    List {
        #[command(flatten)]
        filter: WebhookFilter,
        /// Only above this id: the last one of the list before
        #[arg(long, value_name = "ID", default_value_t = 0)]
        after: i64,
        /// How many
        #[arg(long, default_value_t = LISTED)]
        limit: usize,
    },
    /// Show a webhook with its bytes and the reason
    Show {
        /// Its id in the list
        id: i64,
    },
    /// Take parked webhooks through their mapping again, in the order in which they came
    Replay(ChosenWebhooks),
    /// Park webhooks no longer; each goes when `keep` is over
    Drop(ChosenWebhooks),
    /// Print parked webhooks with their bytes, as JSON lines, oldest first
    Export {
        #[command(flatten)]
        filter: WebhookFilter,
    },
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    let mut settings = read(&args.config, survey_installation)?;
    if let Some(store) = &args.store {
        settings.store.clone_from(store);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let order = match &args.what {
        What::Retry(chosen) => Order::Retry(chosen.which()?),
        What::Drop(chosen) => Order::Drop(chosen.which()?),
        What::Parked(Parked::Replay(chosen)) => Order::Replay(chosen.which()?),
        What::Parked(Parked::Drop(chosen)) => Order::DropParked(chosen.which()?),
        _ => return runtime.block_on(look(args, &settings)),
    };
    let target = Target { config: &args.config, store: args.store.as_deref(), settings };
    let changed = runtime.block_on(carry_out(target, &order))?;
    print(&match args.format {
        Format::Text => shown::changed(&changed, order.word()),
        Format::Json => pretty(&json!(changed)),
    });
    Ok(Verdict::of(changed.unknown.is_empty() && changed.still_parked == 0))
}

/// An installation, by one of the ways of reading it; what is wrong with it goes to standard error.
fn read(config: &Path, by: fn(&Path) -> (Library, Option<Settings>)) -> Result<Settings, Trouble> {
    let (mut library, settings) = by(config);
    library.problems.sort();
    // Warnings are for `check`.
    if library.problems.has_errors() {
        anstream::eprintln!("{}", text(&library.problems, &library.sources, true));
    }
    settings.ok_or_else(|| Trouble(format!("{} has errors", config.display())))
}

/// What only reads.
async fn look(args: &Args, settings: &Settings) -> Result<Verdict, Trouble> {
    let records = store::open_records(&settings.store)?;
    match &args.what {
        What::List { filter, before, limit } => {
            let found = newest(&records, Filter { before: *before, ..filter.filter() }, *limit).await?;
            print(&match args.format {
                Format::Text => shown::messages(&found),
                Format::Json => {
                    let found: Vec<_> = found.iter().map(shown::message).collect();
                    pretty(&json!({ "messages": found }))
                }
            });
        }
        What::Show { id } => {
            let record = records.show(*id).await?;
            let record = record.ok_or_else(|| Trouble(format!("there is no message {id}")))?;
            let whole = with_webhook(&records, &record).await?;
            print(&match args.format {
                Format::Text => shown::lines(&whole),
                Format::Json => pretty(&whole),
            });
        }
        What::Export { filter } => {
            let mut after = 0;
            loop {
                let page = Filter { after: Some(after), limit: PAGE, ..filter.filter() };
                let page = records.list(page).await?;
                let Some(last) = page.last() else { break };
                after = last.delivery.id;
                for record in &page {
                    print(&with_webhook(&records, record).await?.to_string());
                }
            }
        }
        What::Parked(what) => return look_at_parked(args, &records, what).await,
        What::Fsck => return fsck(args, settings, &records).await,
        // These change something.
        What::Retry(_) | What::Drop(_) => {}
    }
    Ok(Verdict::Good)
}

async fn look_at_parked(args: &Args, records: &Arc<dyn Records>, what: &Parked) -> Result<Verdict, Trouble> {
    match what {
        Parked::List { filter, after, limit } => {
            let found =
                oldest_parked(records, ParkedFilter { after: *after, ..filter.filter() }, *limit).await?;
            print(&match args.format {
                Format::Text => shown::webhooks(&found),
                Format::Json => {
                    let found: Vec<_> = found.iter().map(shown::webhook_head).collect();
                    pretty(&json!({ "parked": found }))
                }
            });
        }
        Parked::Show { id } => {
            let webhook = records.webhook(*id).await?;
            let webhook = webhook.ok_or_else(|| Trouble(format!("there is no webhook {id}")))?;
            print(&match args.format {
                Format::Text => shown::lines(&shown::webhook(&webhook)),
                Format::Json => pretty(&shown::webhook(&webhook)),
            });
        }
        Parked::Export { filter } => {
            let mut after = 0;
            loop {
                let page = records.parked(ParkedFilter { after, limit: PAGE, ..filter.filter() }).await?;
                let Some(last) = page.last() else { break };
                after = last.id;
                page.iter().for_each(|webhook| print(&shown::webhook(webhook).to_string()));
            }
        }
        // These change something.
        Parked::Replay(_) | Parked::Drop(_) => {}
    }
    Ok(Verdict::Good)
}

/// The newest that pass the filter, at most `limit`.
async fn newest(
    records: &Arc<dyn Records>,
    mut filter: Filter,
    limit: usize,
) -> Result<Vec<Record>, StoreError> {
    let mut found: Vec<Record> = Vec::new();
    while found.len() < limit {
        filter.limit = PAGE.min(limit - found.len());
        let page = records.list(filter.clone()).await?;
        let Some(last) = page.last() else { break };
        filter.before = Some(last.delivery.id);
        found.extend(page);
    }
    Ok(found)
}

/// The oldest parked webhooks that pass the filter, at most `limit`.
async fn oldest_parked(
    records: &Arc<dyn Records>,
    mut filter: ParkedFilter,
    limit: usize,
) -> Result<Vec<Webhook>, StoreError> {
    let mut found: Vec<Webhook> = Vec::new();
    while found.len() < limit {
        filter.limit = PAGE.min(limit - found.len());
        let page = records.parked(filter.clone()).await?;
        let Some(last) = page.last() else { break };
        filter.after = last.id;
        found.extend(page);
    }
    Ok(found)
}

/// All there is about a message.
async fn with_webhook(records: &Arc<dyn Records>, record: &Record) -> Result<Value, StoreError> {
    let webhook = match record.delivery.webhook {
        Some(id) => records.webhook(id).await?,
        None => None,
    };
    Ok(shown::whole_message(record, webhook.as_ref()))
}

async fn fsck(args: &Args, settings: &Settings, records: &Arc<dyn Records>) -> Result<Verdict, Trouble> {
    let channels = settings.channels.iter().map(|channel| channel.channel.name.clone()).collect();
    let findings = examine(&**records, channels, settings.retention(), World::system().now()).await?;
    match args.format {
        Format::Json => {
            let list: Vec<_> = findings
                .iter()
                .map(|finding| json!({"kind": finding.kind.as_str(), "what": finding.what}))
                .collect();
            print(&pretty(&json!({"store": settings.store, "findings": list})));
        }
        Format::Text => {
            for finding in &findings {
                print(&format!("{}: {}", finding.kind.as_str(), finding.what));
            }
            anstream::eprintln!("{}: {} findings", settings.store, findings.len());
        }
    }
    Ok(Verdict::of(findings.is_empty()))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}
