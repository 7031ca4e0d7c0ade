//! Where each part of a scalar's text stands in the file.
//!
//! The parser tells the text and the range of the whole scalar. Here the range is decoded once more by YAML's
//! rules (<https://yaml.org/spec/1.2.2/>, chapter 7.3 and 8.1), this time noting the places. Invariant: the
//! runs found are those of exactly the parser's text; where this decoder and the parser differ, there is one
//! run for the whole scalar, so that a place is coarse but never wrong.

use std::ops::Range;

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
    Folded,
}

/// A part of the text and its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Where it starts in the text.
    pub(super) text: u32,
    /// Its length in the text.
    text_length: u32,
    /// Where it starts in the file.
    pub(super) source: u32,
    /// Its length in the file.
    source_length: u32,
    /// Whether text and file are the same, byte for byte; else it is not to be cut.
    verbatim: bool,
}

impl Run {
    /// Whether it is the whole text, as it stands in the file.
    pub(super) fn is_verbatim(&self, source: &str, value: &str) -> bool {
        let start = self.source as usize;
        self.verbatim && self.text == 0 && source.get(start..start + value.len()) == Some(value)
    }
}

/// One run of the whole text.
pub(super) fn coarse(length: usize, source: Range<usize>) -> Run {
    Run {
        text: 0,
        text_length: small(length),
        source: small(source.start),
        source_length: small(source.len()),
        verbatim: false,
    }
}

/// Where a byte of the text stands; the end of the text is the end of the last run.
pub(super) fn start_of(runs: &[Run], at: usize) -> usize {
    let at = small(at);
    let index = runs.partition_point(|run| run.text + run.text_length <= at);
    match (runs.get(index), runs.last()) {
        (Some(run), _) if run.verbatim => (run.source + at.saturating_sub(run.text)) as usize,
        (Some(run), _) => run.source as usize,
        (None, Some(last)) => (last.source + last.source_length) as usize,
        (None, None) => 0,
    }
}

/// Where what ends at that byte of the text ends.
pub(super) fn end_of(runs: &[Run], at: usize) -> usize {
    let at = small(at);
    let index = runs.partition_point(|run| run.text + run.text_length < at);
    match runs.get(index).or(runs.last()) {
        Some(run) if run.verbatim => (run.source + at.saturating_sub(run.text)) as usize,
        Some(run) => (run.source + run.source_length) as usize,
        None => 0,
    }
}

/// The runs of a text in the order of the text; none for an empty one at the start of its range.
pub(super) fn find(value: &str, style: Style, range: Range<usize>, source: &str) -> Vec<Run> {
    exact(value, style, range.clone(), source).unwrap_or_else(|| vec![coarse(value.len(), range)])
}

/// The runs, unless this decoder reads something else than the parser.
pub(super) fn exact(value: &str, style: Style, range: Range<usize>, source: &str) -> Option<Vec<Run>> {
    let mut decoder = Decoder { source, text: String::with_capacity(value.len()), runs: Vec::new() };
    match style {
        Style::Plain => decoder.flow(range, None)?,
        Style::Single => decoder.flow(inside(range)?, Some('\''))?,
        Style::Double => decoder.flow(inside(range)?, Some('"'))?,
        Style::Literal | Style::Folded => decoder.block(value, style, range)?,
    }
    // Only the end of a block is chomped.
    let whole = matches!(style, Style::Literal | Style::Folded) || decoder.text.len() == value.len();
    whole.then(|| decoder.finish(value)).flatten()
}

/// The text of a plain scalar.
pub(super) fn unfolded(range: Range<usize>, source: &str) -> Option<String> {
    let mut decoder = Decoder { source, text: String::new(), runs: Vec::new() };
    decoder.flow(range, None)?;
    Some(decoder.text)
}

fn inside(range: Range<usize>) -> Option<Range<usize>> {
    (range.len() >= 2).then(|| range.start + 1..range.end - 1)
}

fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

struct Decoder<'a> {
    source: &'a str,
    text: String,
    runs: Vec<Run>,
}

/// A line of a block scalar.
struct Line {
    /// Without indentation and break.
    content: Range<usize>,
    /// Its break; empty at the end of the file.
    end: Range<usize>,
}

