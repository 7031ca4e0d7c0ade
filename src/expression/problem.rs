//! What is wrong with an expression, and where in its text.

use std::ops::Range;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// Not a JSONPath.
    Path,
    /// Not a template.
    Template,
    /// A name that nothing defines.
    Name,
    /// A helper that does not exist.
    Helper,
    /// A helper called with the wrong arguments.
    Arguments,
    /// `config.x` or `deployment.x` that the mapping does not declare.
    Config,
    /// Not a regular expression.
    Regex,
    /// Beyond a bound.
    Size,
}

/// One problem of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind of thing is wrong.
    pub kind: ProblemKind,
    /// Where, in bytes of the expression's text.
    pub range: Range<usize>,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// What to write beside the place.
    pub label: String,
    /// What to do.
    pub help: Option<String>,
    /// A text that puts it right, and the range that it replaces.
    pub replacement: Option<(Range<usize>, String)>,
}

impl Problem {
    /// A problem with no more than a message.
    pub fn new(kind: ProblemKind, range: Range<usize>, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, range, message, label: String::new(), help: None, replacement: None }
    }

    /// The same with a label.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// The same with help.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The same with a text for its range that puts it right.
    #[must_use]
    pub fn replace(mut self, with: impl Into<String>) -> Self {
        self.replacement = Some((self.range.clone(), with.into()));
        self
    }
}
