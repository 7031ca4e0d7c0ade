//! Problems in files that people write: what is wrong, where, and how to put it right.
//!
//! A [`Diagnostic`] is data: a [`Code`] that never changes, a message that may, and places in the files that
//! [`Sources`] holds. Whoever finds a problem pushes it to [`Diagnostics`] and goes on, so that one run tells
//! all of them; the renderers turn the same data into a terminal's text, JSON and GitHub annotations.

mod code;
mod list;
mod render;
mod sources;
mod suggest;

pub use code::{Code, Severity};
pub use list::Diagnostics;
pub use render::{github, json, text};
pub use sources::{FileId, Position, Sources, Span};
pub use suggest::suggest;

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// What kind of problem it is.
    pub code: Code,
    /// One sentence for people, without a final stop.
    pub message: String,
    /// The place that is wrong.
    pub primary: Label,
    /// Places that explain it.
    pub secondary: Vec<Label>,
    /// What to do about it, one sentence each.
    pub help: Vec<String>,
    /// A change that puts it right without further thought.
    pub fix: Option<Fix>,
}

/// A place and what there is to say about it; the text may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// A few words.
    pub text: String,
}

/// A machine-applicable change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fix {
    /// What is taken out; an empty span only inserts.
    pub span: Span,
    /// What is put in.
    pub replacement: String,
    /// What the change does, as an invitation: `put quotes around it`.
    pub message: String,
}

impl Diagnostic {
    /// A problem at a place, with nothing further said about it.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            primary: Label { span, text: String::new() },
            secondary: Vec::new(),
            help: Vec::new(),
            fix: None,
        }
    }

    /// Says something at the place itself.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// Points at another place.
    #[must_use]
    pub fn secondary(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label { span, text: text.into() });
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    /// Offers a change that puts it right.
    #[must_use]
    pub fn fix(mut self, span: Span, replacement: impl Into<String>, message: impl Into<String>) -> Self {
        self.fix = Some(Fix { span, replacement: replacement.into(), message: message.into() });
        self
    }

    /// Adds "did you mean" and the change, if a candidate resembles what the span holds.
    #[must_use]
    pub fn did_you_mean<'a>(self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let span = self.primary.span;
        match suggest(name, candidates) {
            Some(candidate) => self.fix(span, candidate, format!("did you mean `{candidate}`?")),
            None => self,
        }
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}
