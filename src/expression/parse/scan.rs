//! A source to its tags, and the raw text between them.

use std::ops::Range;

use crate::expression::problem::{Problem, ProblemKind};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TagKind {
    Put,
    Open,
    Close,
    Else,
    Comment,
}

#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub(super) kind: TagKind,
    /// With its braces.
    pub(super) range: Range<usize>,
    /// What stands between the braces, without sigils.
    pub(super) inner: Range<usize>,
    pub(super) trim_before: bool,
    pub(super) trim_after: bool,
}

/// Finds all tags of a source, and tells of each that is none.
pub(super) fn scan(source: &str, tags: &mut Vec<Tag>, problems: &mut Vec<Problem>) {
    let mut at = 0;
    while let Some(start) = source.get(at..).and_then(|rest| rest.find("{{")).map(|found| found + at) {
        if source.get(..start).is_some_and(|before| before.ends_with('\\')) {
            at = start + 2;
            continue;
        }
        match scan_tag(source, start) {
            Ok(tag) => {
                at = tag.range.end;
                tags.push(tag);
            }
            Err(problem) => {
                problems.push(problem);
                // Behind its end if there is one, else at the next tag.
                let rest = source.get(start + 2..).unwrap_or_default();
                let (close, open) = (rest.find("}}"), rest.find("{{"));
                at = match (close, open) {
                    (Some(close), open) if open.is_none_or(|open| close < open) => start + close + 4,
                    (_, Some(open)) => start + 2 + open.max(1),
                    _ => source.len(),
                };
            }
        }
    }
}

fn scan_tag(source: &str, start: usize) -> Result<Tag, Problem> {
    let rest = source.get(start..).unwrap_or_default();
    let never_closed = |close: &str| {
        Problem::new(ProblemKind::Template, start..start + 2, "this template tag is never closed")
            .label("opened here")
            .help(format!("close it with `{close}`"))
    };
    let tag = |kind, open: usize, close: usize, end: usize, before, after| Tag {
        kind,
        range: start..start + end,
        inner: start + open..start + close,
        trim_before: before,
        trim_after: after,
    };
    for (open, close) in [("{{!--", "--}}"), ("{{~!--", "--}}"), ("{{!", "}}"), ("{{~!", "}}")] {
        if rest.starts_with(open) {
            let end = rest.find(close).ok_or_else(|| never_closed(close))? + close.len();
            return Ok(tag(TagKind::Comment, open.len(), open.len(), end, open.contains('~'), false));
        }
    }
    if rest.starts_with("{{{{") {
        let problem =
            Problem::new(ProblemKind::Template, start..start + 4, "raw blocks are not part of the language");
        return Err(problem.help("write `\\{{` for two braces that stay as they are"));
    }
    let (mut open, close) = if rest.starts_with("{{{") { (3, "}}}") } else { (2, "}}") };
    let trim_before = rest.get(open..).is_some_and(|inner| inner.starts_with('~'));
    open += usize::from(trim_before);
    let end = find_close(rest, open, close).map_err(|quote| match quote {
        // A quote that has no end takes the braces with it.
        Some((at, quote)) if rest.get(open..).is_some_and(|inner| inner.contains(close)) => {
            let at = start + at;
            let problem = Problem::new(ProblemKind::Template, at..at + 1, "this text is never closed");
            problem.label("opened here").help(match quote {
                ']' => "close it with `]`".to_string(),
                quote => format!("close it with `{quote}`"),
            })
        }
        _ => never_closed(close),
    })?;
    let trim_after = rest.get(open..end).is_some_and(|inner| inner.ends_with('~'));
    let inner_end = end - usize::from(trim_after);
    let inner = rest.get(open..inner_end).unwrap_or_default();
    let sigil = inner.chars().next().unwrap_or(' ');
    let first = inner.trim_start_matches('&').split_whitespace().next();
    let (kind, skip) = match sigil {
        '#' => (TagKind::Open, 1),
        '/' => (TagKind::Close, 1),
        '^' => (TagKind::Else, 1),
        '&' => (TagKind::Put, 1),
        '>' | '*' => {
            let at = start + open..start + open + 1;
            let problem = Problem::new(ProblemKind::Template, at, "partials are not part of the language");
            return Err(problem.help("give the text a name with `let:` and put that name here"));
        }
        _ if first == Some("else") => (TagKind::Else, inner.find("else").unwrap_or(0) + 4),
        _ => (TagKind::Put, 0),
    };
    Ok(tag(kind, open + skip, inner_end, end + close.len(), trim_before, trim_after))
}

/// The end of a tag, with quotes and `[..]` segments skipped; otherwise the place of a quote that is not closed,
/// and what would close it.
fn find_close(rest: &str, from: usize, close: &str) -> Result<usize, Option<(usize, char)>> {
    let mut quote: Option<(usize, char)> = None;
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip_while(|(at, _)| *at < from) {
        let here = rest.get(at..).unwrap_or_default();
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some((_, open)) if c == open => quote = None,
            Some(_) => {}
            None if here.starts_with(close) => return Ok(at),
            None if here.starts_with("{{") => return Err(None),
            None => match c {
                '\'' | '"' => quote = Some((at, c)),
                '[' => quote = Some((at, ']')),
                _ => {}
            },
        }
    }
    Err(quote)
}

/// The ranges of raw text around the tags: before each, and after the last. Trimmed by `~`, and where a block
/// tag stands alone on its line, without that line.
pub(super) fn raw_ranges(source: &str, tags: &[Tag]) -> Vec<Range<usize>> {
    let mut starts: Vec<usize> = std::iter::once(0).chain(tags.iter().map(|tag| tag.range.end)).collect();
    let mut ends: Vec<usize> = tags.iter().map(|tag| tag.range.start).chain([source.len()]).collect();
    let slice = |start: usize, end: usize| source.get(start..end).unwrap_or_default();
    for (index, tag) in tags.iter().enumerate() {
        let (Some(&start), Some(&end)) = (starts.get(index), ends.get(index)) else { continue };
        let (Some(&next_start), Some(&next_end)) = (starts.get(index + 1), ends.get(index + 1)) else {
            continue;
        };
        let (before, after) = (slice(start, end), slice(next_start, next_end));
        let line_before = before.rfind('\n').map_or(before, |at| before.get(at + 1..).unwrap_or_default());
        let opens_line = line_before.trim().is_empty() && (before.contains('\n') || start == 0);
        let line_after = after.find('\n').map_or(after, |at| after.get(..=at).unwrap_or_default());
        let ends_line =
            line_after.trim().is_empty() && (line_after.ends_with('\n') || next_end == source.len());
        let whole_line = source.contains('\n');
        let alone = tag.kind != TagKind::Put && whole_line && opens_line && ends_line;
        let kept_before = match (tag.trim_before, alone) {
            (true, _) => before.trim_end().len(),
            (false, true) => before.len() - line_before.len(),
            _ => before.len(),
        };
        let cut_after = match (tag.trim_after, alone) {
            (true, _) => after.len() - after.trim_start().len(),
            (false, true) => line_after.len(),
            _ => 0,
        };
        if let Some(end) = ends.get_mut(index) {
            *end = start + kept_before;
        }
        if let Some(start) = starts.get_mut(index + 1) {
            *start = next_start + cut_after;
        }
    }
    starts.into_iter().zip(ends).map(|(start, end)| start..end.max(start)).collect()
}
