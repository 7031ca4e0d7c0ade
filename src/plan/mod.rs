//! What will run: a mapping once every judgement about it has been made.
//!
//! Invariant: nothing in here is text that is parsed later, and no `Option` stands for a default. A plan is
//! immutable and shared.

mod call;
mod channel;
mod decoding;
mod fetch;
mod life;
mod memory;
mod network;
mod parts;
mod proof;
mod receive;
mod request;
mod send;
mod words;

use std::time::Duration;

use smol_str::SmolStr;

use crate::diagnostic::Span;
use crate::expression::{Env, Failure, Mark, Template, Value};

pub use call::*;
pub use channel::*;
pub use decoding::*;
pub use fetch::*;
pub use life::*;
pub use memory::*;
pub use network::Network;
pub use parts::*;
pub use proof::*;
pub use receive::*;
pub use request::*;
pub use send::*;
pub use words::*;

/// One mapping.
#[derive(Debug)]
pub struct Plan {
    /// Its name.
    pub name: SmolStr,
    /// What people call it.
    pub title: String,
    /// The provider's documentation that it was written from.
    pub docs: Vec<String>,
    /// The ID type that its channels must have.
    pub contact_id: ContactIdKind,
    /// What each channel supplies.
    pub config: Vec<ConfigField>,
    /// What the installation supplies.
    pub deployment: Vec<ConfigField>,
    /// The calls that values may ask for; those that stand for a kind of `auth` come last.
    pub calls: Vec<Call>,
    /// Whether anything reads the scope `store`.
    pub reads_store: bool,
    /// The webhooks.
    pub webhooks: Vec<Webhook>,
    /// How a message is sent; none for a mapping that only receives.
    pub send: Option<Send>,
    /// How files are downloaded that the platform can't fetch itself.
    pub fetch: Fetch,
    /// The branches of its operators that are written, for the coverage of tests.
    pub branches: Vec<Branch>,
    /// What the gateway does of its own accord.
    pub life: Life,
    /// How fast.
    pub limits: Limits,
    /// The rate of each credential.
    pub per_credential: Option<PerCredential>,
    /// What happens when a request fails for now.
    pub retry: Retry,
}

/// A branch of an `$if` or `$switch`.
#[derive(Debug)]
pub struct Branch {
    /// What it is: `$then`, `$else`, `case` or `$default`.
    pub what: &'static str,
    /// Where it stands.
    pub span: Span,
    /// What is reached when it is taken.
    pub mark: Mark,
}

impl Plan {
    /// The `config` item that is the channel's address.
    pub fn address(&self) -> Option<&str> {
        self.config.iter().find(|field| field.address).map(|field| field.name.as_str())
    }

    /// Whether a webhook may ask for that poll.
    pub fn asks_for(&self, poll: &str) -> bool {
        self.webhooks.iter().any(|webhook| webhook.rule.asks_for(poll))
    }
}

/// One thing that a channel or the installation supplies.
#[derive(Clone, Debug)]
pub struct ConfigField {
    /// Its name.
    pub name: SmolStr,
    /// Whether it must be supplied.
    pub required: bool,
    /// Whether it must never be shown.
    pub secret: bool,
    /// Whether it is the channel's address.
    pub address: bool,
    /// What kind of value it is.
    pub kind: ConfigType,
    /// The only values that it may have; empty for any.
    pub allowed: Vec<SmolStr>,
    /// What it is where it is not supplied.
    pub default: Value,
}

/// Values with names, in order; each sees those before it. A value that wants a call fails where its name is read,
/// so a call is not made for a name that nobody reads.
#[derive(Debug, Default)]
pub struct Lets {
    /// The slot of the first.
    pub base: usize,
    /// The values.
    pub values: Vec<Template>,
}

impl Lets {
    /// Gives every name its value.
    pub fn bind(&self, env: &mut Env<'_>) -> Result<(), Failure> {
        self.bind_with(env, &[])
    }

    /// The same where other values stand in for some, by slot.
    pub fn bind_with(&self, env: &mut Env<'_>, others: &[(usize, Value)]) -> Result<(), Failure> {
        for (index, template) in self.values.iter().enumerate() {
            let slot = self.base + index;
            let value = match others.iter().find(|(other, _)| *other == slot) {
                Some((_, value)) => value.clone(),
                None => match (template.eval(env), env.answers.wanted.take()) {
                    (Ok(value), _) => value,
                    // The call is made when the name is read.
                    (Err(_), Some(wanted)) => {
                        env.set_unanswered(slot, wanted);
                        continue;
                    }
                    (Err(failure), None) => return Err(failure),
                },
            };
            env.set_local(slot, value);
        }
        Ok(())
    }
}

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rate {
    /// At most that often in any such length of time.
    Limited {
        /// How often.
        count: u32,
        /// In which time.
        per: Duration,
    },
    /// As often as possible.
    Unlimited,
}

/// How fast requests may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// In each channel.
    pub rate: Rate,
    /// To each contact.
    pub per_contact: Rate,
    /// How many may be under way at once.
    pub in_flight: usize,
    /// What goes to a contact who wrote within this time goes before all else; zero where nothing goes first.
    pub conversation: Duration,
    /// How long a response may take.
    pub timeout: Duration,
    /// The largest file that the body of a request may hold, in bytes.
    pub media: u64,
}

/// How fast requests with one credential may be, of all channels that have it.
#[derive(Clone, Debug)]
pub struct PerCredential {
    /// What tells it from others.
    pub key: Template,
    /// At most so many.
    pub rate: Rate,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            rate: Rate::Limited { count: 20, per: Duration::from_secs(1) },
            per_contact: Rate::Unlimited,
            in_flight: 32,
            conversation: Duration::from_hours(24),
            timeout: Duration::from_secs(30),
            media: 100_000_000,
        }
    }
}

/// What happens when a request fails for now.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// The most attempts; none for no bound.
    pub attempts: Option<u32>,
    /// The longest wait before the second attempt; doubles with each.
    pub first: Duration,
    /// The longest wait at all.
    pub max: Duration,
    /// When the message is given up.
    pub give_up_after: Duration,
    /// What becomes of a message that the provider may have taken.
    pub in_doubt: InDoubt,
    /// What happens when the provider's host fails with everybody.
    pub breaker: Breaker,
}

/// When all that goes to a host pauses, because it fails with everybody.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    /// After so many failures in a row.
    pub failures: u32,
    /// How long until the first probe; doubles with each that fails.
    pub pause: Duration,
    /// The longest time between probes.
    pub max: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 10, pause: Duration::from_secs(1), max: Duration::from_mins(1) }
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: None,
            first: Duration::from_secs(1),
            max: Duration::from_mins(5),
            give_up_after: Duration::from_hours(24),
            in_doubt: InDoubt::Retry,
            breaker: Breaker::default(),
        }
    }
}
