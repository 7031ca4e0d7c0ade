//! What will run when a value asks for a call.

use std::time::Duration;

use smol_str::SmolStr;

use super::{Lets, Request, Response};
use crate::expression::{Condition, Template};

/// Exchanges that values ask for by name.
#[derive(Debug)]
pub struct Call {
    /// Its name.
    pub name: SmolStr,
    /// What is done, in order; the last value is the call's.
    pub steps: Vec<CallStep>,
    /// How long its value is used again; none is not at all.
    pub cache: Option<Cache>,
}

/// One step of a call.
#[derive(Debug)]
pub struct CallStep {
    /// The slot of its value.
    pub result: Option<usize>,
    /// What must hold for it to run.
    pub when: Option<Condition>,
    /// Names for values.
    pub lets: Lets,
    /// What it does.
    pub action: CallAction,
}

/// What a step of a call does.
#[derive(Debug)]
pub enum CallAction {
    /// A request and what its response means.
    Exchange(Box<Exchange>),
    /// A value.
    Compute(Template),
}

/// One exchange with a provider.
#[derive(Debug)]
pub struct Exchange {
    /// The request.
    pub request: Request,
    /// What its response means.
    pub response: Response,
    /// How often it is made; none is once.
    pub repeat: Option<Repeat>,
}

/// How often a request is made.
#[derive(Debug)]
pub struct Repeat {
    /// What must hold for the response to be the last one.
    pub until: Condition,
    /// How long to wait before the next one.
    pub delay: Option<Template>,
    /// The most requests.
    pub max: u32,
}

/// How long the value of a call is used again.
#[derive(Debug)]
pub struct Cache {
    /// What the value belongs to; none is what the call is given.
    pub key: Option<Template>,
    /// How long: seconds, or text such as `1h`.
    pub ttl: Template,
    /// How much earlier the value counts as used up.
    pub margin: Duration,
    /// How long a failure for good is remembered.
    pub negative_ttl: Option<Duration>,
    /// Whether the value is in the store too.
    pub persist: bool,
    /// The statuses that show that the value is no good any more.
    pub refresh_statuses: Vec<u16>,
    /// What shows it too.
    pub refresh_when: Option<Condition>,
}
