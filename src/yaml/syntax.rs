//! The words for what is wrong with a file as YAML.

use std::ops::Range;

use serde_yaml::granit_parser::ErrorKind;

use super::build::Stop;
use super::{DEPTH_LIMIT, Text};
use crate::diagnostic::{Code, Diagnostic, FileId, Span, suggest};

pub(super) fn second_document(span: Span) -> Diagnostic {
    Diagnostic::new(Code::InvalidYaml, span, "a second document starts here")
        .label("everything from here on is ignored")
        .help("one file holds one document: move the second into a file of its own, or remove the `---`")
}

pub(super) fn forbidden_character(span: Span, c: char) -> Diagnostic {
    let number = u32::from(c);
    let escape = if number < 0x100 { format!("\\x{number:02x}") } else { format!("\\u{number:04x}") };
    Diagnostic::new(Code::InvalidYaml, span, "a control character, which YAML does not allow")
        .label("here")
        .help(format!("if it is meant, write it as the escape `{escape}` in double quotes"))
}

pub(super) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::new(Code::TooLarge, span, format!("more than {DEPTH_LIMIT} levels of nesting"))
        .label("reading stopped here")
}

pub(super) fn duplicate_key(key: &Text, first: Span) -> Diagnostic {
    Diagnostic::new(Code::DuplicateKey, key.span, format!("the key `{}` stands twice in this map", key.value))
        .label("again here")
        .secondary(first, "first here, which counts")
}

pub(super) fn unknown_anchor(name: &str, span: Span, known: &[&str]) -> Diagnostic {
    let problem =
        Diagnostic::new(Code::InvalidYaml, span, format!("no `&{name}` stands before this alias to it"))
            .label("unknown alias");
    let problem = match suggest(name, known.iter().copied()) {
        Some(meant) => problem.fix(span, format!("*{meant}"), format!("did you mean `*{meant}`?")),
        None => problem,
    };
    problem.help("a text that starts with `*` needs quotes; an alias must come after its `&anchor`")
}

pub(super) fn endless_alias(span: Span) -> Diagnostic {
    Diagnostic::new(Code::InvalidYaml, span, "this alias stands for something that holds the alias itself")
        .label("endless")
}

pub(super) fn unknown_tag(span: Span) -> Diagnostic {
    Diagnostic::new(Code::InvalidYaml, span, "tags of this kind mean nothing here")
        .label("unknown tag")
        .help("a text that starts with `!` needs quotes")
}

pub(super) fn unfit_tag(span: Span, wanted: &str) -> Diagnostic {
    Diagnostic::new(Code::InvalidYaml, span, format!("the value is no `{wanted}`, as this tag says"))
        .help("remove the tag")
}

pub(super) fn key_is_no_text(span: Span) -> Diagnostic {
    Diagnostic::new(Code::InvalidYaml, span, "a key must be text")
        .label("this is no text")
        .help("a text that starts with `{` or `[` needs quotes")
}

pub(super) fn merge_of_no_map(span: Span, kind: &str) -> Diagnostic {
    Diagnostic::new(Code::InvalidYaml, span, format!("`<<` merges maps into this one, but this is {kind}"))
        .help("write `<<: *name` or `<<: [*one, *two]`, where the names are those of maps; or quote the key")
}

/// Why the parser gave up.
pub(super) fn error(stop: &Stop, file: FileId, source: &str) -> Diagnostic {
    let place = spot(&stop.kind, stop.at, source);
    let found = source.get(place.clone()).unwrap_or("").chars().next();
    let span = Span::new(file, place);
    let line = source.get(..stop.at).map_or(0, |before| before.rfind('\n').map_or(0, |end| end + 1));
    let before = source.get(line..stop.at).unwrap_or("");
    let (message, label, help) = words(&stop.kind, found, before);
    let code = match stop.kind {
        ErrorKind::RecursionLimitExceeded => return too_deep(span),
        _ => Code::InvalidYaml,
    };
    let mut problem = Diagnostic::new(code, span, message).label(label);
    if !help.is_empty() {
        problem = problem.help(help);
    }
    if let ErrorKind::ExpectedFlowMappingSeparator
    | ErrorKind::ExpectedFlowSequenceSeparator
    | ErrorKind::InvalidColonPlacement = stop.kind
        && let Some(open) = stop.open.last()
    {
        problem = problem.secondary(Span::new(file, *open..open + 1), "this is still open");
    }
    problem
}

/// The exact place: the parser tells of a quoted scalar only where it starts.
fn spot(kind: &ErrorKind, at: usize, source: &str) -> Range<usize> {
    let rest = source.get(at..).unwrap_or("");
    let at = match kind {
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate
        | ErrorKind::InvalidUnicodeEscape => return unsound_escape(rest, at),
        // The parser has read on behind the `- ` of an item.
        ErrorKind::ExpectedBlockMappingKey => {
            let start = source.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
            let before = source.get(start..at).unwrap_or("");
            let item = before.trim().bytes().all(|byte| byte == b'-');
            if item { at - before.trim_start().len() } else { at }
        }
        // Indentation by tabs: show all of it.
        ErrorKind::TabInIndentation | ErrorKind::TabInBlockIndentation => {
            let start = source.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
            let tab = source.get(start..).and_then(|line| line.find('\t')).map_or(at, |tab| start + tab);
            if source.get(start..tab).is_some_and(|before| before.bytes().all(|byte| byte == b' ')) {
                tab
            } else {
                at
            }
        }
        _ => at,
    };
    let length = source.get(at..).and_then(|rest| rest.chars().next()).map_or(0, |c| match c {
        '\n' | '\r' => 0,
        other => other.len_utf8(),
    });
    at..at + length
}

