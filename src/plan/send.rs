//! What will run when a message is sent.

use std::sync::Arc;

use smol_str::SmolStr;

use super::parts::Parts;
use super::words::{Decode, Meaning, ResetUnit};
use super::{Exchange, Lets};
use crate::expression::{Condition, Template};

/// How a message is sent.
#[derive(Debug)]
pub struct Send {
    /// Names for values.
    pub lets: Lets,
    /// How the message is cut into parts.
    pub parts: Parts,
    /// The requests.
    pub steps: Vec<Step>,
}

/// One request, or one per item.
#[derive(Debug)]
pub struct Step {
    /// The slot of its decoded response.
    pub result: Option<usize>,
    /// How often it runs.
    pub each: StepEach,
    /// What must hold for it to run.
    pub when: Option<Condition>,
    /// Names for values.
    pub lets: Lets,
    /// What must hold, or the message fails.
    pub require: Option<Condition>,
    /// The request and what its response means.
    pub exchange: Exchange,
}

/// How often a step runs.
#[derive(Debug)]
pub enum StepEach {
    /// Once.
    Once,
    /// For every part.
    Parts,
    /// For every item of a list, which has this slot.
    List(Template, usize),
}

/// What a response means.
#[derive(Debug, Default)]
pub struct Response {
    /// How the body is read; none goes by its Content-Type.
    pub decode: Option<Decode>,
    /// The first that holds decides.
    pub classes: Vec<Class>,
    /// What must hold for a 2xx to be a success.
    pub ok: Option<Condition>,
    /// The provider's id, or ids.
    pub id: Option<Template>,
    /// What a call gives, or what later steps see; none is the decoded body.
    pub returns: Option<Template>,
    /// The provider's error code.
    pub error_code: Option<Template>,
    /// The provider's error message.
    pub error_message: Option<Template>,
    /// Which headers say how many requests remain.
    pub quota: Option<Arc<Quota>>,
}

/// The headers that say how many requests remain, and until when. Names in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// How many remain.
    pub remaining: SmolStr,
    /// When there are more again.
    pub reset: SmolStr,
    /// What `reset` counts.
    pub unit: ResetUnit,
}

/// A class of responses.
#[derive(Debug)]
pub struct Class {
    /// What must hold.
    pub when: Condition,
    /// What it means.
    pub meaning: Meaning,
    /// How long to wait: text such as `30s`, or a number of seconds.
    pub after: Option<Template>,
    /// For [`Meaning::Redo`]: other values for names of the step, by slot.
    pub with: Vec<(usize, Template)>,
}
