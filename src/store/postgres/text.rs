//! Text that any database takes: PostgreSQL's has no NUL, and ours may.
//!
//! Invariant: what was read is what was written.

use std::borrow::Cow;

use smol_str::SmolStr;

/// Stands before what is written in another way: no character that anybody uses, and no NUL.
const ESCAPE: char = '\u{10FFFE}';

/// Text as it is stored.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', ESCAPE]) {
        return Cow::Borrowed(text);
    }
    let mut stored = String::with_capacity(text.len() + 8);
    for char in text.chars() {
        match char {
            '\0' => stored.extend([ESCAPE, '0']),
            ESCAPE => stored.extend([ESCAPE, '1']),
            other => stored.push(other),
        }
    }
    Cow::Owned(stored)
}

/// Text as it was.
pub(super) fn read(stored: &str) -> Cow<'_, str> {
    if !stored.contains(ESCAPE) {
        return Cow::Borrowed(stored);
    }
    let mut text = String::with_capacity(stored.len());
    let mut chars = stored.chars();
    while let Some(char) = chars.next() {
        text.push(match char {
            ESCAPE if chars.next() == Some('0') => '\0',
            other => other,
        });
    }
    Cow::Owned(text)
}

/// The same, for what names something.
pub(super) fn name(stored: &str) -> SmolStr {
    SmolStr::new(read(stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_stored_is_read_again() {
        for text in ["", "plain", "a\0b", "\0", "\u{10FFFE}", "\u{10FFFE}0", "\0\u{10FFFE}1é", "\u{10FFFE}\0"]
        {
            let stored = stored(text);
            assert!(!stored.contains('\0'));
            assert_eq!(read(&stored), text);
        }
    }
}
