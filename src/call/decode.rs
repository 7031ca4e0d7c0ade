//! The body of a response: from bytes to text and to a tree of data.

use super::response::Response;
use crate::expression::{self, Value};
use crate::plan::Decode;
use crate::wire::form::{self, Charset};
use crate::wire::{parameter, xml};

/// The body as text, in the charset that its Content-Type names; UTF-8 unless it names one that is known.
pub(super) fn text(response: &Response) -> String {
    let charset = charset(response);
    let decoded = match charset.as_str() {
        "" | "utf-8" | "utf8" => None,
        name => expression::decode(&response.body, name).ok(),
    };
    decoded.unwrap_or_else(|| String::from_utf8_lossy(&response.body).into_owned())
}

/// The tree of a body: as the mapping says, else by the Content-Type, else by how it begins. What can't be decoded is
/// null, and `response.text` has it.
pub(super) fn decode(how: Option<Decode>, response: &Response, text: &str) -> Value {
    let how = how.unwrap_or_else(|| guess(response, text));
    let charset = charset(response);
    match how {
        Decode::Json => Value::from_json(response.body.trim_ascii())
            .or_else(|_| Value::from_json(text.trim().as_bytes()))
            .unwrap_or_default(),
        Decode::Form => Value::Map(form::read(response.body.trim_ascii(), Charset::of(&charset)).into()),
        Decode::Xml => xml::read(&response.body, &charset, &[]).unwrap_or_default(),
        Decode::Text => Value::text(text),
        // The compiler lets no response be multipart.
        Decode::Multipart | Decode::None => Value::Null,
    }
}

fn guess(response: &Response, text: &str) -> Decode {
    let content_type = content_type(response).to_ascii_lowercase();
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let start = text.trim_start();
    if kind.contains("json") || start.starts_with(['{', '[']) {
        Decode::Json
    } else if kind == "application/x-www-form-urlencoded" {
        Decode::Form
    } else if matches!(kind, "application/xml" | "text/xml")
        || kind.ends_with("+xml")
        || start.starts_with("<?xml")
    {
        Decode::Xml
    } else {
        Decode::Text
    }
}

fn content_type(response: &Response) -> &str {
    response.header("content-type").unwrap_or_default()
}

/// The charset that the Content-Type names, in lower case; may be empty.
fn charset(response: &Response) -> String {
    parameter(content_type(response), "charset").unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(content_type: &str, body: &'static [u8]) -> Response {
        let headers = vec![("content-type".into(), content_type.into())];
        Response { status: 200, headers, body: bytes::Bytes::from_static(body) }
    }

    fn guessed(content_type: &str, body: &'static [u8]) -> String {
        let response = response(content_type, body);
        decode(None, &response, &text(&response)).to_json().unwrap()
    }

    #[test]
    fn the_content_type_and_the_beginning_tell_how_a_body_is_read() {
        assert_eq!(guessed("text/plain", b" [1]"), "[1]");
        assert_eq!(guessed("application/problem+json", b"{}"), "{}");
        assert_eq!(guessed("application/x-www-form-urlencoded", b"a=1&b=x+y"), r#"{"a":"1","b":"x y"}"#);
        assert_eq!(guessed("text/xml", b"<r><id>7</id></r>"), r#"{"r":{"id":"7"}}"#);
        assert_eq!(guessed("", b"<?xml version='1.0'?><r a='1'/>"), r#"{"r":{"@a":"1"}}"#);
        assert_eq!(guessed("text/html", b"<p>"), r#""<p>""#);
        assert_eq!(guessed("text/xml", b"<r>"), "null");
    }

    #[test]
    fn the_charset_of_the_content_type_is_honoured() {
        assert_eq!(guessed("text/plain; charset=ISO-8859-1", b"tr\xe8s"), "\"très\"");
        assert_eq!(guessed("text/xml; charset=latin1", b"<a>\xe8</a>"), r#"{"a":"è"}"#);
        let form = "application/x-www-form-urlencoded; charset=windows-1252";
        assert_eq!(guessed(form, b"a=%80"), r#"{"a":"€"}"#);
        assert_eq!(guessed("text/plain; charset=nonsense", b"a\xff"), "\"a\u{fffd}\"");
    }
}
