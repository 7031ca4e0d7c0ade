//! The files that were read, and places in them.
//!
//! Invariant: a [`FileId`] is only made by [`Sources::add`], and the text of a file never changes, so a place
//! stays true for as long as the sources live.

use std::ops::Range;

/// Names one file of [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub(super) u32);

/// A range of bytes in one file; `start <= end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// The first byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// The bytes of that range; beyond 4 GiB it ends there.
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        let start = u32::try_from(range.start).unwrap_or(u32::MAX);
        let end = u32::try_from(range.end).unwrap_or(u32::MAX).max(start);
        Self { file, start, end }
    }

    /// The range of bytes.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// From where this one starts to where the other ends.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { end: other.end.max(self.start), ..self }
    }

    /// The place where it starts.
    #[must_use]
    pub fn at_start(self) -> Self {
        Self { end: self.start, ..self }
    }

    /// The place where it ends.
    #[must_use]
    pub fn at_end(self) -> Self {
        Self { start: self.end, ..self }
    }

    /// Whether it covers no byte.
    pub fn is_empty(self) -> bool {
        self.start == self.end
    }
}

/// A line and a column, both from 1; the column counts characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The character within it.
    pub column: usize,
}

/// The files that were read.
#[derive(Clone, Debug, Default)]
pub struct Sources(Vec<Source>);

#[derive(Clone, Debug)]
struct Source {
    path: String,
    text: String,
    /// Where each line starts.
    lines: Vec<usize>,
}

impl Sources {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps a file; the path is what people will be shown. A file that can't be read is added with an empty
    /// text, so that the problem has a place.
    pub fn add(&mut self, path: impl Into<String>, text: impl Into<String>) -> FileId {
        let text = text.into();
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let id = FileId(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        self.0.push(Source { path: path.into(), text, lines });
        id
    }

    /// The path as it is shown.
    pub fn path(&self, file: FileId) -> &str {
        self.source(file).map_or("", |source| source.path.as_str())
    }

    /// The whole text.
    pub fn text(&self, file: FileId) -> &str {
        self.source(file).map_or("", |source| source.text.as_str())
    }

    /// The text of that place; empty where the span lies outside of the file or cuts a character in two.
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(span.range()).unwrap_or("")
    }

    /// Line and column of a byte; beyond the end those of the end.
    pub fn position(&self, file: FileId, offset: u32) -> Position {
        let Some(source) = self.source(file) else { return Position { line: 1, column: 1 } };
        let mut offset = (offset as usize).min(source.text.len());
        while !source.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = source.lines.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|at| source.lines.get(at)).copied().unwrap_or(0);
        let before = source.text.get(start..offset).unwrap_or("");
        Position { line, column: before.chars().count() + 1 }
    }

    /// Line and column of where a span starts.
    pub fn start(&self, span: Span) -> Position {
        self.position(span.file, span.start)
    }

    /// Line and column of where a span ends: of the character after it.
    pub fn end(&self, span: Span) -> Position {
        self.position(span.file, span.end)
    }

    /// All files in the order in which they were added.
    pub fn files(&self) -> impl Iterator<Item = FileId> {
        (0..u32::try_from(self.0.len()).unwrap_or(u32::MAX)).map(FileId)
    }

    fn source(&self, file: FileId) -> Option<&Source> {
        self.0.get(file.0 as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_start_at_one() {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", "é: x\n\n  ß");
        let at = |offset| {
            let place = sources.position(file, offset);
            (place.line, place.column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 1), "inside of a character");
        assert_eq!(at(2), (1, 2));
        assert_eq!(at(5), (1, 5), "the line break belongs to its line");
        assert_eq!(at(6), (2, 1));
        assert_eq!(at(7), (3, 1));
        assert_eq!(at(11), (3, 4), "the end");
        assert_eq!(at(99), (3, 4), "beyond the end");
    }

    #[test]
    fn a_slice_outside_of_the_file_is_empty() {
        let mut sources = Sources::new();
        let file = sources.add("a.yaml", "é");
        assert_eq!(sources.slice(Span::new(file, 0..2)), "é");
        assert_eq!(sources.slice(Span::new(file, 1..2)), "");
        assert_eq!(sources.slice(Span::new(file, 0..9)), "");
    }
}
