//! A body to a tree.

use super::incoming::Incoming;
use crate::expression::{Map, Value};
use crate::plan::Decode;
use crate::wire::{multipart, parameter, xml};

/// The deepest nesting of JSON that `serde_json` reads is 128 levels; more is an error, not a crash.
pub(super) fn decode(how: Option<Decode>, request: &Incoming) -> Result<Value, String> {
    match how.unwrap_or_else(|| guess(request)) {
        Decode::Json => {
            let body = request.body.trim_ascii();
            if body.is_empty() {
                return Err("the body is empty; JSON was expected".into());
            }
            Value::from_json(body).map_err(|error| format!("the body is not JSON: {error}"))
        }
        Decode::Form => Ok(Value::Map(merged(&request.query(), request.form()).into())),
        Decode::Xml => {
            let charset = parameter(content_type(request), "charset").unwrap_or_default();
            xml::read(&request.body, &charset, &[])
                .map_err(|problem| format!("the body is not XML: {problem}"))
        }
        Decode::Multipart => {
            let parts = multipart::boundary_of(content_type(request))
                .and_then(|boundary| multipart::read(&request.body, &boundary))
                .map_err(|problem| format!("the body {problem}"))?;
            Ok(Value::Map(merged(&request.query(), multipart::fields(parts)).into()))
        }
        Decode::Text => match std::str::from_utf8(&request.body) {
            Ok(text) => Ok(Value::text(text)),
            Err(_) => Err("the body is not UTF-8".into()),
        },
        Decode::None => Ok(Value::Null),
    }
}

fn content_type(request: &Incoming) -> &str {
    let header = request.headers.iter().find(|(name, _)| name == "content-type");
    header.map_or("", |(_, value)| value.as_str())
}

/// By the Content-Type; without one, by how the body begins.
fn guess(request: &Incoming) -> Decode {
    let mime = request.content_type();
    let body = request.body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&request.body).trim_ascii_start();
    match mime.as_str() {
        "application/x-www-form-urlencoded" => Decode::Form,
        mime if mime == "application/json" || mime.ends_with("+json") => Decode::Json,
        _ if body.starts_with(b"{") || body.starts_with(b"[") => Decode::Json,
        _ => Decode::Form,
    }
}

/// The query's fields, and the body's over them.
fn merged(query: &Map, body: Map) -> Map {
    if query.is_empty() {
        return body;
    }
    let members = query.iter().chain(body.iter());
    members.map(|(name, value)| (name.clone(), value.clone())).collect::<Map>().folding()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(content_type: &str, query: &str, body: &'static [u8]) -> Incoming {
        Incoming {
            query: query.into(),
            headers: vec![("content-type".into(), content_type.into())],
            body: bytes::Bytes::from_static(body),
            ..Incoming::default()
        }
    }

    #[test]
    fn the_body_wins_over_the_query() {
        let value =
            decode(None, &request("application/x-www-form-urlencoded", "a=q&b=q", b"a=body")).unwrap();
        assert_eq!(value.to_json().unwrap(), r#"{"a":"body","b":"q"}"#);
    }

    #[test]
    fn many_fields_take_no_longer_each_than_few() {
        let body = (0..150_000).map(|n| format!("{n}=")).collect::<Vec<_>>().join("&");
        let request = Incoming { query: "a=1".into(), body: body.into(), ..Incoming::default() };
        let start = std::time::Instant::now();
        let value = decode(Some(Decode::Form), &request).unwrap();
        assert_eq!(value.as_map().unwrap().len(), 150_001);
        assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
    }

    #[test]
    fn the_content_type_decides_and_else_the_first_character() {
        assert_eq!(
            decode(None, &request("application/json; charset=utf-8", "", b"[1]")).unwrap().to_json().unwrap(),
            "[1]"
        );
        assert_eq!(decode(None, &request("", "", b" {\"a\":1}")).unwrap().to_json().unwrap(), r#"{"a":1}"#);
        assert_eq!(decode(None, &request("", "", b"a=1")).unwrap().to_json().unwrap(), r#"{"a":"1"}"#);
    }

    #[test]
    fn what_is_not_json_says_where() {
        let error = decode(Some(Decode::Json), &request("", "", b"{\"a\":")).unwrap_err();
        assert!(error.contains("line 1 column 5"), "{error}");
        let deep = "[".repeat(100_000);
        let request = Incoming { body: deep.into(), ..Incoming::default() };
        assert!(decode(Some(Decode::Json), &request).is_err());
    }
}
