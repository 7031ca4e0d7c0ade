//! Text.

use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use smol_str::SmolStr;

use super::{Helper, MANY, Prepared, prepare_regex};
use crate::expression::value::{Map, Value};

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "coalesce a ..",
        (1, MANY),
        "The first argument that is not null, empty text, an empty list or an empty map.",
        "{{coalesce null '' 'x'}}",
        "\"x\"",
        |a| a.positional.iter().find(|value| !value.is_empty()).cloned(),
    ),
    Helper::total(
        "concat a ..",
        (1, MANY),
        "All arguments as one text; null counts as nothing.",
        "{{concat 'a' 1 null 'b'}}",
        "\"a1b\"",
        |a| Some(Value::from(a.flat(0).iter().map(|value| value.to_text().to_string()).collect::<String>())),
    ),
    Helper::total(
        "join separator a ..",
        (1, MANY),
        "All arguments as one text with a separator between them; lists are taken apart, \
         what is empty is skipped.",
        "{{join ', ' it.list '' 'q'}}",
        "\"x, y, z, q\"",
        |a| {
            let separator = a.text(0)?;
            let parts: Vec<_> =
                a.flat(1).iter().filter(|value| !value.is_empty()).map(Value::to_text).collect();
            Some(Value::from(parts.join(&separator)))
        },
    ),
    Helper::total(
        "wrap text before after",
        (3, 3),
        "The text with one text before and one behind it; null if the text is empty.",
        "{{wrap 'x' '(' ')'}}",
        "\"(x)\"",
        |a| {
            let text = a.text(0).filter(|text| !text.is_empty())?;
            Some(Value::from(format!(
                "{}{text}{}",
                a.text(1).unwrap_or_default(),
                a.text(2).unwrap_or_default()
            )))
        },
    ),
    Helper::total(
        "describe kind detail ..",
        (1, MANY),
        "What the platform has no kind for, as a text that a person understands: the kind in brackets, then \
         whatever is known of it; lists are taken apart, what is empty is skipped. Kinds are plain words: photo, video, \
         voice message, document, sticker, contact, reaction, poll, edited, deleted, unsupported.",
        "{{describe 'contact' 'Ada' null it.list}}",
        "\"[contact] Ada x y z\"",
        |a| {
            let kind = a.text(0).filter(|kind| !kind.is_empty());
            let details = a.flat(1);
            let details = details.iter().filter(|value| !value.is_empty()).map(Value::to_text);
            let parts: Vec<_> =
                kind.map(|kind| SmolStr::from(format!("[{kind}]"))).into_iter().chain(details).collect();
            Some(Value::from(parts.join(" ")))
        },
    ),
    Helper::total(
        "split text separator",
        (2, 2),
        "The pieces of a text between separators.",
        "{{split 'a,b' ','}}",
        r#"["a","b"]"#,
        |a| {
            let (text, separator) = (a.text(0)?, a.text(1)?);
            if separator.is_empty() {
                return Some(Value::list(text.chars().map(|c| Value::from(c.to_string())).collect()));
            }
            Some(Value::list(text.split(separator.as_str()).map(Value::text).collect()))
        },
    ),
    Helper::total(
        "split_first text separator",
        (2, 2),
        "What stands before the first separator; the whole text where there is none.",
        "{{split_first 'image/png' '/'}}",
        "\"image\"",
        |a| {
            let (text, separator) = (a.text(0)?, a.text(1)?);
            Some(Value::text(text.split_once(separator.as_str()).map_or(text.as_str(), |(first, _)| first)))
        },
    ),
    Helper::total(
        "strip_prefix text prefix ..",
        (2, MANY),
        "The text without each of the prefixes in turn, where it starts with it.",
        "{{strip_prefix 'sip:+44' 'sip:' '+'}}",
        "\"44\"",
        |a| {
            let text = a.text(0)?;
            let rest = a.flat(1).iter().fold(text.as_str(), |rest, prefix| {
                rest.strip_prefix(prefix.to_text().as_str()).unwrap_or(rest)
            });
            Some(Value::text(rest))
        },
    ),
    Helper::total(
        "strip_plus text",
        (1, 1),
        "The text without a leading `+`.",
        "{{strip_plus '+4479'}}",
        "\"4479\"",
        |a| {
            let text = a.text(0)?;
            Some(Value::text(text.strip_prefix('+').unwrap_or(&text)))
        },
    ),
    Helper::total("left text n", (2, 2), "The first n characters.", "{{left 'héllo' 2}}", "\"hé\"", |a| {
        let n = a.size(1)?;
        Some(Value::from(a.text(0)?.chars().take(n).collect::<String>()))
    }),
    Helper::total(
        "ellipsis text n",
        (2, 2),
        "At most n characters; the last of them is `…` where the text was longer.",
        "{{ellipsis 'abcdef' 4}}",
        "\"abc…\"",
        |a| {
            let (text, n) = (a.text(0)?, a.size(1)?);
            if text.chars().count() <= n {
                return Some(Value::Text(text));
            }
            let mut cut: String = text.chars().take(n.saturating_sub(1)).collect();
            if n > 0 {
                cut.push('…');
            }
            Some(Value::from(cut))
        },
    ),
    Helper::total("lower text", (1, 1), "In lower case.", "{{lower 'ÀB'}}", "\"àb\"", |a| {
        Some(Value::from(a.text(0)?.to_lowercase()))
    }),
    Helper::total("upper text", (1, 1), "In upper case.", "{{upper 'àb'}}", "\"ÀB\"", |a| {
        Some(Value::from(a.text(0)?.to_uppercase()))
    }),
    Helper::total("trim text", (1, 1), "Without blanks at its ends.", "{{trim ' a b '}}", "\"a b\"", |a| {
        Some(Value::text(a.text(0)?.trim()))
    }),
    Helper::total(
        "replace text from to",
        (3, 3),
        "With every occurrence of one text replaced by another.",
        "{{replace 'a-b-c' '-' '+'}}",
        "\"a+b+c\"",
        |a| {
            let (text, from, to) = (a.text(0)?, a.text(1)?, a.text(2).unwrap_or_default());
            if from.is_empty() {
                Some(Value::Text(text))
            } else {
                Some(Value::from(text.replace(from.as_str(), &to)))
            }
        },
    ),
    Helper::total(
        "contains text part",
        (2, 2),
        "Whether a text holds another, or a list an item.",
        "{{contains 'a://b' '://'}}",
        "true",
        |a| {
            let part = a.text(1).unwrap_or_default();
            Some(match a.get(0) {
                Value::List(items) => items.iter().any(|item| item.to_text() == part).into(),
                other => other.to_text().contains(part.as_str()).into(),
            })
        },
    ),
    Helper::total(
        "includes words value",
        (2, 2),
        "Whether the value is one of the words, which blanks separate.",
        "{{includes 'video audio' 'audio'}}",
        "true",
        |a| {
            let (words, value) = (a.text(0).unwrap_or_default(), a.text(1).unwrap_or_default());
            Some(words.split_whitespace().any(|word| word == value).into())
        },
    ),
    Helper::total(
        "basename url",
        (1, 1),
        "The last segment of a URL's path, decoded.",
        "{{basename 'https://x.io/a/b%20c.pdf?d=1'}}",
        "\"b c.pdf\"",
        |a| {
            let url = a.text(0)?;
            let path = url.split(['?', '#']).next().unwrap_or_default();
            let path = path
                .split_once("://")
                .map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
            let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            Some(Value::from(percent_decode_str(last).decode_utf8_lossy().into_owned()))
        },
    ),
    Helper::total(
        "host url",
        (1, 1),
        "The host of a URL.",
        "{{host 'https://api.x.io:8443/a'}}",
        "\"api.x.io\"",
        |a| url::Url::parse(&a.text(0)?).ok()?.host_str().map(Value::text),
    ),
    Helper::total(
        "is_url text",
        (1, 1),
        "Whether the text holds an http or https URL whose host has a dot.",
        "{{is_url 'see https://x.io/a'}}",
        "true",
        |a| {
            let text = a.text(0).unwrap_or_default();
            let found = text.split_whitespace().any(|word| {
                let rest = word.split_once("https://").or_else(|| word.split_once("http://"));
                rest.is_some_and(|(_, rest)| {
                    rest.split(['/', '?', ':'])
                        .next()
                        .is_some_and(|host| host.trim_matches('.').contains('.'))
                })
            });
            Some(found.into())
        },
    ),
    Helper::total(
        "url_encode text",
        (1, 1),
        "Percent-encoded, so that it is one value of a URL.",
        "{{url_encode 'a b&c'}}",
        "\"a%20b%26c\"",
        |a| match a.get(0) {
            Value::Null => None,
            Value::Bytes(bytes) => {
                Some(Value::from(percent_encoding::percent_encode(bytes, UNRESERVED).to_string()))
            }
            other => Some(Value::from(utf8_percent_encode(&other.to_text(), UNRESERVED).to_string())),
        },
    ),
    Helper::total(
        "url_decode text",
        (1, 1),
        "Percent-decoded; gives bytes, since it may be of any charset.",
        "{{decode (url_decode 'a%20b') 'utf-8'}}",
        "\"a b\"",
        |a| Some(Value::Bytes(percent_decode_str(&a.text(0)?).collect::<Vec<u8>>().into())),
    ),
    Helper::total(
        "re_test text pattern",
        (2, 2),
        "Whether the regular expression matches somewhere in the text.",
        "{{re_test 'US.123' '^[A-Z]{2}[.]'}}",
        "true",
        |a| {
            let Prepared::Regex(regex) = a.prepared else { return None };
            Some(regex.is_match(&a.text(0).unwrap_or_default()).into())
        },
    )
    .prepare(prepare_regex),
    Helper::total(
        "re_group text pattern n",
        (2, 3),
        "What group n of the regular expression matched (1 unless given); null where it did \
         not match.",
        "{{re_group 'id=42;' 'id=([0-9]+)' 1}}",
        "\"42\"",
        |a| {
            let Prepared::Regex(regex) = a.prepared else { return None };
            let text = a.text(0)?;
            let group = regex.captures(&text)?.get(a.size(2).unwrap_or(1))?;
            Some(Value::text(group.as_str()))
        },
    )
    .prepare(prepare_regex),
    Helper::total(
        "html_escape text",
        (1, 1),
        "With `& < > \" '` written as HTML entities.",
        "{{html_escape 'a<b'}}",
        "\"a&lt;b\"",
        |a| Some(Value::from(escape_html(&a.text(0)?))),
    ),
    Helper::total(
        "json value",
        (1, 1),
        "As compact JSON text.",
        "{{json it.list}}",
        r#""[\"x\",\"y\",\"z\"]""#,
        |a| a.get(0).to_json().map(Value::from),
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
    Helper::total("str value", (1, 1), "As text.", "{{str 12}}", "\"12\"", |a| a.text(0).map(Value::Text)),
    Helper::total(
        "int value",
        (1, 1),
        "As a whole number; null where it is none.",
        "{{int ' 12 '}}",
        "12",
        |a| a.get(0).to_int().map(Value::Int),
    ),
    Helper::total(
        "fixed number n",
        (2, 2),
        "As text with n decimal places (at most 20).",
        "{{fixed 3.14159 2}}",
        "\"3.14\"",
        |a| {
            let (number, places) = (a.get(0).to_number()?, a.size(1)?.min(20));
            let mut text = String::new();
            write!(text, "{number:.places$}").ok()?;
            Some(Value::from(text))
        },
    ),
];

fn escape_html(text: &str) -> String {
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

/// The same helper for other families' use.
pub(super) fn query_encode(value: &str) -> String {
    utf8_percent_encode(value, UNRESERVED).to_string()
}
