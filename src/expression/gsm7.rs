//! The GSM 7-bit alphabet (3GPP TS 23.038, basic table and extension table): what fits it, how large that is,
//! and how it is written with one septet per byte.
//!
//! Invariants: what fits survives [`encode`] and [`decode`] unchanged; [`substitute`] never makes a text that
//! fits into one that does not.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

/// The basic table by septet, in rows of sixteen. 0x1B is the escape to the extension table and stands for no
/// character; its place holds U+FFFF, which is none either.
const BASIC: &str = concat!(
    "@£$¥èéùìòÇ\nØø\rÅå",
    "Δ_ΦΓΛΩΠΨΣΘΞ\u{ffff}ÆæßÉ",
    " !\"#¤%&'()*+,-./",
    "0123456789:;<=>?",
    "¡ABCDEFGHIJKLMNO",
    "PQRSTUVWXYZÄÖÑÜ§",
    "¿abcdefghijklmno",
    "pqrstuvwxyzäöñüà",
);
/// The extension table: what follows the escape.
const EXTENSION: &[(u8, char)] = &[
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x65, '€'),
];
const ESCAPE: u8 = 0x1b;
/// What stands for a character that the alphabet has not.
const UNKNOWN: u8 = b'?';

/// How many septets a character takes, 1 or 2; none where the alphabet has not got it.
pub(crate) fn septets(c: char) -> Option<usize> {
    match c {
        // These stand at the same place in both alphabets.
        ' '..='#' | '%'..='?' | 'A'..='Z' | 'a'..='z' => Some(1),
        '\u{ffff}' => None,
        c if BASIC.contains(c) => Some(1),
        c => EXTENSION.iter().any(|(_, extended)| *extended == c).then_some(2),
    }
}

/// How many septets a text takes; none where the alphabet lacks one of its characters.
pub(crate) fn length(text: &str) -> Option<usize> {
    text.chars().map(septets).sum()
}

/// One septet per byte; a character that the alphabet has not becomes `?`.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for c in text.chars() {
        let basic = BASIC.chars().position(|basic| basic == c && c != '\u{ffff}');
        let extended = EXTENSION.iter().find(|(_, extended)| *extended == c);
        match (basic.and_then(|at| u8::try_from(at).ok()), extended) {
            (Some(septet), _) => bytes.push(septet),
            (None, Some((septet, _))) => bytes.extend([ESCAPE, *septet]),
            (None, None) => bytes.push(UNKNOWN),
        }
    }
    bytes
}

/// The text of bytes that hold one septet each. Behind an escape, a septet that the extension table has not is
/// read by the basic table, as the standard wants; a byte that is no septet becomes `?`.
pub(crate) fn decode(bytes: &[u8]) -> String {
    let basic: Vec<char> = BASIC.chars().collect();
    let mut text = String::with_capacity(bytes.len());
    let mut escaped = false;
    for byte in bytes {
        if *byte == ESCAPE {
            escaped = true;
            continue;
        }
        let extended = EXTENSION.iter().find(|(septet, _)| escaped && septet == byte).map(|(_, c)| *c);
        text.push(extended.or_else(|| basic.get(usize::from(*byte)).copied()).unwrap_or(char::from(UNKNOWN)));
        escaped = false;
    }
    text
}

/// The text with characters that the alphabet lacks written with those that it has, where that changes nothing
/// but their looks: typographic quotes, dashes, blanks and the ellipsis, and letters with marks, which become the
/// letter alone. All else stays.
pub(crate) fn substitute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for cluster in text.graphemes(true) {
        if length(cluster).is_some() {
            out.push_str(cluster);
        } else {
            substitute_one(cluster, &mut out);
        }
    }
    out
}

/// Puts what a reader sees as one character; a mark may be part of its letter or follow it.
fn substitute_one(cluster: &str, out: &mut String) {
    let composed: String = cluster.nfc().collect();
    if length(&composed).is_some() {
        out.push_str(&composed);
        return;
    }
    let mut decomposed = cluster.nfd();
    let base = decomposed.next().filter(|c| septets(*c).is_some());
    match base {
        Some(base) if base.is_alphabetic() && decomposed.all(is_combining_mark) => out.push(base),
        _ => cluster.chars().for_each(|c| match plain(c) {
            Some(plain) => out.push_str(plain),
            None => out.push(c),
        }),
    }
}

