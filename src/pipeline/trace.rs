//! What each stage made of its input, for `dry-run`.

use crate::expression::Value;

/// The stages that ran, in order, with what came out of each.
#[derive(Clone, Debug, Default)]
pub struct Trace(pub Vec<(&'static str, Value)>);

impl Trace {
    /// Notes what a stage made.
    pub fn note(&mut self, stage: &'static str, value: impl Into<Value>) {
        self.0.push((stage, value.into()));
    }
}
