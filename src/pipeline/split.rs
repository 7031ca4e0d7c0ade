//! Long texts to pieces.
//!
//! Invariants: no piece is larger than the limit (but for a single character that is), no grapheme cluster is
//! torn unless it alone is larger, and but for the blanks at the seams the pieces are the text.

use unicode_segmentation::UnicodeSegmentation;

use crate::expression::gsm7_length;
use crate::plan::Unit;

/// How large a text is, in the unit that it is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The unit: UTF-16 where septets were wanted and can't carry the text.
    pub unit: Unit,
    /// How many of them the text has.
    pub count: usize,
    /// How many of them the limit allows.
    pub max: usize,
}

impl Size {
    /// Whether the limit allows it.
    pub fn fits(self) -> bool {
        self.count <= self.max
    }
}

/// How large a text is, of which there may be `max` units.
pub fn size(text: &str, max: usize, unit: Unit) -> Size {
    let count = match unit {
        Unit::Bytes => text.len(),
        Unit::Chars => text.chars().count(),
        Unit::Utf16 => text.encode_utf16().count(),
        Unit::Septets => match gsm7_length(text) {
            Some(septets) => septets,
            None => return size(text, unicode_max(max), Unit::Utf16),
        },
    };
    Size { unit, count, max }
}

/// How many UTF-16 units take the place of that many septets: where 160 septets go, 70 of them do.
fn unicode_max(septets: usize) -> usize {
    septets / 160 * 70 + septets % 160 * 70 / 160
}

/// Cuts a text into pieces of at most `max`, at the last blank or line break in the second half of a piece,
/// else between grapheme clusters.
pub fn split(text: &str, max: usize, unit: Unit) -> Vec<String> {
    let max = max.max(1);
    let mut rest = text.trim();
    // The common case, without a look at clusters.
    if size(rest, max, unit).fits() {
        return if rest.is_empty() { Vec::new() } else { vec![rest.to_string()] };
    }
    let mut pieces = Vec::new();
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
    let mut used = Used::default();
    for (at, cluster) in text.grapheme_indices(true) {
        if !used.takes(cluster, max, unit) {
            if at > 0 {
                return at;
            }
            // A single cluster that is too large is cut between its characters.
            let mut used = Used::default();
            let mut ends = cluster.char_indices().map(|(at, c)| (at, at + c.len_utf8()));
            let end = ends.find(|(at, end)| {
                cluster.get(*at..*end).is_some_and(|c| !used.takes(c, max, unit)) && *at > 0
            });
            return end.map_or(cluster.len(), |(at, _)| at);
        }
    }
    text.len()
}

/// What a growing prefix takes. A prefix of a text that fits fits too, in septets as well: where its units fit, so
/// do at most twice as many septets.
#[derive(Default)]
struct Used {
    count: usize,
    /// In UTF-16, where septets are counted.
    utf16: usize,
    /// Whether septets can't carry it.
    unicode: bool,
}

impl Used {
    /// Adds a piece; says whether all of it fits.
    fn takes(&mut self, piece: &str, max: usize, unit: Unit) -> bool {
        let added = size(piece, max, unit);
        self.count += added.count;
        if unit == Unit::Septets {
            self.unicode |= added.unit == Unit::Utf16;
            self.utf16 += piece.encode_utf16().count();
        }
        if self.unicode { self.utf16 <= unicode_max(max) } else { self.count <= max }
    }
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
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
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
        assert_eq!(split("яя", 1, Unit::Septets), ["я", "я"]);
    }

    #[test]
    fn septets_are_measured_by_what_each_piece_holds() {
        let of = |text: &str| size(text, 160, Unit::Septets);
        assert_eq!(of("5 €"), Size { unit: Unit::Septets, count: 4, max: 160 });
        assert_eq!(of("5 ₽"), Size { unit: Unit::Utf16, count: 3, max: 70 });
        assert_eq!(of("👍"), Size { unit: Unit::Utf16, count: 2, max: 70 });
        assert_eq!(size("я", 153, Unit::Septets).max, 66);
        assert_eq!(size("я", usize::MAX, Unit::Septets).max, usize::MAX / 160 * 70 + 95 * 70 / 160);
        let long = "a".repeat(150);
        assert_eq!(split(&format!("{long} я"), 160, Unit::Septets), [long.as_str(), "я"]);
        let pieces = split(&"€".repeat(81), 160, Unit::Septets);
        assert_eq!(pieces, ["€".repeat(80), "€".to_string()]);
        assert_eq!(split(&"я".repeat(71), 160, Unit::Septets), ["я".repeat(70), "я".to_string()]);
    }

    proptest! {
        #[test]
        fn pieces_fit_and_keep_the_text(
            text in "(\\PC| |\n|é|[a-z€{]{1,9}|👍🏽|e\u{301}|я){0,200}",
            max in 10_usize..60,
        ) {
            for unit in [Unit::Bytes, Unit::Chars, Unit::Utf16, Unit::Septets] {
                let pieces = split(&text, max, unit);
                for piece in &pieces {
                    prop_assert!(size(piece, max, unit).fits(), "{piece:?} in {unit:?}");
                }
                let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
                prop_assert_eq!(bare(&pieces.concat()), bare(&text));
                // Where every cluster fits alone, each is whole in one of the pieces.
                let clusters = |text: &str| {
                    let all = text.graphemes(true).filter(|one| !one.trim().is_empty());
                    all.map(ToString::to_string).collect::<Vec<_>>()
                };
                let whole = |one: &String| size(one, max, unit).fits() && !one.contains(char::is_whitespace);
                if clusters(&text).iter().all(whole) {
                    let of_pieces: Vec<_> = pieces.iter().flat_map(|piece| clusters(piece)).collect();
                    prop_assert_eq!(of_pieces, clusters(text.trim()));
                }
            }
        }
    }
}