impl Decoder<'_> {
    fn rest(&self, range: &Range<usize>) -> &str {
        self.source.get(range.clone()).unwrap_or("")
    }

    /// Takes over what stands there.
    fn copy(&mut self, range: Range<usize>) -> Option<()> {
        let length = small(range.len());
        let at = small(self.text.len());
        self.text.push_str(self.source.get(range.clone())?);
        match self.runs.last_mut() {
            Some(run) if run.verbatim && run.source + run.source_length == small(range.start) => {
                run.text_length += length;
                run.source_length += length;
            }
            _ if length == 0 => {}
            _ => self.runs.push(Run {
                text: at,
                text_length: length,
                source: small(range.start),
                source_length: length,
                verbatim: true,
            }),
        }
        Some(())
    }

    /// Takes what stands there for that text.
    fn piece(&mut self, text: &str, range: &Range<usize>) {
        if !text.is_empty() {
            self.runs.push(Run { text: small(self.text.len()), ..coarse(text.len(), range.clone()) });
            self.text.push_str(text);
        }
    }

    fn line_breaks(&mut self, breaks: &[Range<usize>]) {
        for end in breaks {
            self.piece("\n", end);
        }
    }

    fn finish(mut self, value: &str) -> Option<Vec<Run>> {
        self.text.starts_with(value).then_some(())?;
        let end = small(value.len());
        self.text.truncate(value.len());
        self.runs.retain(|run| run.text < end);
        if let Some(last) = self.runs.last_mut() {
            let kept = end - last.text;
            if kept < last.text_length {
                last.verbatim.then_some(())?;
                last.text_length = kept;
                last.source_length = kept;
            }
        }
        Some(self.runs)
    }

    /// Plain and quoted scalars: blanks around line breaks vanish, one break is a space, more are one less.
    fn flow(&mut self, range: Range<usize>, quote: Option<char>) -> Option<()> {
        let mut at = range.start;
        while at < range.end {
            let rest = self.rest(&(at..range.end));
            let first = rest.chars().next()?;
            let length = match first {
                ' ' | '\t' | '\r' | '\n' => {
                    let length = rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
                    self.fold(at..at + length)?;
                    length
                }
                '\'' if quote == Some('\'') => {
                    rest.starts_with("''").then_some(())?;
                    self.piece("'", &(at..at + 2));
                    2
                }
                '\\' if quote == Some('"') => self.escape(at..range.end)?,
                _ => {
                    let special = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n' | '\'' | '\\');
                    let more = rest.get(first.len_utf8()..)?;
                    let length = more.find(special).map_or(rest.len(), |end| end + first.len_utf8());
                    self.copy(at..at + length)?;
                    length
                }
            };
            at += length;
        }
        Some(())
    }

    /// Blanks and breaks within a plain or quoted scalar.
    fn fold(&mut self, range: Range<usize>) -> Option<()> {
        let breaks = self.breaks(&range);
        match breaks.split_first() {
            None => self.copy(range)?,
            Some((only, [])) => self.piece(" ", only),
            Some((_, more)) => self.line_breaks(more),
        }
        Some(())
    }

    fn breaks(&self, range: &Range<usize>) -> Vec<Range<usize>> {
        let text = self.rest(range);
        let mut breaks: Vec<Range<usize>> = Vec::new();
        for (at, found) in text.match_indices(['\r', '\n']) {
            let at = range.start + at;
            match breaks.last_mut() {
                Some(last) if found == "\n" && last.end == at && self.rest(last) == "\r" => last.end = at + 1,
                _ => breaks.push(at..at + 1),
            }
        }
        breaks
    }

    /// What starts with a backslash; its length in the file.
    fn escape(&mut self, range: Range<usize>) -> Option<usize> {
        let rest = self.rest(&range);
        let kind = rest.chars().nth(1)?;
        let start = range.start;
        if matches!(kind, '\r' | '\n') {
            let more = rest.get(1..)?;
            let length = 1 + more.len() - more.trim_start_matches([' ', '\t', '\r', '\n']).len();
            for end in self.breaks(&(start..start + length)).iter().skip(1) {
                self.piece("\n", end);
            }
            return Some(length);
        }
        let (text, length) = match kind {
            'x' => (code(rest, 2)?, 4),
            'U' => (code(rest, 8)?, 10),
            'u' => unicode(rest)?,
            other => (simple(other)?, 1 + other.len_utf8()),
        };
        self.piece(text.encode_utf8(&mut [0; 4]), &(start..start + length));
        Some(length)
    }

    /// Literal and folded scalars.
    fn block(&mut self, value: &str, style: Style, range: Range<usize>) -> Option<()> {
        let lines = self.lines(value, range)?;
        if style == Style::Literal {
            for line in lines {
                self.copy(line.content)?;
                self.piece("\n", &line.end);
            }
            return Some(());
        }
        // Breaks since the last line with content, and whether that line is indented further.
        let mut breaks: Vec<Range<usize>> = Vec::new();
        let mut before = None;
        for line in lines {
            if !line.content.is_empty() {
                let further = self.rest(&line.content).starts_with([' ', '\t']);
                let folded = before == Some(false) && !further;
                match breaks.split_first() {
                    Some((only, [])) if folded => self.piece(" ", only),
                    Some((_, more)) if folded => self.line_breaks(more),
                    _ => self.line_breaks(&breaks),
                }
                breaks.clear();
                before = Some(further);
                self.copy(line.content)?;
            }
            breaks.push(line.end);
        }
        self.line_breaks(&breaks);
        Some(())
    }

    /// The lines of a block scalar, from the first that counts.
    fn lines(&self, value: &str, range: Range<usize>) -> Option<Vec<Line>> {
        // The range starts with the first text, or with the header where there is none.
        let empty = value.bytes().all(|byte| byte == b'\n');
        let line_start = |at: usize| {
            self.source.get(..at).map(|before| before.rfind(['\n', '\r']).map_or(0, |end| end + 1))
        };
        let mut start = line_start(range.start)?;
        let indent = if empty { usize::MAX } else { range.start - start };
        if empty {
            let header = self.rest(&range).find(['\n', '\r'])?;
            let rest = range.start + header;
            start = rest + if self.source.get(rest..)?.starts_with("\r\n") { 2 } else { 1 };
        } else {
            for _ in value.bytes().take_while(|byte| *byte == b'\n') {
                let before = self.source.get(..start)?;
                let before = before.strip_suffix("\r\n").or_else(|| before.strip_suffix(['\n', '\r']))?;
                start = line_start(before.len())?;
                before.get(start..)?.bytes().all(|byte| byte == b' ').then_some(())?;
            }
        }
        let mut lines = Vec::new();
        while start < range.end {
            let rest = self.rest(&(start..range.end));
            let length = rest.find(['\n', '\r']).unwrap_or(rest.len());
            let line = rest.get(..length)?;
            let blanks = line.bytes().take_while(|byte| *byte == b' ').count().min(indent);
            let tail = rest.get(length..)?;
            let end = if tail.starts_with("\r\n") { 2 } else { usize::from(!tail.is_empty()) };
            let at = start + length;
            lines.push(Line { content: start + blanks..at, end: at..at + end });
            start = at + end;
        }
        Some(lines)
    }
}