/// The ASCII that a typographic character stands for.
fn plain(c: char) -> Option<&'static str> {
    Some(match c {
        '‘' | '’' | '‚' | '‛' | '′' | '‹' | '›' | '´' | '`' => "'",
        '“' | '”' | '„' | '‟' | '″' | '«' | '»' => "\"",
        // Hyphens, the dashes from figure dash to horizontal bar, and minus.
        '\u{2010}'..='\u{2015}' | '−' => "-",
        // Every blank that separates words but U+0020.
        '\t' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => " ",
        '…' => "...",
        _ => return None,
    })
}

/// How many messages a text takes: 160 septets in one or 153 in each of several, or 70 and 67 UTF-16 units where
/// the alphabet does not do. Neither an escape nor a surrogate pair is torn apart.
pub(crate) fn segments(text: &str) -> usize {
    let (single, each, sizes): (_, _, Vec<usize>) = match text.chars().map(septets).collect() {
        Some(sizes) => (160, 153, sizes),
        None => (70, 67, text.chars().map(char::len_utf16).collect()),
    };
    if sizes.iter().sum::<usize>() <= single {
        return usize::from(!sizes.is_empty());
    }
    let (count, _) = sizes.into_iter().fold((1, 0), |(count, used), size| {
        if used + size > each { (count + 1, size) } else { (count, used + size) }
    });
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_basic_table_has_every_septet_once() {
        let characters: Vec<char> = BASIC.chars().collect();
        assert_eq!(characters.len(), 128);
        let mut distinct = characters.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 128);
        for (septet, c) in
            [(0x00, '@'), (0x09, 'Ç'), (0x10, 'Δ'), (0x1f, 'É'), (0x40, '¡'), (0x5f, '§'), (0x7f, 'à')]
        {
            assert_eq!(characters[septet], c);
        }
        for byte in (0x20..0x7f_u8).filter(|byte| char::from(*byte).is_ascii_alphanumeric()) {
            assert_eq!(encode(&char::from(byte).to_string()), [byte]);
        }
    }

    #[test]
    fn every_septet_survives_the_round_trip() {
        for c in BASIC.chars().filter(|c| *c != '\u{ffff}').chain(EXTENSION.iter().map(|(_, c)| *c)) {
            let text = c.to_string();
            assert_eq!(decode(&encode(&text)), text);
            assert_eq!(length(&text), Some(encode(&text).len()), "{c}");
        }
        assert_eq!(encode("é€{x}"), [0x05, 0x1b, 0x65, 0x1b, 0x28, b'x', 0x1b, 0x29]);
        assert_eq!(encode("日\u{ffff}"), *b"??");
        assert_eq!(decode(&[0x1b, 0x41, 0xff, 0x1b]), "A?");
    }

    #[test]
    fn substitution_keeps_what_the_alphabet_has() {
        for (text, made) in [
            ("“Tschüß” – d’accord…", "\"Tschüß\" - d'accord..."),
            ("a\u{a0}b\tc", "a b c"),
            ("çãáêőżế", "caaeoze"),
            ("e\u{301}e\u{302}n\u{303}", "éeñ"),
            ("Ελ Ώ", "Ελ Ω"),
            ("й日本 क़ 👍🏽 ł", "й日本 क़ 👍🏽 ł"),
        ] {
            assert_eq!(substitute(text), made);
        }
    }

    #[test]
    fn segments_are_counted_as_phones_do() {
        for (text, count) in [
            (String::new(), 0),
            ("a".repeat(160), 1),
            ("a".repeat(161), 2),
            ("a".repeat(306), 2),
            ("a".repeat(307), 3),
            ("€".repeat(80), 1),
            // 152 septets are used when an escape would be torn, so each message holds 76 of them.
            ("€".repeat(153), 3),
            ("я".repeat(70), 1),
            ("я".repeat(71), 2),
            ("я".repeat(134), 2),
            ("👍".repeat(35), 1),
            ("👍".repeat(67), 3),
        ] {
            assert_eq!(segments(&text), count, "{} of {:?}", text.chars().count(), text.chars().next());
        }
    }

    proptest! {
        #[test]
        fn substitution_only_helps(text in "(\\PC|[a-zà-ž]|[\u{300}-\u{310}]|[‘-‟]){0,40}") {
            let made = substitute(&text);
            if length(&text).is_some() {
                prop_assert_eq!(&made, &text);
            }
            let lost = |text: &str| text.chars().filter(|c| septets(*c).is_none()).count();
            prop_assert!(lost(&made) <= lost(&text));
            prop_assert_eq!(substitute(&made), made);
        }
    }
}
