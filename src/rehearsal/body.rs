//! The body of a webhook as a test writes it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use crate::expression::{Map, Value};
use crate::spec::{self, Raw, Receive};
use crate::wire::multipart::{self, Boundary, Part};
use crate::wire::xml;

/// The Content-Type of the body, which may be empty, and the body.
pub(super) fn body_of(given: &Receive) -> Result<(String, Bytes), String> {
    let mut bodies = Vec::new();
    if let Some(json) = &given.json {
        bodies.push(("application/json".into(), json.0.to_value().to_json().unwrap_or_default().into()));
    }
    if let Some(form) = &given.form {
        bodies.push(("application/x-www-form-urlencoded".into(), encode_form(&raw_map(form)).into()));
    }
    if let Some(tree) = &given.xml {
        let document = xml::write(&tree.0.to_value()).map_err(|problem| format!("xml: it {problem}"))?;
        bodies.push(("text/xml".into(), document.into()));
    }
    if let Some(fields) = &given.multipart {
        let boundary = Boundary::new([0; 16]);
        let parts = fields.0.iter().map(|(name, Raw(node))| parts(&name.value, &node.to_value()));
        let parts = parts.collect::<Result<Vec<_>, _>>()?.concat();
        bodies.push((boundary.content_type(), multipart::write(&parts, &boundary)));
    }
    if let Some(text) = &given.body {
        bodies.push((String::new(), Bytes::from(text.value.to_string())));
    }
    if let Some(text) = &given.body_base64 {
        bodies.push((String::new(), base64(&text.value)?));
    }
    match bodies.len() {
        0 | 1 => Ok(bodies.pop().unwrap_or_default()),
        _ => Err("a webhook has one body".into()),
    }
}

fn base64(text: &str) -> Result<Bytes, String> {
    STANDARD.decode(text.trim()).map(Bytes::from).map_err(|error| format!("this is not Base64: {error}"))
}

/// The parts that one field is.
fn parts(name: &str, value: &Value) -> Result<Vec<Part>, String> {
    match value {
        Value::List(items) => {
            Ok(items.iter().map(|item| parts(name, item)).collect::<Result<Vec<_>, _>>()?.concat())
        }
        Value::Map(file) => {
            let member = |name: &str| file.get(name).map(Value::to_text);
            let content = match member("content_base64") {
                Some(encoded) => base64(&encoded)?,
                None => Bytes::from(member("content").unwrap_or_default().to_string()),
            };
            let file_name = Some(member("name").unwrap_or_default());
            Ok(vec![Part { name: name.into(), file_name, content_type: member("type"), content }])
        }
        text => Ok(vec![Part::text(name, text.to_text().to_string())]),
    }
}

/// A map with its values as the file has them.
pub(super) fn raw_map(map: &spec::Map<Raw>) -> Value {
    Value::map(map.0.iter().map(|(name, raw)| (name.value.clone(), raw.0.to_value())))
}

fn encode_form(fields: &Value) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in fields.as_map().into_iter().flat_map(Map::iter) {
        match value {
            Value::List(items) => items.iter().for_each(|item| {
                form.append_pair(name, &item.to_text());
            }),
            one => {
                form.append_pair(name, &one.to_text());
            }
        }
    }
    form.finish()
}
