//! What makes a request hostile. Every kind is seeded, so that a failure can be repeated.

use serde_json::{Map, Value, json};

/// A seeded generator: `SplitMix64`.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % end.max(1) as u64).unwrap()
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}

/// What is wrong with a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    WrongType,
    Missing,
    Nesting,
    HugeText,
    InvalidUtf8,
    HugeNumber,
    OddText,
    OddBytes,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::WrongType,
        Self::Missing,
        Self::Nesting,
        Self::HugeText,
        Self::InvalidUtf8,
        Self::HugeNumber,
        Self::OddText,
        Self::OddBytes,
    ];

    /// That of the payload with this number: each has the same share.
    pub fn of(number: u64) -> Self {
        Self::ALL[usize::try_from(number).unwrap() % Self::ALL.len()]
    }
}

/// Stands in a tree for digits that no type of number holds.
const DIGITS: &str = "@DIGITS@";
/// Stands in a tree for bytes that are no text.
const BYTES: &str = "@BYTES@";

/// A value of that kind, in place of another.
fn value(kind: Kind, dice: &mut Dice, old: &Value) -> Value {
    match (kind, dice.below(8)) {
        (Kind::WrongType | Kind::Missing | Kind::OddBytes, roll) => match roll {
            0 => Value::Null,
            1 => Value::Bool(dice.one_in(2)),
            2 => json!(-1),
            3 => Value::Array(vec![]),
            4 => Value::Object(Map::new()),
            5 => Value::Array(vec![old.clone(); 40]),
            6 => old.to_string().into(),
            _ => json!({"id": old, "$ref": "#", "": {}, "__proto__": null}),
        },
        (Kind::Nesting, roll) => (0..100).fold(old.clone(), |inner, depth| match (roll + depth) % 3 {
            0 => json!({"a": inner}),
            _ => Value::Array(vec![inner]),
        }),
        (Kind::HugeText, roll) => match roll {
            0 => "x".repeat(if dice.one_in(8) { 100_000 } else { 10_000 }).into(),
            1 => "é".repeat(7001).into(),
            2 => "👩‍👩‍👧‍👦".repeat(200).into(),
            3 => "a b\n".repeat(1000).into(),
            4 => format!("https://x.io/{}", "a/".repeat(1500)).into(),
            5 => "7".repeat(5000).into(),
            6 => format!("<{}>", "b".repeat(3000)).into(),
            _ => "x".repeat(51 + dice.below(7000)).into(),
        },
        (Kind::InvalidUtf8, roll) => match roll {
            0 => BYTES.into(),
            1 => format!("{}{BYTES}", old.as_str().unwrap_or("a")).into(),
            _ => format!("a{BYTES}b").into(),
        },
        (Kind::HugeNumber, roll) => match roll {
            0 => json!(i64::MIN),
            1 => json!(u64::MAX),
            2 => json!(1e308),
            3 => json!(-0.000_000_1),
            4 => json!(i64::MAX / 1000),
            5 => "-9223372036854775809".into(),
            _ => DIGITS.into(),
        },
        (Kind::OddText, roll) => match roll {
            0 => "".into(),
            1 => " \t\r\n ".into(),
            2 => "\u{0}\u{7}\u{202e}👩‍👩‍👧‍👦\u{feff}\r\n{{it}} $.a <b>&amp;".into(),
            3 => "javascript:alert(1)//../%00\\".into(),
            4 => "\r\nx-injected: 1\r\n\r\n".into(),
            5 => "../../etc/passwd?a=1&b=2#c".into(),
            6 => "http://".into(),
            _ => "+00 (0) 1-2;DROP|$(x)`x`".into(),
        },
    }
}

/// A value of that kind as text: what stands in forms, XML, queries and headers.
pub fn text(kind: Kind, dice: &mut Dice, old: &str) -> Vec<u8> {
    let value = value(kind, dice, &old.into());
    let text = value.as_str().map_or_else(|| value.to_string(), ToString::to_string);
    with_bytes(&text.replace(DIGITS, &"9".repeat(400)), dice)
}

