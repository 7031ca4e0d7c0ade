//! Names with values: query parameters, form fields and headers.
//!
//! Invariant: no value can break out of its place: parameters are percent-encoded, headers with a line break are
//! refused.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use smol_str::SmolStr;

use crate::expression::{Failure, Map, Value};

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Named values, in order.
pub(super) type Pairs = Vec<(SmolStr, Value)>;

/// Headers, in order; names in lower case.
pub(super) type Headers = Vec<(SmolStr, String)>;

/// The members of a value that must be a map, or nothing.
pub(super) fn members<'v>(
    value: &'v Value,
    what: &str,
) -> Result<impl Iterator<Item = (&'v SmolStr, &'v Value)>, Failure> {
    let map = match value {
        Value::Map(map) => Some(&**map),
        Value::Null => None,
        other => return Err(Failure(format!("{what} are a map, not {}", other.kind()))),
    };
    Ok(map.into_iter().flat_map(Map::iter))
}

/// The items of a list; any other value is its own only item.
pub(super) fn items(value: &Value) -> &[Value] {
    match value {
        Value::List(items) => items,
        other => std::slice::from_ref(other),
    }
}

/// Adds the parameters of a map: a list repeats the name, null is nothing, a map inside is refused.
pub(super) fn collect(value: &Value, pairs: &mut Pairs) -> Result<(), Failure> {
    for (name, value) in members(value, "parameters")? {
        for item in items(value) {
            match item {
                Value::Null => {}
                Value::Map(_) | Value::List(_) => {
                    let kind = item.kind();
                    return Err(Failure(format!("the parameter `{name}` can't hold {kind}; use `$json`")));
                }
                _ => pairs.push((name.clone(), item.clone())),
            }
        }
    }
    Ok(())
}

/// The same, in place of those of the same name.
pub(super) fn replace(value: &Value, pairs: &mut Pairs) -> Result<(), Failure> {
    for (name, _) in members(value, "parameters")? {
        pairs.retain(|(known, _)| known != name);
    }
    collect(value, pairs)
}

/// `a=1&b=2`, with `blank` for a blank.
pub(super) fn encode(pairs: &[(SmolStr, Value)], blank: &str) -> String {
    let encode = |bytes: &[u8]| escape(bytes).replace("%20", blank);
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name.as_bytes()), encode(&value.to_bytes())));
    pairs.collect::<Vec<_>>().join("&")
}

/// Everything percent-encoded that RFC 3986 does not call unreserved.
pub(super) fn escape(bytes: &[u8]) -> String {
    percent_encode(bytes, UNRESERVED).to_string()
}

/// Puts the headers of a map in place of those of the same name.
pub(super) fn put_all(headers: &mut Headers, value: &Value) -> Result<(), Failure> {
    for (name, value) in members(value, "headers")? {
        let name = name.to_ascii_lowercase();
        if http::HeaderName::try_from(name.as_str()).is_err() {
            return Err(Failure(format!("`{name}` is not the name of a header")));
        }
        headers.retain(|(known, _)| *known != name);
        put(headers, &name, value)?;
    }
    Ok(())
}

/// Puts a header in place of one of the same name; an empty value changes nothing.
pub(super) fn put(headers: &mut Headers, name: &str, value: &Value) -> Result<(), Failure> {
    if value.is_empty() {
        return Ok(());
    }
    let text = value.to_text();
    if http::HeaderValue::from_str(&text).is_err() {
        return Err(Failure(format!("the header `{name}` can't hold a line break or control character")));
    }
    headers.retain(|(known, _)| known != name);
    headers.push((SmolStr::new(name), text.into()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(json: &str) -> Value {
        Value::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn headers_can_t_be_broken_out_of() {
        let mut headers = Vec::new();
        assert!(put(&mut headers, "x-a", &Value::text("a\r\nx-b: c")).is_err());
        assert!(put_all(&mut headers, &value(r#"{"x a": "1"}"#)).is_err());
        put(&mut headers, "x-a", &Value::text("1")).unwrap();
        put_all(&mut headers, &value(r#"{"X-A": 2}"#)).unwrap();
        assert_eq!(headers, [("x-a".into(), "2".to_string())]);
    }

    #[test]
    fn null_takes_an_inherited_header_or_parameter_away() {
        let mut headers = vec![("x-a".into(), "1".to_string())];
        put_all(&mut headers, &value(r#"{"X-A": null}"#)).unwrap();
        assert!(headers.is_empty());
        let mut pairs = vec![("a".into(), Value::Int(1)), ("b".into(), Value::Int(2))];
        replace(&value(r#"{"a": null, "b": [3, 4]}"#), &mut pairs).unwrap();
        assert_eq!(encode(&pairs, "+"), "b=3&b=4");
    }

    #[test]
    fn bytes_are_encoded_byte_by_byte() {
        let pairs = [("t".into(), Value::Bytes(bytes::Bytes::from_static(b"\xe8 ")))];
        assert_eq!(encode(&pairs, "+"), "t=%E8+");
    }

    #[test]
    fn a_parameter_holds_no_map() {
        assert!(collect(&value(r#"{"a": {"b": 1}}"#), &mut Vec::new()).is_err());
        assert!(collect(&value("[1]"), &mut Vec::new()).is_err());
    }
}
