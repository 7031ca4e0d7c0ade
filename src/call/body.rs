//! The body of a request: what is known of it before it is sent.
//!
//! Bytes are made here; a file is only named, and fetched when the request is sent, so it never lies in memory as a
//! whole.

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use smol_str::SmolStr;
use url::Url;

use super::pairs::{self, Pairs};
use crate::expression::{Env, Failure, Template, Value};
use crate::plan::Body;
use crate::wire::multipart::Boundary;
use crate::wire::xml;

/// A body that is ready to be sent.
#[derive(Clone, Debug, Default)]
pub enum Payload {
    /// None.
    #[default]
    Nothing,
    /// These bytes.
    Bytes(Bytes),
    /// A file, byte for byte.
    File(File),
    /// Fields and files.
    Multipart {
        /// What stands between them.
        boundary: Boundary,
        /// They, in order.
        parts: Vec<Part>,
    },
}

/// A file that is fetched when the request is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is: http or https.
    pub url: String,
    /// How large it may be, in bytes.
    pub limit: u64,
}

/// A part of a multipart body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The name of the field.
    pub name: SmolStr,
    /// The name of the file.
    pub filename: Option<SmolStr>,
    /// The Content-Type; none is the file's own, and of a value none.
    pub content_type: Option<SmolStr>,
    /// What is in it.
    pub content: PartContent,
}

/// What is in a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartContent {
    /// These bytes.
    Bytes(Bytes),
    /// A file.
    File(File),
}

/// A body before it was encoded, for people and tests.
#[derive(Clone, Debug, Default)]
pub enum Shown {
    /// There is none, or the payload tells it all.
    #[default]
    Nothing,
    /// JSON.
    Json(Value),
    /// The fields of a form, in order.
    Form(Pairs),
}

impl Payload {
    /// The bytes that are sent, if they are known: a file has not been fetched.
    pub fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::Nothing => Some(Bytes::new()),
            Self::Bytes(bytes) => Some(bytes.clone()),
            Self::File(_) => None,
            Self::Multipart { boundary, parts } => {
                let mut body = Vec::new();
                for part in parts {
                    let PartContent::Bytes(bytes) = &part.content else { return None };
                    body.extend_from_slice(part.head(boundary, None).as_bytes());
                    body.extend_from_slice(bytes);
                    body.extend_from_slice(b"\r\n");
                }
                body.extend_from_slice(boundary.end().as_bytes());
                Some(body.into())
            }
        }
    }
}

impl Part {
    /// What stands before its content; `fetched` is the Content-Type that the file came with.
    pub(super) fn head(&self, boundary: &Boundary, fetched: Option<&str>) -> String {
        boundary.head(&self.name, self.filename.as_deref(), self.content_type.as_deref().or(fetched))
    }
}

/// An encoded body.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    pub(super) payload: Payload,
    pub(super) shown: Shown,
    /// None where the file decides, or there is no body.
    pub(super) content_type: Option<SmolStr>,
}

/// Encodes a body whose files may be `limit` bytes large.
pub(super) fn encode(body: &Body, limit: u64, env: &mut Env<'_>) -> Result<Encoded, Failure> {
    let made = |bytes: Bytes, content_type: &'static str, shown| Encoded {
        payload: Payload::Bytes(bytes),
        shown,
        content_type: Some(SmolStr::new_static(content_type)),
    };
    Ok(match body {
        Body::None => Encoded::default(),
        Body::Json(template) => {
            let value = template.eval(env)?;
            if matches!(value, Value::Null) {
                return Ok(Encoded::default());
            }
            let json = value.to_json().ok_or_else(|| Failure("bytes can't be put into JSON".into()))?;
            made(json.into(), "application/json", Shown::Json(value))
        }
        Body::Form(template) => {
            let mut fields = Vec::new();
            pairs::collect(&template.eval(env)?, &mut fields)?;
            let text = pairs::encode(&fields, "+");
            made(text.into(), "application/x-www-form-urlencoded", Shown::Form(fields))
        }
        Body::Xml(template) => {
            let text = xml::write(&template.eval(env)?)
                .map_err(|problem| Failure(format!("the XML of the request {problem}")))?;
            made(text.into(), "application/xml; charset=utf-8", Shown::Nothing)
        }
        Body::Multipart(template) => {
            let mut random = [0; 16];
            env.world.fill(&mut random);
            let boundary = Boundary::new(random);
            let content_type = Some(SmolStr::from(boundary.content_type()));
            let parts = parts(&template.eval(env)?, limit)?;
            Encoded { payload: Payload::Multipart { boundary, parts }, shown: Shown::Nothing, content_type }
        }
        Body::Raw { content_type, content } => Encoded {
            payload: Payload::Bytes(content.eval(env)?.to_bytes()),
            shown: Shown::Nothing,
            content_type: text(content_type.as_ref(), env)?
                .or(Some(SmolStr::new_static("text/plain; charset=utf-8"))),
        },
        Body::File { content_type, url } => Encoded {
            payload: Payload::File(file(&url.eval(env)?, limit)?),
            shown: Shown::Nothing,
            content_type: text(content_type.as_ref(), env)?,
        },
    })
}

