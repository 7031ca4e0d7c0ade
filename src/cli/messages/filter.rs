//! Which messages and webhooks a command is about.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use smol_str::SmolStr;

use crate::cli::Trouble;
use crate::gateway::Which;
use crate::spec;
use crate::store::{Direction, Filter, ParkedFilter, State};
use crate::world::{Millis, World};

const DIRECTIONS: [Direction; 2] = [Direction::Inbound, Direction::Outbound];

/// Which messages.
#[derive(Debug, clap::Args)]
pub(super) struct MessageFilter {
    /// Only of this channel
    #[arg(long)]
    channel: Option<SmolStr>,
    /// Only to the platform (inbound), or to the provider (outbound)
    #[arg(long, value_parser = directions())]
    direction: Option<Direction>,
    /// Only in this state; may be given several times
    #[arg(long = "state", value_parser = states(), value_name = "STATE")]
    states: Vec<State>,
    /// Only of this contact: the provider's address of it
    #[arg(long)]
    contact: Option<SmolStr>,
    /// Only with this message id: the platform's `mId`, or the provider's id of what came
    #[arg(long, value_name = "MESSAGE_ID")]
    message: Option<SmolStr>,
    /// Only what was accepted then or later: an RFC 3339 time, or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Millis>,
    /// Only what was accepted before: an RFC 3339 time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Millis>,
}

impl MessageFilter {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            channel: self.channel.clone(),
            direction: self.direction,
            states: self.states.clone(),
            contact: self.contact.clone(),
            mid: self.message.clone(),
            since: self.since,
            until: self.until,
            ..Filter::default()
        }
    }
}

/// Which webhooks.
#[derive(Debug, clap::Args)]
pub(super) struct WebhookFilter {
    /// Only of this channel
    #[arg(long)]
    channel: Option<SmolStr>,
    /// Only for this mapping
    #[arg(long)]
    mapping: Option<SmolStr>,
    /// Only of this route of the mapping
    #[arg(long)]
    route: Option<SmolStr>,
    /// Only what came then or later: an RFC 3339 time, or how long ago, such as 2h
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Millis>,
    /// Only what came before: an RFC 3339 time, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Millis>,
}

impl WebhookFilter {
    pub(super) fn filter(&self) -> ParkedFilter {
        ParkedFilter {
            channel: self.channel.clone(),
            mapping: self.mapping.clone(),
            route: self.route.clone(),
            since: self.since,
            until: self.until,
            ..ParkedFilter::default()
        }
    }
}

/// Some messages by their ids, or all that pass a filter.
#[derive(Debug, clap::Args)]
pub(super) struct ChosenMessages {
    /// Their ids in the list
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<i64>,
    /// All that pass the filters
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: MessageFilter,
}

impl ChosenMessages {
    pub(super) fn which(&self) -> Result<Which<Filter>, Trouble> {
        which(&self.ids, self.all, self.filter.filter())
    }
}

/// Some webhooks by their ids, or all that pass a filter.
#[derive(Debug, clap::Args)]
pub(super) struct ChosenWebhooks {
    /// Their ids in the list
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    ids: Vec<i64>,
    /// All that pass the filters
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: WebhookFilter,
}

impl ChosenWebhooks {
    pub(super) fn which(&self) -> Result<Which<ParkedFilter>, Trouble> {
        which(&self.ids, self.all, self.filter.filter())
    }
}

fn which<F: Default + PartialEq>(ids: &[i64], all: bool, filter: F) -> Result<Which<F>, Trouble> {
    match (all, filter == F::default()) {
        (true, _) => Ok(Which::All(filter)),
        (false, true) => Ok(Which::Ids(ids.to_vec())),
        (false, false) => Err(Trouble("a filter goes with --all, not with ids".into())),
    }
}

fn directions() -> impl TypedValueParser<Value = Direction> {
    PossibleValuesParser::new(DIRECTIONS.map(Direction::as_str)).map(|name| {
        let found = DIRECTIONS.into_iter().find(|direction| direction.as_str() == name);
        found.unwrap_or(Direction::Inbound)
    })
}

fn states() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.map(State::as_str)).map(|name| {
        let found = State::ALL.into_iter().find(|state| state.as_str() == name);
        found.unwrap_or(State::Queued)
    })
}

/// A time, or how long ago that was.
fn moment(text: &str) -> Result<Millis, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let ago = spec::Duration::parse(text)
        .ok_or("write a time such as 2026-01-31T12:00:00Z, or how long ago that was: 30m, 2h, 7d")?;
    let ago = Millis::try_from(ago.0.as_millis()).unwrap_or(Millis::MAX);
    Ok(World::system().now().saturating_sub(ago))
}
