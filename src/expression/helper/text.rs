//! Text.

use std::fmt::Write as _;

use smol_str::SmolStr;

use super::{Helper, MANY, Prepared, prepare_regex};
use crate::expression::value::Value;

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
        "strip_prefix_any text list fold=",
        (2, 2),
        "The text without the first of the listed prefixes that it starts with, trimmed; with \
         `fold=true` upper and lower case are the same.",
        "{{strip_prefix_any 'STOP now' (split 'start,stop' ',') fold=true}}",
        "\"now\"",
        |a| {
            let (text, fold) = (a.text(0)?, a.named("fold").is_truthy());
            let prefixes: Vec<SmolStr> = a.flat(1).iter().map(Value::to_text).collect();
            let rest = prefixes.iter().find_map(|prefix| without_prefix(&text, prefix, fold));
            Some(Value::text(rest.unwrap_or(&text).trim()))
        },
    )
    .named(&["fold"]),
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
            let part = a.text(1)?;
            Some(match a.get(0) {
                Value::Null => return None,
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
            let (words, value) = (a.text(0)?, a.text(1)?);
            Some(words.split_whitespace().any(|word| word == value).into())
        },
    ),
    Helper::total(
        "re_test text pattern",
        (2, 2),
        "Whether the regular expression matches somewhere in the text.",
        "{{re_test 'US.123' '^[A-Z]{2}[.]'}}",
        "true",
        |a| {
            let Prepared::Regex(regex) = a.prepared else { return None };
            Some(regex.is_match(&a.text(0)?).into())
        },
    )
    .prepare(prepare_regex::<1>),
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
    .prepare(prepare_regex::<1>),
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

/// What follows a prefix that the text starts with; an empty prefix is none.
fn without_prefix<'t>(text: &'t str, prefix: &str, fold: bool) -> Option<&'t str> {
    if prefix.is_empty() {
        return None;
    }
    if !fold {
        return text.strip_prefix(prefix);
    }
    // Cases may differ in length, so the text is walked along with the prefix in lower case.
    let wanted = prefix.to_lowercase();
    let mut wanted = wanted.as_str();
    for (at, c) in text.char_indices() {
        if wanted.is_empty() {
            return text.get(at..);
        }
        for folded in c.to_lowercase() {
            wanted = wanted.strip_prefix(folded)?;
        }
    }
    wanted.is_empty().then_some("")
}
