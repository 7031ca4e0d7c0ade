//! Text with the place of each of its characters.

use std::ops::Range;
use std::sync::Arc;

use smol_str::SmolStr;

use super::places::{self, Run, Style};
use crate::diagnostic::{FileId, Span};

/// A scalar's text and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// The text without quotes, escapes, folds and indentation.
    pub value: SmolStr,
    /// The whole scalar, with its quotes.
    pub span: Span,
    plain: bool,
    /// Where each part of the text stands; none: it stands from there on, byte for byte.
    places: Result<u32, Arc<[Run]>>,
}

impl Text {
    /// Text that does not come from a scalar: it stands in the span byte for byte if it is as long, else every
    /// part of it is the whole span.
    pub fn at(value: impl Into<SmolStr>, span: Span) -> Self {
        let value = value.into();
        let places = if value.len() == span.range().len() {
            Ok(span.start)
        } else {
            Err([places::coarse(value.len(), span.range())].into())
        };
        Self { value, span, plain: true, places }
    }

    /// The text of a scalar, whose span the parser told.
    pub(super) fn scalar(value: &str, style: Style, span: Span, source: &str) -> Self {
        let runs = places::find(value, style, span.range(), source);
        let places = match runs.as_slice() {
            [] if matches!(style, Style::Single | Style::Double) => Ok(span.start.saturating_add(1)),
            [] => Ok(span.start),
            [run] if run.is_verbatim(source, value) => Ok(run.source),
            _ => Err(runs.into()),
        };
        let written = source.get(span.range()).unwrap_or("");
        let span = match style {
            Style::Literal | Style::Folded => {
                Span::new(span.file, span.range().start..span.range().start + written.trim_end().len())
            }
            _ => span,
        };
        Self { value: SmolStr::new(value), span, plain: style == Style::Plain, places }
    }

    /// Whether it was written without quotes and not as a block.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Where a range of bytes of the text stands in the file. An empty range is the place before that byte;
    /// what lies beyond the end is the end. An escape or a line break is never cut in two.
    pub fn span_of(&self, range: Range<usize>) -> Span {
        let length = self.value.len();
        let start = range.start.min(length);
        let end = range.end.min(length).max(start);
        let (from, to) = match &self.places {
            Ok(origin) => (*origin as usize + start, *origin as usize + end),
            Err(runs) => {
                let from = places::start_of(runs, start);
                (from, if end > start { places::end_of(runs, end) } else { from })
            }
        };
        Span::new(self.file(), from..to.max(from))
    }

    fn file(&self) -> FileId {
        self.span.file
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.value
    }
}
