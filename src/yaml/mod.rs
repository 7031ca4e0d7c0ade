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

/// How large a file may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The most bytes.
    bytes: usize,
    /// The most values, with those that aliases repeat.
    values: usize,
    /// The most aliases.
    aliases: usize,
}

impl Bounds {
    /// A file that anybody may have written: a mapping, its tests, a table.
    pub const FILE: Self = Self { bytes: 1 << 20, values: 20_000, aliases: 200 };
    /// An installation, which is its operator's own and may have ten thousand channels and more.
    pub const INSTALLATION: Self = Self { bytes: 16 << 20, values: 1_000_000, aliases: 50_000 };
}

/// The deepest nesting.
const DEPTH_LIMIT: usize = 64;

/// Reads a file of the usual size; see [`parse_within`].
pub fn parse(file: FileId, sources: &Sources, out: &mut Diagnostics) -> Option<Node> {
    parse_within(Bounds::FILE, file, sources, out)
}

/// Reads a file that is among the sources, and tells all its problems. None if what it says can't be known; a
/// tree in spite of problems is as near to what was meant as possible, so that the next stage can tell its own.
///
/// Of a key that stands twice the first counts, a text that needs quotes is read as if it had them, of several
/// documents the first counts. An empty file is null.
pub fn parse_within(bounds: Bounds, file: FileId, sources: &Sources, out: &mut Diagnostics) -> Option<Node> {
    let source = sources.text(file);
    if source.len() > bounds.bytes {
        let message = format!("this file has {} bytes, {} are allowed", source.len(), bounds.bytes);
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
    quoting::parse(bounds, file, source, out)
}

/// Control characters other than tab and line breaks: YAML has none (chapter 5.1).
fn is_forbidden(c: char) -> bool {
    matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests;
