//! Conditions: what `when`, `ok`, `require` and `ignore` say.

use regex::Regex;

use super::helper::same;
use super::scope::{Env, Failure};
use super::template::Template;
use super::value::Value;

/// A compiled condition.
#[derive(Clone, Debug)]
pub enum Condition {
    /// All hold.
    All(Box<[(Template, Test)]>),
    /// One holds.
    Any(Box<[Condition]>),
    /// The value is true; null is not, but for that of an operator, which sets no condition.
    Truth(Template),
}

/// What a value is compared with.
#[derive(Clone, Debug)]
pub enum Test {
    /// Equal, across text and number; a template that gives null sets no condition.
    Equal(Template),
    /// Equal to one of these.
    OneOf(Box<[Value]>),
    /// Not empty.
    Present,
    /// Empty.
    Absent,
    /// A regular expression finds something in its text.
    Matches(Regex),
    /// A number within bounds.
    Bounds(Bounds),
}

/// Bounds of a number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Less than.
    pub lt: Option<f64>,
    /// At most.
    pub le: Option<f64>,
    /// Greater than.
    pub gt: Option<f64>,
    /// At least.
    pub ge: Option<f64>,
}

impl Condition {
    /// Whether it holds.
    pub fn holds(&self, env: &mut Env<'_>) -> Result<bool, Failure> {
        match self {
            Self::All(clauses) => {
                for (value, test) in clauses {
                    let value = value.eval(env)?;
                    if !test.passes(&value, env)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Any(conditions) => {
                for condition in conditions {
                    if condition.holds(env)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::Truth(template) => {
                let value = template.eval(env)?;
                // An operator without a branch for this sets no condition; an expression or a path asks for something.
                let asks = matches!(template, Template::Expression(_) | Template::Path(_));
                Ok((!asks && matches!(value, Value::Null)) || value.is_truthy())
            }
        }
    }

    /// Whether its value is true, where null is not: for `ignore`, which asks for a reason to act.
    pub fn asks(&self, env: &mut Env<'_>) -> Result<bool, Failure> {
        match self {
            Self::Truth(value) => Ok(value.eval(env)?.is_truthy()),
            other => other.holds(env),
        }
    }
}

impl Test {
    /// Whether a value passes.
    pub fn passes(&self, value: &Value, env: &mut Env<'_>) -> Result<bool, Failure> {
        Ok(match self {
            Self::Equal(Template::Literal(wanted)) => same(value, wanted),
            Self::Equal(wanted) => {
                let wanted = wanted.eval(env)?;
                matches!(wanted, Value::Null) || same(value, &wanted)
            }
            Self::OneOf(wanted) => wanted.iter().any(|wanted| same(value, wanted)),
            Self::Present => !value.is_empty(),
            Self::Absent => value.is_empty(),
            Self::Matches(regex) => !matches!(value, Value::Null) && regex.is_match(&value.to_text()),
            Self::Bounds(bounds) => value.to_number().is_some_and(|number| {
                bounds.lt.is_none_or(|bound| number < bound)
                    && bounds.le.is_none_or(|bound| number <= bound)
                    && bounds.gt.is_none_or(|bound| number > bound)
                    && bounds.ge.is_none_or(|bound| number >= bound)
            }),
        })
    }
}
