//! A webhook request as it came in.

use std::collections::HashMap;

use bytes::Bytes;
use percent_encoding::percent_decode;
use smol_str::{SmolStr, format_smolstr};

use crate::expression::{Map, Value, decode};

/// A webhook request as it came in, byte for byte.
#[derive(Clone, Debug, Default)]
pub struct Incoming {
    /// The method, in upper case.
    pub method: SmolStr,
    /// The whole URL as the provider called it.
    pub url: String,
    /// The path below the channel: what the mapping's routes name.
    pub route: String,
    /// What stands behind the `?`.
    pub query: String,
    /// The headers; names in lower case.
    pub headers: Vec<(SmolStr, SmolStr)>,
    /// The body.
    pub body: Bytes,
    /// Who called; may be empty.
    pub ip: String,
}

impl Incoming {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The MIME type of the body without its parameters, in lower case.
    pub fn content_type(&self) -> String {
        let text = self.header("content-type").unwrap_or_default();
        text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// The fields of the query.
    pub(super) fn query(&self) -> Map {
        pairs(self.query.as_bytes(), "")
    }

    /// The fields of a form body, however it is declared.
    pub(super) fn form(&self) -> Map {
        if self.content_type() == "application/json" { Map::new() } else { pairs(&self.body, self.charset()) }
    }

    /// The body as text. Telling that all of it is UTF-8 is far quicker than looking for what is not.
    fn text(&self) -> Value {
        match std::str::from_utf8(&self.body) {
            Ok(text) => Value::text(text),
            Err(_) => Value::text(String::from_utf8_lossy(&self.body)),
        }
    }

    /// The charset that the Content-Type names; empty where it names none.
    fn charset(&self) -> &str {
        let parameters = self.header("content-type").unwrap_or_default().split(';').skip(1);
        let mut named = parameters.filter_map(|parameter| parameter.split_once('='));
        let charset = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
        charset.map_or("", |(_, charset)| charset.trim().trim_matches('"'))
    }

    /// The scope `request`.
    pub(super) fn scope(&self, path_params: Vec<(SmolStr, SmolStr)>) -> Value {
        let (host, path) = split_url(&self.url);
        let path = SmolStr::new(path);
        let uri = if self.query.is_empty() { path.clone() } else { format_smolstr!("{path}?{}", self.query) };
        let headers: Map =
            self.headers.iter().map(|(name, value)| (name.clone(), Value::Text(value.clone()))).collect();
        let params: Map = path_params.into_iter().map(|(name, value)| (name, Value::Text(value))).collect();
        Value::record([
            ("method", Value::Text(self.method.clone())),
            ("url", Value::text(&self.url)),
            ("host", Value::text(host)),
            ("path", Value::Text(path)),
            ("uri", Value::from(uri)),
            ("route", Value::text(&self.route)),
            ("query", Value::Map(self.query().into())),
            ("headers", Value::Map(headers.folding().into())),
            ("form", Value::Map(self.form().into())),
            ("raw", Value::Bytes(self.body.clone())),
            ("body", self.text()),
            ("path_params", Value::Map(params.into())),
            ("ip", Value::text(&self.ip)),
        ])
    }
}

/// The pairs of a query or form; a repeated name has a list; names are found in any case.
fn pairs(text: &[u8], charset: &str) -> Map {
    let mut order: Vec<(SmolStr, Vec<Value>)> = Vec::new();
    let mut places = HashMap::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let (name, value) = match pair.iter().position(|byte| *byte == b'=') {
            Some(at) => pair.split_at(at),
            None => (pair, &b""[..]),
        };
        let name = field(name, charset).to_text();
        let place = *places.entry(name.clone()).or_insert_with(|| {
            order.push((name, Vec::new()));
            order.len() - 1
        });
        if let Some((_, values)) = order.get_mut(place) {
            values.push(field(value.strip_prefix(b"=").unwrap_or_default(), charset));
        }
    }
    let single = |mut values: Vec<Value>| match values.len() {
        1 => values.pop().unwrap_or_default(),
        _ => Value::list(values),
    };
    order.into_iter().map(|(name, values)| (name, single(values))).collect::<Map>().folding()
}

/// A name or value of a form: text of the charset, or of UTF-8 where none is named. What is neither stays bytes, so
/// that the mapping can decode it.
fn field(text: &[u8], charset: &str) -> Value {
    let bytes: Vec<u8> = if text.contains(&b'+') {
        let spaced: Vec<u8> = text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&spaced).collect()
    } else {
        percent_decode(text).collect()
    };
    match String::from_utf8(bytes) {
        Ok(text) if charset.is_empty() || charset.eq_ignore_ascii_case("utf-8") || text.is_ascii() => {
            Value::from(text)
        }
        Ok(text) => decoded(text.into_bytes(), charset),
        Err(error) => decoded(error.into_bytes(), charset),
    }
}

fn decoded(bytes: Vec<u8>, charset: &str) -> Value {
    match decode(&bytes, &charset.to_ascii_lowercase()) {
        Ok(text) if !charset.eq_ignore_ascii_case("utf-8") => Value::from(text),
        _ => Value::Bytes(bytes.into()),
    }
}

/// The host with its port, and the path.
fn split_url(url: &str) -> (&str, &str) {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_become_lists_and_case_is_folded() {
        let map = pairs(b"a=1&B=x+y&a=%C3%A9&&empty=", "");
        assert_eq!(map.get("a").unwrap().to_json().unwrap(), r#"["1","é"]"#);
        assert_eq!(map.get("b"), Some(&Value::text("x y")));
        assert_eq!(map.get("empty"), Some(&Value::text("")));
    }

    #[test]
    fn a_charset_is_decoded_and_what_is_no_text_stays_bytes() {
        let value = |charset| pairs(b"t=tr%E8s", charset).get("t").cloned().unwrap();
        assert_eq!(value("ISO-8859-1"), Value::text("très"));
        assert_eq!(value(""), Value::Bytes(Bytes::from_static(b"tr\xe8s")));
        assert_eq!(value("utf-8"), value(""));
        assert_eq!(value("no-such-charset"), value(""));
        let request = Incoming {
            headers: vec![("content-type".into(), "text/plain; Charset=\"latin1\"".into())],
            body: Bytes::from_static(b"t=%e8"),
            ..Incoming::default()
        };
        assert_eq!(request.form().get("t"), Some(&Value::text("è")));
    }

    #[test]
    fn urls_fall_into_host_and_path() {
        assert_eq!(split_url("https://a.example:8443/b/c?d=/"), ("a.example:8443", "/b/c"));
        assert_eq!(split_url("https://a.example"), ("a.example", "/"));
    }
}
