//! Texts that need quotes and have none: found, told with the fix, and read as if they had them.
//!
//! To go on behind such a text it is replaced by a placeholder of the same length, so that every other place
//! stays true, and the file is read again. What is guessed is only believed if the parser then gets further.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_yaml::granit_parser::ErrorKind;

use super::build::{Outcome, Quoted, Stop, build};
use super::{Bounds, Node, syntax};
use crate::diagnostic::{Code, Diagnostic, Diagnostics, FileId, Span};

/// How many bytes are read again at most, so that no file takes long.
const PATIENCE: usize = 2 << 20;

/// Reads a file of a size that is within bounds.
pub(super) fn parse(bounds: Bounds, file: FileId, source: &str, out: &mut Diagnostics) -> Option<Node> {
    let (text, quoted) = (source.to_owned(), BTreeMap::new());
    let mut reader = Reader { bounds, file, source, text, quoted, patience: PATIENCE };
    let mut outcome = reader.read();
    loop {
        let better = match &outcome {
            Outcome { braces, .. } if !braces.is_empty() => reader.quote_braces(braces),
            Outcome { stopped: Some(stop), .. } => reader.quote_near(stop),
            _ => None,
        };
        match better {
            Some(better) => outcome = better,
            None => break,
        }
    }
    out.extend(outcome.problems);
    out.extend(outcome.covered.into_iter().map(|range| missing_quotes(file, source, range)));
    out.extend(outcome.stopped.map(|stop| syntax::error(&stop, file, source)));
    outcome.node
}

struct Reader<'a> {
    bounds: Bounds,
    file: FileId,
    source: &'a str,
    /// The source with placeholders.
    text: String,
    quoted: Quoted,
    patience: usize,
}

impl Reader<'_> {
    fn read(&mut self) -> Outcome {
        build(self.bounds, self.file, self.source, &self.text, &self.quoted)
    }

    fn read_again(&mut self) -> Option<Outcome> {
        self.patience.checked_sub(1)?;
        let outcome = self.read();
        let far = match &outcome.stopped {
            // What is never closed is only known at the end.
            Some(stop) if is_unclosed(&stop.kind) => self.text.len(),
            None => self.text.len(),
            Some(stop) => stop.at,
        };
        self.patience = self.patience.saturating_sub(far + 256);
        (!outcome.misled).then_some(outcome)
    }

    /// Quotes every `{{` that YAML takes for a map within a map.
    fn quote_braces(&mut self, braces: &[(usize, bool)]) -> Option<Outcome> {
        let mut progress = false;
        for &(start, within) in braces {
            let line = self.line(start);
            let Some(rest) = self.text.get(start..line.end) else { continue };
            let before = self.text.get(line.start..start).unwrap_or("");
            let first = !within && before.bytes().all(|byte| matches!(byte, b' ' | b'-' | b'?'));
            let key = if first { key_length(rest) } else { None };
            let range = start..start + key.unwrap_or_else(|| plain_length(rest, within));
            // What an earlier one covers holds no braces any more.
            if rest.starts_with("{{") && !range.is_empty() {
                self.cover(range);
                progress = true;
            }
        }
        if progress { self.read_again() } else { None }
    }

    /// Quotes the text on the line of a syntax error that lets the parser get further.
    fn quote_near(&mut self, stop: &Stop) -> Option<Outcome> {
        const TRIES: usize = 8;
        let line = self.line(stop.at);
        let depth = stop.open.iter().filter(|start| **start < line.start).count();
        // Only behind what is never closed can the cause follow the place of the error.
        let end = if is_unclosed(&stop.kind) { line.end } else { stop.at + 1 };
        self.patience = self.patience.saturating_sub(end.saturating_sub(line.start));
        let suspects = suspects(self.text.get(line.clone())?, end - line.start, depth, &stop.kind);
        for suspect in suspects.into_iter().take(TRIES) {
            let range = line.start + suspect.start..line.start + suspect.end;
            let original = self.text.get(range.clone())?.to_owned();
            self.cover(range.clone());
            // What goes on over lines is no text that lacks its quotes, but a bracket that lacks its end.
            let outcome = self.read_again().filter(|better| {
                let text = |range: &Range<usize>| self.source.get(range.clone()).unwrap_or("");
                better.covered.iter().all(|range| !text(range).contains('\n'))
            });
            if outcome
                .as_ref()
                .is_some_and(|better| better.stopped.as_ref().is_none_or(|next| next.at > stop.at))
            {
                return outcome;
            }
            self.quoted.remove(&range.start);
            self.text.replace_range(range, &original);
        }
        None
    }

    fn cover(&mut self, range: Range<usize>) {
        self.text.replace_range(range.clone(), &"x".repeat(range.len()));
        self.quoted.insert(range.start, range);
    }

    /// The line of a byte, without its break, as far as anybody writes a line.
    fn line(&self, at: usize) -> Range<usize> {
        const LONG: usize = 4 << 10;
        let start =
            self.text.get(..at).and_then(|before| before.rfind(['\n', '\r'])).map_or(0, |end| end + 1);
        let last = self.text.floor_char_boundary(at.saturating_add(LONG));
        let length = self.text.get(at..last).map_or(0, |rest| rest.find(['\n', '\r']).unwrap_or(rest.len()));
        start..at + length
    }
}

fn is_unclosed(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnclosedFlowCollection { .. } | ErrorKind::UnclosedQuotedScalar)
}