/// With bytes that are no text where they are to stand.
fn with_bytes(text: &str, dice: &mut Dice) -> Vec<u8> {
    const BAD: [&[u8]; 4] = [b"\xff\xfe", b"\xc3\x28", b"\xc0\xaf", b"\xed\xa0\x80"];
    let mut pieces = text.split(BYTES).map(str::as_bytes);
    let mut out = pieces.next().unwrap_or_default().to_vec();
    for piece in pieces {
        out.extend_from_slice(BAD[dice.below(BAD.len())]);
        out.extend_from_slice(piece);
    }
    out
}

/// A body in which something is wrong; it stays one of its format as far as its kind allows.
pub fn body(kind: Kind, dice: &mut Dice, body: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(body);
    let start = text.trim_start();
    if kind == Kind::OddBytes {
        odd_bytes(dice, body)
    } else if kind == Kind::Nesting && dice.one_in(4) {
        match dice.below(3) {
            0 => [b"[".repeat(10_000), b"]".repeat(10_000)].concat(),
            1 => b"{\"a\":".repeat(5000),
            _ => b"<a><![CDATA[".repeat(2000),
        }
    } else if let Ok(json) = serde_json::from_slice::<Value>(body) {
        json_text(kind, dice, json)
    } else if start.starts_with('<') {
        xml(kind, dice, &text)
    } else if start.starts_with("--") {
        multipart(kind, dice, body)
    } else if text.contains('=') {
        pairs(kind, dice, &text).into_bytes()
    } else {
        odd_bytes(dice, body)
    }
}

fn json_text(kind: Kind, dice: &mut Dice, mut json: Value) -> Vec<u8> {
    // More than one mistake hides what a single one does.
    let mistakes = if dice.one_in(2) { 1 } else { 2 + dice.below(2) };
    for _ in 0..mistakes {
        let mut at = Vec::new();
        pointers(&json, String::new(), &mut at);
        let at = at[dice.below(at.len())].clone();
        if kind == Kind::Missing {
            remove(&mut json, &at);
        } else if let Some(node) = json.pointer_mut(&at) {
            // JSON within JSON is as hostile inside.
            let inner = node.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
            *node = match inner.filter(|inner| inner.is_object() && dice.one_in(2)) {
                Some(inner) => String::from_utf8_lossy(&json_text(kind, dice, inner)).into(),
                None => value(kind, dice, node),
            };
        }
    }
    let digits = ["9".repeat(60), "1e999".into(), format!("-{}", "1".repeat(30))];
    let text = json.to_string().replace(&format!("\"{DIGITS}\""), &digits[dice.below(digits.len())]);
    if kind == Kind::InvalidUtf8 && dice.one_in(4) {
        // Half of a pair is no character either.
        return text.replace(BYTES, "\\ud800").into_bytes();
    }
    with_bytes(&text, dice)
}

/// Where every node of a tree is.
fn pointers(value: &Value, at: String, out: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate().take(50) {
                pointers(item, format!("{at}/{index}"), out);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(member, format!("{at}/{name}"), out);
            }
        }
        _ => {}
    }
    out.push(at);
}

fn remove(json: &mut Value, at: &str) {
    let Some((parent, name)) = at.rsplit_once('/') else { return };
    match json.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.remove(&name.replace("~1", "/").replace("~0", "~"));
        }
        Some(Value::Array(items)) => {
            let index: usize = name.parse().unwrap();
            items.remove(index);
        }
        _ => {}
    }
}

