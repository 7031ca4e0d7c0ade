//! Long texts to pieces.
//!
//! Invariants: no piece is larger than the limit (but for a single character that is), no grapheme cluster is
//! torn unless it alone is larger, and but for the blanks at the seams the pieces are the text.

use unicode_segmentation::UnicodeSegmentation;

use crate::plan::Unit;

/// How large a text is.
pub fn size(text: &str, unit: Unit) -> usize {
    match unit {
        Unit::Bytes => text.len(),
        Unit::Chars => text.chars().count(),
        Unit::Utf16 => text.encode_utf16().count(),
    }
}

/// Cuts a text into pieces of at most `max`, at the last blank or line break in the second half of a piece,
/// else between grapheme clusters.
pub fn split(text: &str, max: usize, unit: Unit) -> Vec<String> {
    let max = max.max(1);
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let fits = longest_prefix(rest, max, unit);
        if fits == rest.len() {
            pieces.push(rest.to_string());
            break;
        }
        let (head, _) = rest.split_at(fits);
        let seam = if rest.get(fits..).is_some_and(|next| next.starts_with(char::is_whitespace)) {
            fits
        } else {
            head.rfind(char::is_whitespace).filter(|at| *at > fits / 2).unwrap_or(fits)
        };
        let (piece, next) = rest.split_at(seam);
        if !piece.trim().is_empty() {
            pieces.push(piece.trim().to_string());
        }
        rest = next.trim_start();
    }
    pieces
}

/// The length in bytes of the longest prefix that is not larger than `max`; at least one character.
fn longest_prefix(text: &str, max: usize, unit: Unit) -> usize {
    let mut used = 0;
    for (at, cluster) in text.grapheme_indices(true) {
        used += size(cluster, unit);
        if used > max {
            if at > 0 {
                return at;
            }
            // A single cluster that is too large is cut between its characters.
            let mut used = 0;
            for (at, c) in cluster.char_indices() {
                used += size(c.encode_utf8(&mut [0; 4]), unit);
                if used > max && at > 0 {
                    return at;
                }
            }
            return cluster.len();
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cuts_at_words() {
        assert_eq!(split("hello brave new world", 12, Unit::Chars), ["hello brave", "new world"]);
        assert_eq!(split("aaaaaaaaaa", 4, Unit::Chars), ["aaaa", "aaaa", "aa"]);
        assert_eq!(split("  ", 4, Unit::Chars), Vec::<String>::new());
    }

    #[test]
    fn a_long_text_takes_no_longer_for_each_piece() {
        let text = "word ".repeat(200_000);
        let start = std::time::Instant::now();
        assert_eq!(split(&text, 9, Unit::Utf16).len(), 100_000);
        assert!(start.elapsed() < std::time::Duration::from_secs(10), "{:?}", start.elapsed());
    }

    #[test]
    fn never_tears_what_a_reader_sees_as_one_character() {
        let family = "👨‍👩‍👧";
        assert_eq!(split(&family.repeat(3), 9, Unit::Utf16), [family, family, family]);
        assert_eq!(split("e\u{301}e\u{301}", 3, Unit::Chars), ["e\u{301}", "e\u{301}"]);
    }

    #[test]
    fn a_character_larger_than_the_limit_stays_whole() {
        assert_eq!(split("ää", 1, Unit::Bytes), ["ä", "ä"]);
    }

    proptest! {
        #[test]
        fn pieces_fit_and_keep_the_text(text in "(\\PC| |\n|é|👍🏽|e\u{301}){0,200}", max in 4_usize..40) {
            for unit in [Unit::Bytes, Unit::Chars, Unit::Utf16] {
                let pieces = split(&text, max, unit);
                for piece in &pieces {
                    prop_assert!(size(piece, unit) <= max, "{piece:?} in {unit:?}");
                }
                let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                prop_assert_eq!(bare(&pieces.concat()), bare(&text));
            }
        }
    }
}
