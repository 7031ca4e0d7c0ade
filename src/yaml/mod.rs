//! The span-carrying YAML tree: what a file says, and the place of every value, key and character of it.
//!
//! The only module that knows the parser crate. It reads YAML 1.2 with merge keys, one document a file, within
//! fixed bounds; everything that is wrong with a file as YAML is told here, all of it in one go.

mod build;
mod node;
mod places;
mod quoting;
mod scalar;
mod syntax;
mod text;

pub use node::{Entry, Kind, Node};
pub use text::Text;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, FileId, Sources, Span};

/// The largest file, in bytes.
const FILE_LIMIT: usize = 1 << 20;
/// The most values in a file, with those that aliases repeat.
const NODE_LIMIT: usize = 20_000;
/// The most aliases in a file.
const ALIAS_LIMIT: usize = 200;
/// The deepest nesting.
const DEPTH_LIMIT: usize = 64;

/// Reads a file that is among the sources, and tells all its problems. None if what it says can't be known; a
/// tree in spite of problems is as near to what was meant as possible, so that the next stage can tell its own.
///
/// Of a key that stands twice the first counts, a text that needs quotes is read as if it had them, of several
/// documents the first counts. An empty file is null.
pub fn parse(file: FileId, sources: &Sources, out: &mut Diagnostics) -> Option<Node> {
    let source = sources.text(file);
    if source.len() > FILE_LIMIT {
        let message = format!("this file has {} bytes, {FILE_LIMIT} are allowed", source.len());
        out.push(
            Diagnostic::new(Code::TooLarge, Span::new(file, 0..0), message)
                .help("move large tables into files of their own"),
        );
        return None;
    }
    if let Some((at, c)) = source.char_indices().find(|(_, c)| is_forbidden(*c)) {
        out.push(syntax::forbidden_character(Span::new(file, at..at + c.len_utf8()), c));
        return None;
    }
    quoting::parse(file, source, out)
}

/// Control characters other than tab and line breaks: YAML has none (chapter 5.1).
fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests;
