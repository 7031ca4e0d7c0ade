//! A webhook request as it came in.

use bytes::Bytes;
use smol_str::{SmolStr, format_smolstr};

use crate::expression::{Map, Value};
use crate::wire::form::{self, Charset};
use crate::wire::parameter;

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
        form::read(self.query.as_bytes(), Charset::Unknown)
    }

    /// The fields of a form body, however it is declared.
    pub(super) fn form(&self) -> Map {
        if self.content_type() == "application/json" {
            return Map::new();
        }
        form::read(&self.body, Charset::of(&self.charset()))
    }

    /// The body as text. Telling that all of it is UTF-8 is far quicker than looking for what is not.
    fn text(&self) -> Value {
        match std::str::from_utf8(&self.body) {
            Ok(text) => Value::text(text),
            Err(_) => Value::text(String::from_utf8_lossy(&self.body)),
        }
    }

    /// The charset that the Content-Type names; empty where it names none.
    pub(super) fn charset(&self) -> String {
        parameter(self.header("content-type").unwrap_or_default(), "charset").unwrap_or_default()
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
    fn the_charset_of_the_content_type_is_that_of_a_form() {
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
