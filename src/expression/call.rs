//! Uses of a mapping's calls in values, by replay: nothing is exchanged while a value is evaluated.
//!
//! A use looks for its answer among those that are known. If there is none, it notes what it wants and the
//! evaluation fails; whoever evaluates makes the call and evaluates again. Invariant: the same call with the same
//! arguments has one answer within one evaluation and its repetitions.

use std::collections::BTreeMap;
use std::sync::Arc;

use smol_str::SmolStr;

use super::lazy::Later;
use super::scope::{Env, Failure};
use super::template::Template;
use super::value::Value;
use crate::message::Fault;

/// `{$call: NAME, ...}` in a value.
#[derive(Clone, Debug)]
pub struct Call {
    /// The call's place among those of the mapping.
    pub index: usize,
    /// Its name.
    pub name: SmolStr,
    /// A map of what it is given.
    pub arguments: Template,
    /// Whether it is made at all; if not, the value is null.
    pub when: Option<Template>,
    /// The value where the call fails for good; without it the evaluation fails.
    pub on_error: Option<Template>,
}

/// A call whose answer is not known.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// Its place among those of the mapping.
    pub index: usize,
    /// What it is given.
    pub arguments: Value,
    /// Name and arguments as one text: what its answer is found by.
    pub key: String,
}

/// The answers that are known, by [`Wanted::key`]; a fault says why the call failed for good.
pub type Known = BTreeMap<String, Result<Value, Fault>>;

/// What an evaluation knows of calls, and what it wants to know.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Answers.
    pub known: Arc<Known>,
    /// The call that the evaluation failed for.
    pub wanted: Option<Wanted>,
    /// Why the evaluation failed, in the provider's words, if it was for a call that failed for good.
    pub fault: Option<Fault>,
    /// The answers that were used, by key.
    pub used: Vec<String>,
    /// Calls are not made now, and `store` is not known: a use is null, and is noted.
    pub deferring: bool,
    /// A use was null because of that.
    pub deferred: bool,
    /// A call that failed for good is null.
    pub forgiving: bool,
    /// The calls that are made when a file is fetched.
    pub later: Vec<Later>,
}

impl Call {
    pub(super) fn eval(&self, env: &mut Env<'_>) -> Result<Value, Failure> {
        if let Some(when) = &self.when
            && !when.eval(env)?.is_truthy()
        {
            return Ok(Value::Null);
        }
        if env.answers.deferring {
            env.answers.deferred = true;
            return Ok(Value::Null);
        }
        let arguments = self.arguments.eval(env)?;
        let given = arguments
            .to_json()
            .ok_or_else(|| Failure(format!("the call `{}` can't be given bytes", self.name)))?;
        let key = format!("{} {given}", self.name);
        match env.answers.known.get(&key) {
            Some(Ok(value)) => {
                let value = value.clone();
                env.answers.used.push(key);
                Ok(value)
            }
            Some(Err(fault)) => match &self.on_error {
                Some(otherwise) => otherwise.eval(env),
                None if env.answers.forgiving => Ok(Value::Null),
                None => {
                    let message = format!("the call `{}` failed: {}", self.name, fault.message);
                    env.answers.fault = Some(Fault { code: fault.code.clone(), message: message.clone() });
                    Err(Failure(message))
                }
            },
            None => {
                env.answers.wanted = Some(Wanted { index: self.index, arguments, key });
                Err(Failure(format!("the call `{}` has not been made", self.name)))
            }
        }
    }
}
