//! What is wrong with a path, in words that help, at the very character.

use jsonpath_rust::parser::errors::JsonPathError;

use crate::expression::problem::{Problem, ProblemKind};

/// The parser takes `$.a b` for the name `a b`; RFC 9535 does not.
pub(super) fn blank_in_name(text: &str) -> Option<std::ops::Range<usize>> {
    let (mut depth, mut quote) = (0_u32, None);
    let mut in_name = false;
    let mut before = '$';
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open && before != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[' | '(') => (depth, in_name) = (depth + 1, false),
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            (None, '.') if depth == 0 => in_name = true,
            (None, c) if depth == 0 && in_name && c.is_whitespace() => {
                let rest = text.get(at..).unwrap_or_default().trim_start();
                if rest.starts_with(|next: char| next != '.' && next != '[') && !rest.is_empty() {
                    return Some(at..at + c.len_utf8());
                }
            }
            _ => {}
        }
        before = c;
    }
    None
}

pub(super) fn explain(text: &str, error: &JsonPathError) -> Problem {
    let whole = 0..text.len();
    let JsonPathError::PestError(error) = error else {
        let message = match error {
            JsonPathError::MaxNestingDepthExceeded(depth) => {
                format!("this JSONPath is nested deeper than {depth}")
            }
            JsonPathError::InvalidJsonPath(message) => format!("this is not a JSONPath: {message}"),
            JsonPathError::InvalidNumber(_) => "a number in this JSONPath is out of range".into(),
            _ => "this is not a JSONPath".into(),
        };
        return Problem::new(ProblemKind::Path, whole, message);
    };
    if let Some(at) = unclosed(text) {
        let problem = Problem::new(ProblemKind::Path, at..at + 1, "this JSONPath ends too early");
        return problem.label("this is never closed");
    }
    let at = match error.location {
        pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at.min(text.len()),
    };
    let rest = text.get(at..).unwrap_or_default();
    let Some(found) = rest.chars().next() else {
        let problem = Problem::new(ProblemKind::Path, at..at, "this JSONPath ends too early");
        return problem.label("something is missing here").help("name a member, as in `$.name`");
    };
    let range = at..at + found.len_utf8();
    let problem = Problem::new(ProblemKind::Path, range, "this is not a JSONPath (RFC 9535)");
    let problem = problem.label(format!("`{found}` does not belong here"));
    match found {
        '-' | ' ' | ':' | '/' | '@' | '#' if name_before(text, at).is_some() => {
            let name = name_before(text, at).unwrap_or_default();
            let end = at + rest.find(['.', '[']).unwrap_or(rest.len());
            let start = at - name.len();
            let full = text.get(start..end).unwrap_or_default();
            let mut problem =
                problem.help(format!("a name with `{found}` in it stands in brackets: `['{full}']`"));
            problem.replacement = Some((start.saturating_sub(1)..end, format!("['{full}']")));
            problem
        }
        '0'..='9' if text.get(..at).is_some_and(|before| before.ends_with(['[', ',', ':'])) => {
            problem.help("an index has no zeros before it")
        }
        '=' => problem.help("compare with `==`"),
        '&' => problem.help("both conditions: `&&`"),
        '|' => problem.help("either condition: `||`"),
        '(' => problem.help("RFC 9535 has no script expressions; a filter is `[?@.name == 'value']`"),
        _ => problem
            .help("for example `$.messages[0].text`, `$['content-type']`, `$.items[?@.kind == 'a'].id`"),
    }
}

/// The first bracket or quote that is opened and never closed.
fn unclosed(text: &str) -> Option<usize> {
    let mut open = Vec::new();
    let mut quote = None;
    let mut before = '$';
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some((_, mark)), c) if c == mark && before != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some((at, c)),
            (None, '[' | '(') => open.push(at),
            (None, ']' | ')') => drop(open.pop()),
            _ => {}
        }
        before = c;
    }
    quote.map(|(at, _)| at).or_else(|| open.pop())
}

fn name_before(text: &str, at: usize) -> Option<&str> {
    let before = text.get(..at)?;
    let start = before.rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |found| found + 1);
    let name = before.get(start..)?;
    (before.get(..start)?.ends_with('.') && !name.is_empty()).then_some(name)
}