fn missing_quotes(file: FileId, source: &str, range: Range<usize>) -> Diagnostic {
    let text = source.get(range.clone()).unwrap_or("");
    let span = Span::new(file, range);
    let (message, label) = if text.starts_with("{{") {
        ("a template that starts with `{{` needs quotes", "YAML takes this for a map within a map")
    } else if text.starts_with('$') {
        ("a path with brackets needs quotes within `{...}` and `[...]`", "YAML takes the bracket for a list")
    } else if text.contains("{{") {
        ("a template needs quotes within `{...}` and `[...]`", "YAML takes the braces for a map")
    } else if text.contains(": ") || text.ends_with(':') {
        ("a text with a colon before a space needs quotes", "YAML takes the colon for the end of a key")
    } else {
        ("this text needs quotes", "YAML takes some of its characters for something else")
    };
    Diagnostic::new(Code::QuoteNeeded, span, message).label(label).fix(
        span,
        quoted(text),
        "put quotes around it",
    )
}

/// The text as a quoted scalar, with as little escaping as possible.
fn quoted(text: &str) -> String {
    if text.contains(['"', '\\']) { format!("'{}'", text.replace('\'', "''")) } else { format!("\"{text}\"") }
}

/// The plain texts of a line that YAML reads otherwise than meant, where `depth` flow collections are open at
/// its start; those that start before `end`.
fn suspects(line: &str, end: usize, depth: usize, kind: &ErrorKind) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut depth = depth;
    let mut at = 0;
    let mut key_seen = depth > 0;
    while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty() && at < end) {
        let first = rest.chars().next().unwrap_or(' ');
        at += match first {
            ' ' | '\t' => 1,
            '#' if at == 0 || line.get(..at).is_some_and(|before| before.ends_with([' ', '\t'])) => break,
            '-' | '?' | ':' if rest.len() == 1 || rest.get(1..).is_some_and(|more| more.starts_with(' ')) => {
                1
            }
            '"' | '\'' => quote_length(rest),
            '{' | '[' if !rest.starts_with("{{") => {
                depth += 1;
                1
            }
            '}' | ']' | ',' if depth > 0 => {
                depth -= usize::from(first != ',');
                1
            }
            '&' | '!' if at > 0 => rest.find(' ').unwrap_or(rest.len()),
            _ => {
                let key = if key_seen || depth > 0 { None } else { key_length(rest) };
                let length = key.unwrap_or_else(|| plain_length(rest, depth > 0));
                key_seen |= key.is_some();
                let text = rest.get(..length).unwrap_or("");
                if is_suspect(text, depth > 0, kind) {
                    found.push(at..at + length);
                }
                length.max(first.len_utf8())
            }
        };
    }
    found
}

fn is_suspect(text: &str, flow: bool, kind: &ErrorKind) -> bool {
    text.starts_with("{{")
        || text.starts_with(['@', '`', '%'])
        || (flow && (text.contains("{{") || text.contains(['[', ']', '{', '}'])))
        || (!flow
            && *kind == ErrorKind::MappingValueNotAllowed
            && (text.contains(": ") || text.ends_with(':')))
}

/// The length of a plain text as a person means it: templates and paths are not cut at their brackets.
fn plain_length(rest: &str, flow: bool) -> usize {
    let path = rest.starts_with('$');
    let mut at = 0;
    let mut blank = false;
    while let Some(more) = rest.get(at..).filter(|more| !more.is_empty()) {
        let next = more.chars().next().unwrap_or(' ');
        let ends = match next {
            '#' => blank,
            '[' | '{' if more.starts_with("{{") || (path && next == '[') => false,
            ',' | '}' | ']' | '[' | '{' => flow,
            ':' => {
                flow && (more.len() == 1
                    || more.get(1..).is_some_and(|more| more.starts_with([' ', ',', '}', ']'])))
            }
            _ => false,
        };
        if ends {
            break;
        }
        at += if more.starts_with("{{") {
            template_length(more)
        } else if path && next == '[' {
            bracket_length(more)
        } else {
            next.len_utf8()
        };
        blank = next == ' ' || next == '\t';
    }
    rest.get(..at).map_or(0, |text| text.trim_end().len())
}

/// The length of a key, up to its colon.
fn key_length(rest: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(more) = rest.get(at..).filter(|more| !more.is_empty()) {
        if more == ":" || more.starts_with(": ") {
            return Some(at);
        }
        at += if more.starts_with("{{") {
            template_length(more)
        } else {
            more.chars().next().map_or(1, char::len_utf8)
        };
    }
    None
}

/// The length of `{{...}}` or `{{{...}}}`; braces within quotes don't count.
fn template_length(rest: &str) -> usize {
    let close = if rest.starts_with("{{{") { "}}}" } else { "}}" };
    let mut quote = None;
    for (at, c) in rest.char_indices() {
        match quote {
            Some(open) if open == c => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if rest.get(at..).is_some_and(|more| more.starts_with(close)) => return at + close.len(),
            _ => {}
        }
    }
    // An unclosed one, or an odd quote: up to the first end that there is.
    rest.find(close).map_or(rest.len(), |at| at + close.len())
}

/// The length of `[...]` in a path.
fn bracket_length(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, c) in rest.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth <= 1 => return at + 1,
            (None, ']') => depth -= 1,
            _ => {}
        }
    }
    rest.find(']').map_or(rest.len(), |at| at + 1)
}

/// The length of a quoted scalar on this line.
fn quote_length(rest: &str) -> usize {
    let mut characters = rest.char_indices();
    let quote = characters.next().map_or('"', |(_, quote)| quote);
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' if quote == '"' => {
                characters.next();
            }
            _ if c == quote => {
                if quote == '\'' && rest.get(at + 1..).is_some_and(|more| more.starts_with('\'')) {
                    characters.next();
                } else {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    rest.len()
}