fn text(template: Option<&Template>, env: &mut Env<'_>) -> Result<Option<SmolStr>, Failure> {
    template.map_or(Ok(None), |template| template.text(env))
}

fn file(url: &Value, limit: u64) -> Result<File, Failure> {
    let refuse = |why: &str| Failure(format!("the URL of the file {why}"));
    if url.is_empty() {
        return Err(refuse("is empty"));
    }
    let parsed = Url::parse(&url.to_text()).map_err(|error| refuse(&format!("is not valid: {error}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(refuse(&format!("must be http or https, not {}", parsed.scheme())));
    }
    Ok(File { url: parsed.into(), limit })
}

/// The parts of a multipart body: a list repeats the name, null is nothing.
fn parts(value: &Value, limit: u64) -> Result<Vec<Part>, Failure> {
    let mut parts = Vec::new();
    for (name, value) in pairs::members(value, "the parts of a multipart body")? {
        for item in pairs::items(value).iter().filter(|item| !matches!(item, Value::Null)) {
            let part = part(name, item, limit);
            parts.push(part.map_err(|Failure(why)| Failure(format!("the part `{name}`: {why}")))?);
        }
    }
    Ok(parts)
}

fn part(name: &SmolStr, item: &Value, limit: u64) -> Result<Part, Failure> {
    let simple = |value: &Value| match value {
        Value::Map(_) | Value::List(_) => {
            Err(Failure(format!("it can't hold {}; use `$json`", value.kind())))
        }
        value => Ok(PartContent::Bytes(value.to_bytes())),
    };
    let Value::Map(map) = item else {
        let content = simple(item)?;
        return Ok(Part { name: name.clone(), filename: None, content_type: None, content });
    };
    let member = |key: &str| map.get(key).filter(|value| !value.is_empty());
    let content = match (map.get("value"), map.get("file")) {
        (Some(value), None) => simple(value)?,
        (None, Some(given)) => PartContent::File(file(given.get("url"), limit)?),
        _ => return Err(Failure("it has exactly one of `value` and `file`".into())),
    };
    let filename = match (member("filename"), &content) {
        (Some(given), _) => Some(given.to_text()),
        (None, PartContent::File(file)) => Some(last_segment(&file.url)),
        (None, PartContent::Bytes(_)) => None,
    };
    let content_type = member("type").map(Value::to_text);
    if content_type.as_ref().is_some_and(|text| http::HeaderValue::from_str(text).is_err()) {
        return Err(Failure("its `type` can't hold a line break or control character".into()));
    }
    Ok(Part { name: name.clone(), filename, content_type, content })
}

/// The last part of the path of a URL, as the name of a file.
fn last_segment(url: &str) -> SmolStr {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let last = path.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
    let last = last.and_then(|path| path.rsplit('/').next()).unwrap_or_default();
    let decoded = percent_decode_str(last).decode_utf8_lossy();
    if decoded.is_empty() { SmolStr::new_static("file") } else { SmolStr::new(decoded) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(json: &str) -> Result<Vec<Part>, Failure> {
        parts(&Value::from_json(json.as_bytes()).unwrap(), 5)
    }

    #[test]
    fn parts_are_values_or_files_and_a_list_repeats_the_name() {
        let parts = made(
            r#"{"a": [1, "x", null], "b": {"value": "{}", "type": "application/json"},
                "c": {"file": {"url": "https://x.io/a/b%20c.png?d=/e"}}, "d": {"file": {"url": "http://x.io"}}}"#,
        )
        .unwrap();
        let shown: Vec<_> = parts.iter().map(|part| (part.name.as_str(), part.filename.as_deref())).collect();
        assert_eq!(
            shown,
            [("a", None), ("a", None), ("b", None), ("c", Some("b c.png")), ("d", Some("file"))]
        );
        assert_eq!(parts[2].content_type.as_deref(), Some("application/json"));
        let url = "https://x.io/a/b%20c.png?d=/e".to_string();
        assert_eq!(parts[3].content, PartContent::File(File { url, limit: 5 }));
    }

    #[test]
    fn a_part_that_is_neither_value_nor_file_is_refused_by_name() {
        for json in
            [r#"{"a": {"filename": "x"}}"#, r#"{"a": {"b": 1}}"#, r#"{"a": {"file": {"url": "ftp://x"}}}"#]
        {
            assert!(made(json).unwrap_err().0.starts_with("the part `a`: "), "{json}");
        }
    }

    #[test]
    fn the_bytes_of_a_body_are_known_unless_it_holds_a_file() {
        let payload =
            |json| Payload::Multipart { boundary: Boundary::new([0xab; 16]), parts: made(json).unwrap() };
        let bytes = payload(r#"{"a": 1}"#).bytes().unwrap();
        let line = format!("--part{}", "ab".repeat(16));
        let content = "Content-Disposition: form-data; name=\"a\"\r\n\r\n1";
        assert_eq!(bytes, format!("{line}\r\n{content}\r\n{line}--\r\n"));
        assert!(payload(r#"{"a": {"file": {"url": "http://x.io/"}}}"#).bytes().is_none());
    }
}
