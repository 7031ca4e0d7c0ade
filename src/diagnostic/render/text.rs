//! For people at a terminal, in the manner of rustc.

use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Patch, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Diagnostics, FileId, Fix, Label, Position, Severity, Sources, Span};

/// Every problem with the lines it concerns, one blank line between two; with escape codes for colours if
/// asked for.
pub fn text(diagnostics: &Diagnostics, sources: &Sources, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut out = String::new();
    for diagnostic in diagnostics {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&renderer.render(&report(diagnostic, sources)));
        out.push('\n');
    }
    out
}

fn report<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Vec<Group<'a>> {
    let level = match diagnostic.severity() {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str());
    let mut windows: Vec<(Window<'_>, Vec<&Label>)> = Vec::new();
    for label in std::iter::once(&diagnostic.primary).chain(&diagnostic.secondary) {
        let window = Window::new(label.span, sources);
        match windows
            .iter_mut()
            .find_map(|(known, labels)| Some((known.with(&window, sources)?, known, labels)))
        {
            Some((both, known, labels)) => {
                *known = both;
                labels.push(label);
            }
            None => windows.push((window, vec![label])),
        }
    }
    let snippets = windows.into_iter().map(|(window, labels)| {
        if window.is_endless() {
            return Element::from(origin(
                labels.first().map_or(diagnostic.primary.span, |label| label.span),
                sources,
            ));
        }
        let notes = labels.into_iter().map(|label| {
            let primary = std::ptr::eq(label, &raw const diagnostic.primary);
            let kind = if primary { AnnotationKind::Primary } else { AnnotationKind::Context };
            let text = Some(label.text.as_str()).filter(|text| !text.is_empty());
            kind.span(window.first_line(label.span)).label(text)
        });
        Element::from(window.snippet(sources).annotations(notes))
    });
    let helps = diagnostic.help.iter().map(|help| Level::HELP.message(help.as_str()));
    let first = title.elements(snippets).elements(helps);
    let change = diagnostic.fix.as_ref().map(|fix| patch(fix, sources));
    std::iter::once(first).chain(change).collect()
}

fn patch<'a>(fix: &'a Fix, sources: &'a Sources) -> Group<'a> {
    let window = Window::new(fix.span, sources);
    let title = Level::HELP.secondary_title(fix.message.as_str());
    if window.is_endless() {
        return title.element(origin(fix.span, sources));
    }
    let change = Patch::new(window.place(fix.span), fix.replacement.as_str());
    title.element(window.snippet(sources).patch(change))
}

/// The place without its text.
fn origin(span: Span, sources: &Sources) -> Origin<'_> {
    let Position { line, column } = sources.start(span);
    Origin::path(sources.path(span.file)).line(line).char_column(column)
}

/// The lines of a file that matter: only these are looked at, however large the file is.
struct Window<'a> {
    file: FileId,
    text: &'a str,
    start: usize,
    line: usize,
}

impl<'a> Window<'a> {
    /// The line on which the place starts, up to that on which it ends.
    fn new(span: Span, sources: &'a Sources) -> Self {
        let whole = sources.text(span.file);
        let from = whole.floor_char_boundary(span.range().start);
        let to = whole.floor_char_boundary(span.range().end).max(from);
        let start = whole.get(..from).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        let end = whole.get(to..).and_then(|after| after.find('\n')).map_or(whole.len(), |end| to + end + 1);
        Self {
            file: span.file,
            text: whole.get(start..end).unwrap_or(""),
            start,
            line: sources.start(span).line,
        }
    }

    /// Both and what lies between, unless that is too much to be looked at.
    fn with(&self, other: &Self, sources: &'a Sources) -> Option<Self> {
        const MUCH: usize = 32 << 10;
        let start = self.start.min(other.start);
        let end = (self.start + self.text.len()).max(other.start + other.text.len());
        let near = self.file == other.file && end - start <= MUCH;
        let text = sources.text(self.file).get(start..end).filter(|_| near)?;
        Some(Self { file: self.file, text, start, line: self.line.min(other.line) })
    }

    /// Whether a line is too long to be shown.
    fn is_endless(&self) -> bool {
        const LONG: usize = 2000;
        self.text.lines().any(|line| line.len() > LONG)
    }

    fn snippet<T: Clone>(&self, sources: &'a Sources) -> Snippet<'a, T> {
        Snippet::source(self.text).line_start(self.line).path(sources.path(self.file))
    }

    /// The place within the window.
    fn place(&self, span: Span) -> Range<usize> {
        let within = |at: usize| self.text.floor_char_boundary(at.saturating_sub(self.start));
        within(span.range().start)..within(span.range().end)
    }

    /// What is underlined: a place of several lines by its first one, since a map can be a whole file.
    fn first_line(&self, span: Span) -> Range<usize> {
        let place = self.place(span);
        let length = self.text.get(place.clone()).and_then(|text| text.find(['\n', '\r']));
        place.start..length.map_or(place.end, |length| place.start + length)
    }
}