/// A form or query in which some field is another, is missing or comes twice.
pub fn pairs(kind: Kind, dice: &mut Dice, text: &str) -> String {
    let mut pairs: Vec<String> = text.split('&').map(ToString::to_string).collect();
    for _ in 0..=dice.below(2) {
        let Some(at) = (!pairs.is_empty()).then(|| dice.below(pairs.len())) else { break };
        let (name, old) = pairs[at].split_once('=').unwrap_or((&pairs[at], ""));
        let name = name.to_string();
        if kind == Kind::Missing {
            pairs.remove(at);
            continue;
        }
        let old =
            percent_encoding::percent_decode_str(&old.replace('+', " ")).decode_utf8_lossy().into_owned();
        let inner = serde_json::from_str::<Value>(&old).ok().filter(Value::is_object);
        let made = match inner.filter(|_| !dice.one_in(4)) {
            Some(inner) => json_text(kind, dice, inner),
            None => self::text(kind, dice, &old),
        };
        let made = percent(&made);
        match (kind, dice.below(4)) {
            (Kind::Nesting, 0) => pairs.push(format!("{name}{}={made}", "[a]".repeat(500))),
            (_, 1) => pairs.push(format!("{name}={made}")),
            _ => pairs[at] = format!("{name}={made}"),
        }
    }
    pairs.join("&")
}

fn percent(bytes: &[u8]) -> String {
    percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// XML in which some texts are others and some elements are gone; most of it can still be read.
fn xml(kind: Kind, dice: &mut Dice, text: &str) -> Vec<u8> {
    // Each piece is what stands before a tag, and the tag.
    let mut pieces: Vec<Vec<u8>> = text.split_inclusive('>').map(|piece| piece.as_bytes().to_vec()).collect();
    let texts: Vec<usize> = (0..pieces.len()).filter(|at| pieces[*at].first() != Some(&b'<')).collect();
    for _ in 0..=dice.below(2) {
        let Some(at) = texts.get(dice.below(texts.len())).copied() else { break };
        let piece = String::from_utf8_lossy(&pieces[at]).into_owned();
        let (content, tag) = piece.split_once('<').unwrap_or((&piece, ""));
        if kind == Kind::Missing {
            // An element of text only: its start tag is the piece before.
            if at > 0 {
                pieces[at - 1].clear();
            }
            pieces[at].clear();
            continue;
        }
        let made = self::text(kind, dice, content);
        let made = match kind {
            Kind::Nesting => [b"<n>".repeat(500), made, b"</n>".repeat(500)].concat(),
            _ if dice.one_in(2) => [&b"<![CDATA["[..], &made, b"]]>"].concat(),
            _ => made,
        };
        pieces[at] = [&made[..], b"<", tag.as_bytes()].concat();
    }
    pieces.concat()
}

/// A multipart body in which some part holds something else, or is gone.
fn multipart(kind: Kind, dice: &mut Dice, body: &[u8]) -> Vec<u8> {
    let end = body.windows(2).position(|two| two == b"\r\n").unwrap_or(body.len());
    let delimiter = &body[..end];
    let text = String::from_utf8_lossy(body).into_owned();
    let marker = String::from_utf8_lossy(delimiter).into_owned();
    let mut parts: Vec<Vec<u8>> = text.split(&marker).map(|part| part.as_bytes().to_vec()).collect();
    // Before the first delimiter is nothing, and behind the last one the end.
    let inner = 1..parts.len().saturating_sub(1).max(1);
    let at = inner.start + dice.below(inner.len());
    let part = String::from_utf8_lossy(parts.get(at).map_or(b"", Vec::as_slice)).into_owned();
    if let Some((head, content)) = part.split_once("\r\n\r\n") {
        parts[at] = match kind {
            Kind::Missing => Vec::new(),
            _ => {
                [head.as_bytes(), b"\r\n\r\n", &self::text(kind, dice, content.trim_end()), b"\r\n"].concat()
            }
        };
        if kind == Kind::Missing {
            parts.remove(at);
        }
    }
    parts.join(delimiter)
}

fn odd_bytes(dice: &mut Dice, body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    match dice.below(7) {
        0 => body.truncate(dice.below(body.len() + 1)),
        1 => body.clear(),
        2 => body.splice(0..0, [0xff, 0xfe, 0x00]).for_each(drop),
        3 => body.extend_from_slice(b"\xc3\x28%zz&=&&a[]=1&a[]=2"),
        _ => {
            for _ in 0..=dice.below(8) {
                let at = dice.below(body.len());
                if let Some(byte) = body.get_mut(at) {
                    *byte = u8::try_from(dice.below(256)).unwrap();
                }
            }
        }
    }
    body
}