/// The first escape of a double-quoted scalar that means nothing.
fn unsound_escape(quoted: &str, at: usize) -> Range<usize> {
    let mut from = 0;
    while let Some(found) = quoted.get(from..).and_then(|rest| rest.find('\\')) {
        let start = from + found;
        let rest = quoted.get(start..).unwrap_or("");
        let Some(length) = super::places::escape_length(rest) else {
            let kind = rest.chars().nth(1).map_or(0, char::len_utf8);
            return at + start..at + start + 1 + kind;
        };
        from = start + length;
    }
    at..at
}

// A table: one arm for each kind.
#[allow(clippy::too_many_lines)]
fn words(kind: &ErrorKind, found: Option<char>, before: &str) -> (String, &'static str, &'static str) {
    let (message, label, help) = match kind {
        ErrorKind::UnexpectedCharacter { character } => {
            return (
                format!("a plain text can't start with `{character}`"),
                "not possible here",
                "put quotes around the text",
            );
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            return (format!("`{open}` is closed by `{close}`"), "the wrong bracket", "");
        }
        ErrorKind::UnclosedFlowCollection { open } => {
            return (format!("this `{open}` is never closed"), "opened here", "");
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            let closing = if *kind == ErrorKind::ExpectedFlowMappingSeparator { '}' } else { ']' };
            let what = match found {
                Some('[' | ']' | '{' | '}') => "put quotes around a text that holds brackets or braces",
                Some(':') => "put quotes around a text that holds a colon before a space",
                _ => "",
            };
            return (format!("expected `,` or `{closing}`"), "something else stands here", what);
        }
        ErrorKind::UnclosedQuotedScalar => ("this quote is never closed", "opened here", ""),
        ErrorKind::InvalidColonPlacement => (
            "a bracket is still open here, in which this colon makes no sense",
            "not possible here",
            "close the bracket before the next key",
        ),
        ErrorKind::ExpectedBlockMappingKey if found == Some('-') => (
            "a list can't stand among the keys of a map",
            "this fits no map above",
            "indent it below the key that it belongs to",
        ),
        ErrorKind::MappingValueNotAllowed if !before.contains(": ") => (
            "a colon where no key can end",
            "not possible here",
            "the text before it goes on from the line above; is a colon missing there, or the indentation wrong?",
        ),
        ErrorKind::ExpectedBlockMappingKey => (
            "expected a key of the map above",
            "this fits no map above",
            "a key must be indented exactly like the other keys of its map",
        ),
        ErrorKind::ExpectedBlockSequenceEntry => (
            "expected `- ` and the next item of the list above",
            "this is no item",
            "a list and a map can't stand at the same indentation",
        ),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "expected `key: value`",
            "there is no colon after this",
            "a key and its colon stand on one line; a space follows the colon",
        ),
        ErrorKind::MappingValueNotAllowed => (
            "a second colon in one line",
            "not possible here",
            "put quotes around a text that holds a colon before a space",
        ),
        ErrorKind::TabInIndentation
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => ("a tab where only spaces may stand", "a tab", "indent with spaces"),
        ErrorKind::UnknownQuotedScalarEscape => (
            "this escape means nothing",
            "unknown escape",
            "write `\\\\` for a backslash, or use single quotes, in which a backslash is an ordinary character",
        ),
        ErrorKind::InvalidQuotedScalarHexEscape | ErrorKind::InvalidLowSurrogateHexEscape => {
            ("this escape lacks hexadecimal digits", "`\\x` takes two, `\\u` four, `\\U` eight", "")
        }
        ErrorKind::InvalidUnicodeEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate => ("this escape is no character", "no character", ""),
        ErrorKind::CommentNotSeparated => (
            "a comment needs a space before its `#`",
            "no space before it",
            "put quotes around a text that holds `#`",
        ),
        ErrorKind::MissingAnchorOrAliasName => {
            ("a name must follow `*` and `&`", "no name", "put quotes around a text that holds `*` or `&`")
        }
        ErrorKind::BlockEntryInFlowCollection => (
            "`- ` makes no item within brackets",
            "not possible here",
            "separate the items of `[...]` by commas",
        ),
        ErrorKind::BlockSequenceEntryNotAllowed => (
            "a list can't start here",
            "not possible here",
            "start it on a line of its own, or put quotes around a text that starts with `- `",
        ),
        ErrorKind::InvalidTrailingDoubleQuotedScalar | ErrorKind::InvalidTrailingSingleQuotedScalar => (
            "something follows the closing quote",
            "after the quote",
            "quotes stand around a whole value; a quote within is written `\\\"` or `''`",
        ),
        ErrorKind::InvalidBlockScalarHeader => (
            "something follows the `|` or `>`",
            "the text starts on the next line",
            "put quotes around a text that starts with `|` or `>`",
        ),
        ErrorKind::InvalidBlockScalarIndent
        | ErrorKind::InvalidIndentation
        | ErrorKind::InvalidFlowScalarIndent => {
            ("this line is not indented like those before it", "wrong indentation", "")
        }
        other => return (other.to_string(), "here", ""),
    };
    (message.to_owned(), label, help)
}
