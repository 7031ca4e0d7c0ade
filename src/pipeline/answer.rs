//! Answers to webhooks.

use bytes::Bytes;

use crate::expression::{Env, Failure, Value};
use crate::plan::{Answer, AnswerBody};
use crate::wire::xml;

/// What is answered to a webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

impl Reply {
    /// An error as JSON.
    pub fn error(status: u16, message: &str) -> Self {
        let body = Value::map([("error", Value::map([("message", Value::text(message))]))]);
        Self::json(status, &body)
    }

    /// JSON.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_json().unwrap_or_default())
    }

    fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let headers =
            if content_type.is_empty() { vec![] } else { vec![("content-type".into(), content_type.into())] };
        Self { status, headers, body: body.into() }
    }
}

/// Makes an answer. By HTTP, 204 and 304 have no body.
pub(super) fn answer(answer: &Answer, env: &mut Env<'_>) -> Result<Reply, Failure> {
    let status = answer.status.eval(env)?;
    let status = status
        .to_int()
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (200..600).contains(status))
        .ok_or_else(|| Failure(format!("`{}` is not an HTTP status", status.to_text())))?;
    let content_type = answer.content_type.eval(env)?.to_text();
    if content_type.contains(['\r', '\n']) {
        return Err(Failure("a Content-Type can't hold a line break".into()));
    }
    let or =
        |otherwise: &'static str| if content_type.is_empty() { otherwise } else { content_type.as_str() };
    if matches!(status, 204 | 304) {
        return Ok(Reply::new(status, &content_type, Bytes::new()));
    }
    Ok(match &answer.body {
        AnswerBody::Text(template) => {
            let body = template.eval(env)?.to_bytes();
            Reply::new(status, or(if body.is_empty() { "" } else { "text/plain; charset=utf-8" }), body)
        }
        AnswerBody::Json(template) => {
            let value = template.eval(env)?;
            let json = value.to_json().ok_or_else(|| Failure("bytes can't be put into JSON".into()))?;
            Reply::new(status, or("application/json"), json)
        }
        AnswerBody::Xml(template) => {
            let document = xml::write(&template.eval(env)?);
            let document = document.map_err(|problem| Failure(format!("an XML answer {problem}")))?;
            Reply::new(status, or("text/xml; charset=utf-8"), document)
        }
    })
}
