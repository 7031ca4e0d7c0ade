//! Text in formats of others: escaped, and taken apart.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use quick_xml::escape::resolve_html5_entity;
use smol_str::SmolStr;

use super::Helper;
use crate::expression::value::{Map, Value};

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "url_encode text",
        (1, 1),
        "Percent-encoded, so that it is one value of a URL.",
        "{{url_encode 'a b&c'}}",
        "\"a%20b%26c\"",
        |a| (!matches!(a.get(0), Value::Null)).then(|| Value::from(query(&a.get(0).to_bytes()))),
    ),
    Helper::total(
        "url_decode text",
        (1, 1),
        "Percent-decoded; gives bytes, since it may be of any charset.",
        "{{decode (url_decode 'a%20b') 'utf-8'}}",
        "\"a b\"",
        |a| {
            let encoded = Some(a.get(0)).filter(|value| !matches!(value, Value::Null))?.to_bytes();
            Some(Value::Bytes(percent_decode(&encoded).collect::<Vec<u8>>().into()))
        },
    ),
    Helper::total(
        "html_escape text",
        (1, 1),
        "With `& < > \" '` written as HTML entities.",
        "{{html_escape 'a<b'}}",
        "\"a&lt;b\"",
        |a| Some(Value::from(html(&a.text(0)?))),
    ),
    Helper::total(
        "html_unescape text",
        (1, 1),
        "With HTML entities, named and numbered, as the characters that they stand for; what \
         is no entity stays.",
        "{{html_unescape 'a &lt; b &amp; caf&eacute; &#x263A;'}}",
        "\"a < b & café ☺\"",
        |a| Some(Value::from(unescape_html(&a.text(0)?))),
    ),
    Helper::total(
        "xml_escape text",
        (1, 1),
        "With `& < > \" '` written as XML entities, without characters that XML has no place for.",
        "{{xml_escape 'a<b'}}",
        "\"a&lt;b\"",
        |a| Some(Value::from(xml(&a.text(0)?))),
    ),
    Helper::total(
        "json value",
        (1, 1),
        "As compact JSON text; null if it holds bytes.",
        "{{json it.list}}",
        r#""[\"x\",\"y\",\"z\"]""#,
        |a| if matches!(a.get(0), Value::Null) { None } else { a.get(0).to_json().map(Value::from) },
    ),
    Helper::total(
        "parse_json text only=",
        (1, 1),
        "What a JSON text says; null if it is not JSON, or not of the kind that `only` names \
         (object, array).",
        "{{get (parse_json '{\"a\":1}' only='object') 'a'}}",
        "1",
        |a| {
            let value = Value::from_json(&a.get(0).to_bytes()).ok()?;
            match (a.named("only").as_text(), &value) {
                (Some("object"), Value::Map(_)) | (Some("array"), Value::List(_)) | (None, _) => Some(value),
                _ => None,
            }
        },
    )
    .named(&["only"]),
    Helper::total(
        "parse_pairs text separator equals",
        (3, 3),
        "The map that a text like `t=1,s=2` holds; blanks are trimmed, of a repeated name \
         the first counts.",
        "{{get (parse_pairs 't=1, s=2' ',' '=') 's'}}",
        "\"2\"",
        |a| {
            let (text, separator, equals) = (a.text(0)?, a.text(1)?, a.text(2)?);
            let pairs = text.split(separator.as_str()).filter_map(|pair| pair.split_once(equals.as_str()));
            let pairs = pairs.map(|(name, value)| (SmolStr::new(name.trim()), Value::text(value.trim())));
            Some(Value::Map(Map::of_first(pairs).into()))
        },
    ),
    Helper::total(
        "parse_query text",
        (1, 1),
        "The map that a query string or form holds; of a repeated name the first counts.",
        "{{get (parse_query 'a=1&b=x+y') 'b'}}",
        "\"x y\"",
        |a| {
            let text = a.text(0)?;
            let pairs = url::form_urlencoded::parse(text.as_bytes());
            let pairs = pairs.map(|(name, value)| (SmolStr::new(name), Value::text(value)));
            Some(Value::Map(Map::of_first(pairs).into()))
        },
    ),
];

/// Text for HTML, between tags or in an attribute.
pub(in crate::expression) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Text for XML 1.0, between tags or in an attribute.
pub(in crate::expression) fn xml(text: &str) -> String {
    let fits = |c: char| !c.is_control() || matches!(c, '\t' | '\n' | '\r' | '\u{7f}'..='\u{9f}');
    let fits = |c: &char| fits(*c) && !matches!(c, '\u{fffe}' | '\u{ffff}');
    html(&text.chars().filter(fits).collect::<String>())
}

/// One value of a URL's query, percent-encoded.
pub(in crate::expression) fn query(value: &[u8]) -> String {
    percent_encode(value, UNRESERVED).to_string()
}

/// The longest name of an entity is shorter than this, in bytes.
const LONGEST_ENTITY: usize = 40;

fn unescape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, entity)) = rest.split_once('&') {
        out.push_str(before);
        let end = entity.bytes().take(LONGEST_ENTITY).position(|byte| byte == b';');
        let name = end.and_then(|end| entity.get(..end));
        let number = name.and_then(|name| name.strip_prefix('#')).and_then(|digits| {
            let code = match digits.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            code.ok().and_then(char::from_u32)
        });
        match (name, number, name.and_then(resolve_html5_entity)) {
            (Some(name), Some(c), _) => {
                out.push(c);
                rest = entity.get(name.len() + 1..).unwrap_or_default();
            }
            (Some(name), None, Some(meant)) => {
                out.push_str(meant);
                rest = entity.get(name.len() + 1..).unwrap_or_default();
            }
            _ => {
                out.push('&');
                rest = entity;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_entity_stays() {
        for (text, plain) in [
            ("AT&T &unknown; &amp", "AT&T &unknown; &amp"),
            ("&#65;&#x42;&#X43;", "ABC"),
            ("&#xd800; &#; &;", "&#xd800; &#; &;"),
            ("&amp;lt;", "&lt;"),
            ("&é; &nbsp;é", "&é; \u{a0}é"),
        ] {
            assert_eq!(unescape_html(text), plain);
            assert_eq!(unescape_html(&html(text)), text);
        }
    }

    #[test]
    fn xml_never_holds_what_it_must_not() {
        assert_eq!(xml("a\u{0}b\u{1b}\u{ffff}\n\u{85}<'\">"), "ab\n\u{85}&lt;&#39;&quot;&gt;");
    }
}