fn simple(kind: char) -> Option<char> {
    Some(match kind {
        '0' => '\0',
        'a' => '\u{7}',
        'b' => '\u{8}',
        't' | '\t' => '\t',
        'n' => '\n',
        'v' => '\u{b}',
        'f' => '\u{c}',
        'r' => '\r',
        'e' => '\u{1b}',
        ' ' | '"' | '/' | '\\' | '\'' => kind,
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        _ => return None,
    })
}

fn number(rest: &str, digits: usize) -> Option<u32> {
    u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()
}

fn code(rest: &str, digits: usize) -> Option<char> {
    char::from_u32(number(rest, digits)?)
}

/// `\uXXXX`, of which two can make one character, as in JSON.
fn unicode(rest: &str) -> Option<(char, usize)> {
    let high = number(rest, 4)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high)?, 6));
    }
    let low = number(rest.get(6..).filter(|rest| rest.starts_with("\\u"))?, 4)?;
    let low = low.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
    Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + low)?, 12))
}

/// The length of the escape that starts there, if it means something.
pub(super) fn escape_length(rest: &str) -> Option<usize> {
    match rest.chars().nth(1)? {
        'x' => code(rest, 2).map(|_| 4),
        'U' => code(rest, 8).map(|_| 10),
        'u' => unicode(rest).map(|(_, length)| length),
        '\r' | '\n' => Some(2),
        other => simple(other).map(|_| 1 + other.len_utf8()),
    }
}
