//! A request as a plan describes it, to bytes.
//!
//! Invariant: no value can break out of its place: query and forms are percent-encoded, header values with a line
//! break are refused, JSON is built from trees, and a relative URL never leads to another server than the mapping's
//! `http.base`, nor above it.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use smol_str::SmolStr;

use crate::expression::{Env, Failure, Map, Value};
use crate::plan::{Auth, Body, Request};

/// What RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A request that is ready to be sent.
#[derive(Clone)]
pub struct Outgoing {
    /// The method, in upper case.
    pub method: SmolStr,
    /// The URLs that are tried in turn, with their query.
    pub urls: Vec<String>,
    /// The headers; names in lower case.
    pub headers: Vec<(SmolStr, String)>,
    /// The body.
    pub body: Option<Bytes>,
    /// The same body before it was encoded, for people and tests.
    pub shown: Shown,
    /// How long the response may take.
    pub timeout: Duration,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URL, headers and body may hold secrets.
        f.debug_struct("Outgoing").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A body before it was encoded.
#[derive(Clone, Debug, Default)]
pub enum Shown {
    /// There is none, or it is only bytes.
    #[default]
    Nothing,
    /// JSON.
    Json(Value),
    /// The fields of a form, in order.
    Form(Vec<(SmolStr, Value)>),
}

/// Builds a request.
pub fn build(request: &Request, timeout: Duration, env: &mut Env<'_>) -> Result<Outgoing, Failure> {
    let mut headers: Vec<(SmolStr, String)> = Vec::new();
    let mut query = Vec::new();
    for map in &request.query {
        collect(&map.eval(env)?, &mut query)?;
    }
    let (body, shown) = encode(&request.body, &mut headers, env)?;
    for (name, template) in &request.headers {
        put(&mut headers, name, &template.eval(env)?)?;
    }
    match &request.auth {
        Auth::None => {}
        Auth::Basic(user, password) => {
            let pair = format!("{}:{}", user.eval(env)?.to_text(), password.eval(env)?.to_text());
            put(&mut headers, "authorization", &Value::from(format!("Basic {}", STANDARD.encode(pair))))?;
        }
        Auth::Bearer(token) => {
            let token = token.eval(env)?.to_text();
            put(&mut headers, "authorization", &Value::from(format!("Bearer {token}")))?;
        }
        Auth::Header(pairs) => {
            for (name, template) in pairs {
                put(&mut headers, name, &template.eval(env)?)?;
            }
        }
        Auth::Query(map) => collect(&map.eval(env)?, &mut query)?,
    }
    let default_method = if body.is_some() { "POST" } else { "GET" };
    let method = match &request.method {
        Some(template) => template.eval(env)?.to_text().to_uppercase(),
        None => default_method.into(),
    };
    if !matches!(method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD") {
        return Err(Failure(format!("`{method}` is not a method")));
    }
    let base = match &request.base {
        Some(template) => template.eval(env)?.to_text(),
        None => SmolStr::default(),
    };
    let urls = match request.url.eval(env)? {
        Value::List(items) => items.iter().map(|item| full_url(&base, &item.to_text(), &query)).collect(),
        one => full_url(&base, &one.to_text(), &query).map(|url| vec![url]),
    }?;
    Ok(Outgoing { method: method.into(), urls, headers, body, shown, timeout })
}

fn encode(
    body: &Body,
    headers: &mut Vec<(SmolStr, String)>,
    env: &mut Env<'_>,
) -> Result<(Option<Bytes>, Shown), Failure> {
    Ok(match body {
        Body::None => (None, Shown::Nothing),
        Body::Json(template) => {
            let value = template.eval(env)?;
            let json = value.to_json().ok_or_else(|| Failure("bytes can't be put into JSON".into()))?;
            put(headers, "content-type", &Value::text("application/json"))?;
            (Some(json.into()), Shown::Json(value))
        }
        Body::Form(template) => {
            let mut fields = Vec::new();
            collect(&template.eval(env)?, &mut fields)?;
            put(headers, "content-type", &Value::text("application/x-www-form-urlencoded"))?;
            (Some(encode_pairs(&fields, "+").into()), Shown::Form(fields))
        }
        Body::Raw { content_type: kind, content } => {
            let kind = match kind {
                Some(template) => template.eval(env)?.to_text(),
                None => SmolStr::new_static("text/plain; charset=utf-8"),
            };
            put(headers, "content-type", &Value::Text(kind))?;
            (Some(content.eval(env)?.to_bytes()), Shown::Nothing)
        }
    })
}

fn put(headers: &mut Vec<(SmolStr, String)>, name: &str, value: &Value) -> Result<(), Failure> {
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

/// The pairs of a map; a list repeats the name, a map inside is refused.
fn collect(value: &Value, pairs: &mut Vec<(SmolStr, Value)>) -> Result<(), Failure> {
    let empty = Map::new();
    let map = match value {
        Value::Map(map) => map,
        Value::Null => &empty,
        other => return Err(Failure(format!("parameters are a map, not {}", other.kind()))),
    };
    for (name, value) in map.iter() {
        let items = match value {
            Value::List(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        for item in items {
            if matches!(item, Value::Map(_) | Value::List(_)) {
                return Err(Failure(format!(
                    "the parameter `{name}` can't hold {}; use `$json`",
                    item.kind()
                )));
            }
            pairs.push((name.clone(), item.clone()));
        }
    }
    Ok(())
}

fn encode_pairs(pairs: &[(SmolStr, Value)], blank: &str) -> String {
    let encode = |bytes: &[u8]| percent_encode(bytes, UNRESERVED).to_string().replace("%20", blank);
    let pairs = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name.as_bytes()), encode(&value.to_bytes())));
    pairs.collect::<Vec<_>>().join("&")
}

/// A URL made absolute, with more parameters behind those that it has. What is wrong is told without the URL, which
/// may hold secrets.
fn full_url(base: &str, url: &str, query: &[(SmolStr, Value)]) -> Result<String, Failure> {
    let refuse = |why: &str| Failure(format!("the URL of the request {why}"));
    let parsed = |error: url::ParseError| refuse(&format!("is not valid: {error}"));
    let mut joined = if has_scheme(url) {
        url::Url::parse(url).map_err(parsed)?
    } else if base.is_empty() {
        return Err(refuse("is relative, and the mapping has no `http.base`"));
    } else {
        let base = url::Url::parse(base).map_err(parsed)?;
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let climbs = |segment: &str| matches!(segment.to_lowercase().replace("%2e", ".").as_str(), "..");
        if path.split(['/', '\\']).any(climbs) {
            return Err(refuse("leads above `http.base`"));
        }
        // `./` keeps what stands before a colon from being a scheme.
        let joined = base.join(&format!("./{}", url.trim_start_matches(['/', '\\']))).map_err(parsed)?;
        if joined.origin() != base.origin() {
            return Err(refuse("leads to another server than `http.base`"));
        }
        joined
    };
    if !matches!(joined.scheme(), "http" | "https") {
        return Err(refuse(&format!("must be http or https, not {}", joined.scheme())));
    }
    if !query.is_empty() {
        let more = encode_pairs(query, "%20");
        let all = match joined.query().filter(|present| !present.is_empty()) {
            Some(present) => format!("{present}&{more}"),
            None => more,
        };
        joined.set_query(Some(&all));
    }
    Ok(joined.into())
}

/// Whether a URL begins with a scheme and `://`.
fn has_scheme(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_joined_and_keep_what_they_have() {
        let query = [("a b".into(), Value::text("ü&")), ("n".into(), Value::Int(1))];
        assert_eq!(
            full_url("https://x.io/v3/", "sms/send", &query).unwrap(),
            "https://x.io/v3/sms/send?a%20b=%C3%BC%26&n=1"
        );
        assert_eq!(full_url("", "https://x.io/a?z=1", &query[1..]).unwrap(), "https://x.io/a?z=1&n=1");
        assert_eq!(
            full_url("https://x.io/v3/", "go?to=https://y.io", &[]).unwrap(),
            "https://x.io/v3/go?to=https://y.io"
        );
        assert_eq!(full_url("https://x.io/v3/", "/bot1:a/send", &[]).unwrap(), "https://x.io/v3/bot1:a/send");
        assert!(full_url("", "relative", &[]).is_err());
        assert!(full_url("", "file:///etc/passwd", &[]).is_err());
    }

    #[test]
    fn a_relative_url_stays_where_the_base_is() {
        for url in ["\\\\evil.io/a", "//evil.io/a", "http:evil.io", "a/../../b", "%2e%2E/b", "a\\..\\b"] {
            let full = full_url("https://x.io/v3/", url, &[]);
            assert!(
                full.as_ref().is_err()
                    || full.as_ref().is_ok_and(|full| full.starts_with("https://x.io/v3/")),
                "{url}: {full:?}"
            );
        }
        assert!(full_url("https://x.io/v3/", "a/../b", &[]).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_its_secrets() {
        let error = full_url("https://x.io:port/bots3cret/", "send", &[]).unwrap_err();
        assert!(!error.0.contains("s3cret"), "{error}");
        let outgoing = Outgoing {
            method: "POST".into(),
            urls: vec!["https://x.io/bots3cret/send".into()],
            headers: vec![("authorization".into(), "Bearer s3cret".into())],
            body: Some(Bytes::from_static(b"s3cret")),
            shown: Shown::Json(Value::text("s3cret")),
            timeout: Duration::ZERO,
        };
        assert!(!format!("{outgoing:?}").contains("s3cret"), "{outgoing:?}");
    }

    #[test]
    fn headers_can_t_be_broken_out_of() {
        let mut headers = Vec::new();
        assert!(put(&mut headers, "x-a", &Value::text("a\r\nx-b: c")).is_err());
        put(&mut headers, "x-a", &Value::text("1")).unwrap();
        put(&mut headers, "x-a", &Value::text("2")).unwrap();
        assert_eq!(headers, [("x-a".into(), "2".to_string())]);
    }

    #[test]
    fn bytes_are_encoded_byte_by_byte() {
        let pairs = [("t".into(), Value::Bytes(Bytes::from_static(b"\xe8 ")))];
        assert_eq!(encode_pairs(&pairs, "+"), "t=%E8+");
    }
}
