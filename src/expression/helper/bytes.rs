//! Bytes: charsets and encodings.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use encoding_rs::Encoding;

use super::Helper;
use crate::expression::gsm7;
use crate::expression::scope::Failure;
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::fallible(
        "encode text charset",
        (2, 2),
        "The bytes of a text in a charset (utf-8, utf-16be, utf-16le, iso-8859-1, \
         windows-1252, gsm7 with one septet per byte, or any that browsers know); what it can't \
         hold becomes `?`.",
        "{{hex (encode 'é' 'utf-16be')}}",
        "\"00e9\"",
        |a| {
            let Some(text) = a.text(0) else { return Ok(Value::Null) };
            let charset = a.text(1).unwrap_or_default().to_ascii_lowercase();
            Ok(Value::Bytes(encode(&text, &charset)?.into()))
        },
    ),
    Helper::fallible(
        "decode bytes charset",
        (2, 2),
        "The text that bytes hold in a charset (as for `encode`); what is not valid is left out in \
         utf-8, `?` in gsm7 and U+FFFD in others.",
        "{{decode (unhex '74e8') 'iso-8859-1'}}",
        "\"tè\"",
        |a| {
            if matches!(a.get(0), Value::Null) {
                return Ok(Value::Null);
            }
            let charset = a.text(1).unwrap_or_default().to_ascii_lowercase();
            let bytes = a.get(0).to_bytes();
            Ok(Value::from(match charset.as_str() {
                "utf-8" | "utf8" => bytes.utf8_chunks().map(|chunk| chunk.valid()).collect(),
                charset => decode(&bytes, charset)?,
            }))
        },
    ),
    Helper::total(
        "hex bytes",
        (1, 1),
        "Hexadecimal digits in lower case.",
        "{{hex 'AZ'}}",
        "\"415a\"",
        |a| {
            if matches!(a.get(0), Value::Null) { None } else { Some(Value::from(hex(&a.get(0).to_bytes()))) }
        },
    ),
    Helper::total(
        "unhex text",
        (1, 1),
        "The bytes that hexadecimal digits stand for; null if they are none.",
        "{{decode (unhex '415A') 'utf-8'}}",
        "\"AZ\"",
        |a| unhex(&a.text(0)?).map(|bytes| Value::Bytes(bytes.into())),
    ),
    Helper::total("base64 bytes", (1, 1), "Base64 with padding.", "{{base64 'a?>'}}", "\"YT8+\"", |a| {
        if matches!(a.get(0), Value::Null) {
            None
        } else {
            Some(Value::from(STANDARD.encode(a.get(0).to_bytes())))
        }
    }),
    Helper::total(
        "unbase64 text",
        (1, 1),
        "The bytes that Base64 stands for, in either alphabet, with or without padding; null \
         if it is none.",
        "{{decode (unbase64 'YT8-') 'utf-8'}}",
        "\"a?>\"",
        |a| unbase64(&a.text(0)?).map(|bytes| Value::Bytes(bytes.into())),
    ),
    Helper::total(
        "base64url bytes",
        (1, 1),
        "Base64 in the alphabet for URLs, without padding.",
        "{{base64url 'a?>'}}",
        "\"YT8-\"",
        |a| {
            if matches!(a.get(0), Value::Null) {
                None
            } else {
                Some(Value::from(URL_SAFE_NO_PAD.encode(a.get(0).to_bytes())))
            }
        },
    ),
    Helper::total(
        "maybe_base64 text",
        (1, 1),
        "The text that Base64 of at least 60 digits stands for, if at least half of that is ASCII; \
         any other text as it is.",
        "{{maybe_base64 'aGVsbG8='}}",
        "\"aGVsbG8=\"",
        |a| {
            let text = a.text(0)?;
            Some(readable(&text).map_or(Value::Text(text), Value::from))
        },
    ),
];

/// A text that is Base64 of something readable, told from one that only looks like it by its length and by what
/// it stands for.
fn readable(text: &str) -> Option<String> {
    const SHORTEST: usize = 60;
    let joined = text.replace(['\r', '\n'], "");
    if joined.len() < SHORTEST || !joined.len().is_multiple_of(4) {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(&joined).ok()?).ok()?;
    let ascii = text.chars().filter(char::is_ascii).count();
    (ascii * 2 >= text.chars().count()).then_some(text)
}

/// Hexadecimal digits in lower case.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes that hexadecimal digits stand for.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .trim()
        .chars()
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    Some(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// The bytes that Base64 in either alphabet stands for.
pub(crate) fn unbase64(text: &str) -> Option<Vec<u8>> {
    let standard = text.trim().trim_end_matches('=').replace('-', "+").replace('_', "/");
    STANDARD_NO_PAD.decode(standard).ok()
}

fn encode(text: &str, charset: &str) -> Result<Vec<u8>, Failure> {
    Ok(match charset {
        "utf-16be" => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        "utf-16le" => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        "gsm7" => gsm7::encode(text),
        // The WHATWG names make Latin-1 an alias of windows-1252, which differs in 27 places.
        "iso-8859-1" | "latin1" => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
        other => {
            let encoding = find(other)?;
            let mut bytes = Vec::with_capacity(text.len());
            let mut buffer = [0; 4];
            for c in text.chars() {
                let (encoded, _, unmappable) = encoding.encode(c.encode_utf8(&mut buffer));
                if unmappable { bytes.push(b'?') } else { bytes.extend_from_slice(&encoded) }
            }
            bytes
        }
    })
}

/// The text that bytes hold in a charset, whose name is in lower case.
pub(crate) fn decode(bytes: &[u8], charset: &str) -> Result<String, Failure> {
    Ok(match charset {
        "gsm7" => gsm7::decode(bytes),
        "iso-8859-1" | "latin1" => bytes.iter().map(|byte| char::from(*byte)).collect(),
        other => find(other)?.decode_without_bom_handling(bytes).0.into_owned(),
    })
}

fn find(charset: &str) -> Result<&'static Encoding, Failure> {
    Encoding::for_label(charset.as_bytes()).ok_or_else(|| Failure(format!("there is no charset `{charset}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_told_from_text() {
        let long = "The quick brown fox jumps over the lazy dog, é included.";
        let encoded = STANDARD.encode(long);
        assert_eq!(readable(&encoded).as_deref(), Some(long));
        let (first, second) = encoded.split_at(30);
        assert_eq!(readable(&format!("{first}\r\n{second}\n")).as_deref(), Some(long));
        for text in [
            long.to_string(),
            STANDARD.encode("short"),
            STANDARD.encode("日本語".repeat(9)),
            STANDARD.encode([0xff; 60]),
            "a".repeat(64).replace("aaaa", "a-_a"),
        ] {
            assert_eq!(readable(&text), None, "{text}");
        }
    }
}
