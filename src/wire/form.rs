//! Form fields: `a=1&b=2`, as a query or a body has them.
//!
//! A field is text of its charset, or the bytes that it is: no byte is lost on the way.

use std::collections::HashMap;

use percent_encoding::percent_decode;
use smol_str::SmolStr;

use crate::expression::{Map, Value, decode};

/// How the bytes of a field are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset<'a> {
    /// As UTF-8; what is not UTF-8 stays bytes, so that the mapping can decode it.
    Unknown,
    /// As that charset, by any name; a name that nobody knows counts as none.
    Named(&'a str),
    /// Not at all: values stay bytes.
    Bytes,
}

impl<'a> Charset<'a> {
    /// The charset of that name; an empty one is unknown.
    pub fn of(name: &'a str) -> Self {
        if name.is_empty() { Self::Unknown } else { Self::Named(name) }
    }
}

/// The fields of a query or a form body.
pub fn read(text: &[u8], charset: Charset<'_>) -> Map {
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    grouped(pairs.map(|pair| {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => pair.split_at(at),
            None => (pair, &b""[..]),
        };
        let name = unescaped(name);
        let of_name = match charset {
            Charset::Named(_) if !name.is_ascii() => charset,
            _ => Charset::Unknown,
        };
        let value = unescaped(value.strip_prefix(b"=").unwrap_or_default());
        (field(name, of_name).to_text(), field(value, charset))
    }))
}

/// Named values as fields: a repeated name has a list; a name is found in any case.
pub fn grouped(pairs: impl IntoIterator<Item = (SmolStr, Value)>) -> Map {
    let mut order: Vec<(SmolStr, Vec<Value>)> = Vec::new();
    let mut places = HashMap::new();
    for (name, value) in pairs {
        let place = *places.entry(name.clone()).or_insert_with(|| {
            order.push((name, Vec::new()));
            order.len() - 1
        });
        if let Some((_, values)) = order.get_mut(place) {
            values.push(value);
        }
    }
    let single = |mut values: Vec<Value>| match values.len() {
        1 => values.pop().unwrap_or_default(),
        _ => Value::list(values),
    };
    order.into_iter().map(|(name, values)| (name, single(values))).collect::<Map>().folding()
}

/// The bytes of a name or value.
fn unescaped(text: &[u8]) -> Vec<u8> {
    if text.contains(&b'+') {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&spaced).collect()
    } else {
        percent_decode(text).collect()
    }
}

/// The value that the bytes of a field are.
pub fn field(bytes: Vec<u8>, charset: Charset<'_>) -> Value {
    let named = match charset {
        Charset::Bytes => return Value::Bytes(bytes.into()),
        Charset::Named(name) if !name.eq_ignore_ascii_case("utf-8") => {
            decode(&bytes, &name.to_ascii_lowercase()).ok()
        }
        _ => None,
    };
    match named {
        Some(text) => Value::from(text),
        None => {
            String::from_utf8(bytes).map_or_else(|error| Value::Bytes(error.into_bytes().into()), Value::from)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_become_lists_and_case_is_folded() {
        let map = read(b"a=1&B=x+y&a=%C3%A9&&empty=&flag", Charset::Unknown);
        assert_eq!(map.get("a").unwrap().to_json().unwrap(), r#"["1","é"]"#);
        assert_eq!(map.get("b"), Some(&Value::text("x y")));
        assert_eq!((map.get("empty"), map.get("flag")), (Some(&Value::text("")), Some(&Value::text(""))));
    }

    #[test]
    fn a_charset_is_decoded_and_what_is_no_text_stays_bytes() {
        let value = |charset| read(b"t=tr%E8s", charset).get("t").cloned().unwrap();
        let bytes = Value::Bytes(bytes::Bytes::from_static(b"tr\xe8s"));
        assert_eq!(value(Charset::of("ISO-8859-1")), Value::text("très"));
        assert_eq!(value(Charset::of("")), bytes);
        assert_eq!(value(Charset::of("utf-8")), bytes);
        assert_eq!(value(Charset::of("no-such-charset")), bytes);
        assert_eq!(value(Charset::Bytes), bytes);
    }

    #[test]
    fn as_bytes_even_a_value_that_could_be_text_is_bytes_and_its_name_is_text() {
        let map = read(b"t=%00%1b%65", Charset::Bytes);
        assert_eq!(map.get("T"), Some(&Value::Bytes(bytes::Bytes::from_static(b"\x00\x1be"))));
    }

    #[test]
    fn a_charset_without_ascii_in_it_holds_for_values_and_not_for_plain_names() {
        let map = read(b"t=%00%68%00%69", Charset::of("UTF-16BE"));
        assert_eq!(map.get("t"), Some(&Value::text("hi")));
    }

    #[test]
    fn many_fields_take_no_longer_each_than_few() {
        let body = (0..150_000).map(|n| format!("{n}=")).collect::<Vec<_>>().join("&");
        let start = std::time::Instant::now();
        assert_eq!(read(body.as_bytes(), Charset::Unknown).len(), 150_000);
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "{:?}", start.elapsed());
    }
}
