//! What is answered: the only table of status codes.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use super::admin::TurnedAway;
use super::requests::Refused as Unreadable;
use crate::expression::Value;
use crate::gateway::{Changed, MessageAnswer, Refused, Unserved, WebhookAnswer};
use crate::media::{BadToken, File, NoFile};
use crate::pipeline::{NoRoute, Reply};
use crate::store::StoreError;

/// How long a caller is asked to wait while the gateway can't store, in seconds.
const RETRY_AFTER: &str = "2";

/// To a caller beyond the allowed connections.
pub(super) const FULL: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 2\r\n\
    content-length: 53\r\nconnection: close\r\n\r\n{\"error\":{\"message\":\"too many connections are open\"}}";

/// To `POST /message`.
pub(super) fn message(answer: MessageAnswer) -> Response {
    platform(answer.map(|mid| Value::map([("mId", Value::from(mid))])))
}

/// To `POST /actions/{name}`.
pub(super) fn action(answer: Result<(), Refused>) -> Response {
    platform(answer.map(|()| Value::map([("ok", Value::Bool(true))])))
}

fn platform(answer: Result<Value, Refused>) -> Response {
    match answer {
        Ok(body) => json(200, &body),
        Err(refused) => {
            let status = match refused {
                Refused::NoChannel(_) | Refused::NoAction(_) => 404,
                Refused::Token => 401,
                Refused::Message(_) => 400,
                Refused::Store(StoreError::Busy) | Refused::Busy => 429,
                Refused::Provider(_) => 502,
                Refused::Store(_) => 503,
            };
            error(status, &refused.to_string())
        }
    }
}

/// To an operator.
pub(super) fn operator(answer: Result<Changed, StoreError>) -> Response {
    match answer {
        // It holds numbers and texts only, none of which can fail to become JSON.
        Ok(changed) => {
            response(200, "application/json", serde_json::to_vec(&changed).unwrap_or_default().into())
        }
        Err(problem) => error(503, &format!("the store can't do it now: {problem}")),
    }
}

/// To an operator who is none.
pub(super) fn turned_away(turned_away: TurnedAway) -> Response {
    let status = if turned_away == TurnedAway::Token { 401 } else { 403 };
    error(status, &turned_away.to_string())
}

/// To a request of an operator that says something else than it may.
pub(super) fn not_understood(problem: &str) -> Response {
    error(400, problem)
}

/// To a provider's webhook.
pub(super) fn webhook(answer: WebhookAnswer) -> Response {
    match answer {
        WebhookAnswer::Reply(answer) => reply(answer),
        WebhookAnswer::Unknown(message) => error(404, &message),
        WebhookAnswer::NoRoute(problem @ NoRoute::Path { .. }) => error(404, &problem.to_string()),
        WebhookAnswer::NoRoute(problem @ NoRoute::Method { .. }) => error(405, &problem.to_string()),
        WebhookAnswer::Store(problem) => {
            error(503, &format!("the gateway can't store messages now: {problem}"))
        }
    }
}

/// To `/media/{token}`.
pub(super) fn file(file: Result<File, Unserved>) -> Response {
    let file = match file {
        Ok(file) => file,
        Err(unserved) => return no_file(&unserved),
    };
    let mut response = Response::new(file.body.map_or_else(Body::empty, Body::from_stream));
    *response.status_mut() = StatusCode::from_u16(file.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in file.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn no_file(unserved: &Unserved) -> Response {
    let status = match unserved {
        Unserved::Token(BadToken::Forged) => 403,
        Unserved::Token(BadToken::Expired) => 410,
        Unserved::NoChannel | Unserved::File(NoFile::Gone) => 404,
        Unserved::File(NoFile::TooLarge(_)) => 413,
        Unserved::File(NoFile::Refused(_)) => 502,
        Unserved::Busy | Unserved::Store(_) | Unserved::File(NoFile::Later(..)) => 503,
    };
    let mut response = error(status, &unserved.to_string());
    if let Unserved::File(NoFile::Later(_, Some(millis))) = unserved {
        let seconds = HeaderValue::from(millis.div_ceil(1000));
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// To `/readyz`.
pub(super) fn ready(ready: Result<(), StoreError>) -> Response {
    match ready {
        Ok(()) => plain(200, "ready\n"),
        Err(problem) => plain(503, &format!("the store does not answer: {problem}\n")),
    }
}

/// To a request that could not be read.
pub(super) fn refused(refused: &Unreadable) -> Response {
    let status = match refused {
        Unreadable::TooLarge(_) => 413,
        Unreadable::TooSlow => 408,
        Unreadable::Broken(_) => 400,
        Unreadable::NoRoom => 503,
    };
    error(status, &refused.to_string())
}

/// An error, in the platform's form.
pub(super) fn error(status: u16, message: &str) -> Response {
    json(status, &Value::map([("error", Value::map([("message", Value::text(message))]))]))
}

/// Plain text.
pub(super) fn plain(status: u16, text: &str) -> Response {
    response(status, "text/plain; charset=utf-8", text.to_string().into())
}

fn json(status: u16, body: &Value) -> Response {
    response(status, "application/json", body.to_json().unwrap_or_default().into())
}

fn response(status: u16, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if matches!(status, 429 | 503) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
    }
    response
}

/// An answer as it goes out: 204 and 304 have no body, so no length of one is told.
pub(super) fn without_needless_length(mut response: Response) -> Response {
    if matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

fn reply(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        if let (Ok(name), Ok(value)) = (header::HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
