//! A request as a plan describes it, to what is sent.
//!
//! Everything is put in its place by a function that no value can break out of; what proves who sends it comes last,
//! so that it covers all the rest.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smol_str::{SmolStr, format_smolstr};
use url::Url;

use super::body::{self, Payload, Shown};
use super::departure::Departure;
use super::pairs::{self, Headers, Pairs, put};
use super::url::{resolve, with_query};
use super::{oauth1, sign, sigv4};
use crate::expression::{Env, Failure, Value};
use crate::plan::{Auth, Request, Target};

/// A request that is ready to be sent.
#[derive(Clone)]
pub struct Outgoing {
    /// The method, in upper case.
    pub method: SmolStr,
    /// The URLs that are tried in turn, with their query.
    pub urls: Vec<Url>,
    /// The headers; names in lower case.
    pub headers: Vec<(SmolStr, String)>,
    /// The body.
    pub body: Payload,
    /// The same body before it was encoded, for people and tests.
    pub shown: Shown,
    /// How long the response may take.
    pub timeout: Duration,
    /// Told when it goes.
    pub departure: Departure,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // URL, headers and body may hold secrets.
        f.debug_struct("Outgoing").field("method", &self.method).finish_non_exhaustive()
    }
}

impl Outgoing {
    /// The host that it goes to, with the port; `None` if there are several URLs.
    pub fn host(&self) -> Option<SmolStr> {
        let [url] = self.urls.as_slice() else { return None };
        let host = url.host_str()?;
        Some(format_smolstr!("{host}:{}", url.port_or_known_default().unwrap_or_default()))
    }
}

/// Builds a request.
pub fn build(request: &Request, timeout: Duration, env: &mut Env<'_>) -> Result<Outgoing, Failure> {
    let mut query = Pairs::new();
    for map in &request.query {
        pairs::replace(&map.eval(env)?, &mut query)?;
    }
    let body::Encoded { payload, shown, content_type } = body::encode(&request.body, request.media, env)?;
    let mut headers = Headers::new();
    if let Some(content_type) = content_type {
        put(&mut headers, "content-type", &Value::Text(content_type))?;
    }
    for map in &request.headers {
        pairs::put_all(&mut headers, &map.eval(env)?)?;
    }
    introduce(&request.auth, &mut query, &mut headers, env)?;
    let method = method(request, &payload, env)?;
    let urls = urls(request, env)?;
    let signs = matches!(request.auth, Auth::OAuth1(_) | Auth::SigV4(_)) || request.sign.is_some();
    if let ([url], true) = (urls.as_slice(), signs) {
        if let Some(plan) = &request.sign {
            sign::sign(plan, &method, url, &payload, &mut query, &mut headers, env)?;
        }
        let url = with_query(url.clone(), &query);
        prove(&request.auth, &method, &url, &payload, &mut headers, env)?;
    } else if signs {
        return Err(Failure("a request that is signed has one URL".into()));
    }
    let urls = urls.into_iter().map(|url| with_query(url, &query)).collect();
    Ok(Outgoing { method, urls, headers, body: payload, shown, timeout, departure: Departure::default() })
}

fn method(request: &Request, payload: &Payload, env: &mut Env<'_>) -> Result<SmolStr, Failure> {
    let method = match &request.method {
        Some(template) => template.eval(env)?.to_text().to_uppercase().into(),
        None if matches!(payload, Payload::Nothing) => SmolStr::new_static("GET"),
        None => SmolStr::new_static("POST"),
    };
    if !matches!(method.as_str(), "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "HEAD") {
        return Err(Failure(format!("`{method}` is not a method")));
    }
    Ok(method)
}

/// The URLs that are tried in turn, without the query that is put behind them.
fn urls(request: &Request, env: &mut Env<'_>) -> Result<Vec<Url>, Failure> {
    let (base, url) = match &request.target {
        Target::Fixed(url) => return Ok(vec![url.clone()]),
        Target::Made { base, url } => (base, url),
    };
    let base = match base {
        Some(template) => template.eval(env)?.to_text(),
        None => SmolStr::default(),
    };
    let urls = url.eval(env)?;
    pairs::items(&urls).iter().map(|url| resolve(&base, &url.to_text())).collect()
}

/// Adds what tells who sends a request and does not depend on the rest of it.
fn introduce(
    auth: &Auth,
    query: &mut Pairs,
    headers: &mut Headers,
    env: &mut Env<'_>,
) -> Result<(), Failure> {
    match auth {
        Auth::None | Auth::OAuth1(_) | Auth::SigV4(_) => Ok(()),
        Auth::Basic(user, password) => {
            let pair = format!("{}:{}", user.eval(env)?.to_text(), password.eval(env)?.to_text());
            put(headers, "authorization", &Value::from(format!("Basic {}", STANDARD.encode(pair))))
        }
        Auth::Bearer(token) => {
            let token = token.eval(env)?.to_text();
            put(headers, "authorization", &Value::from(format!("Bearer {token}")))
        }
        Auth::Header(pairs) => {
            pairs.iter().try_for_each(|(name, template)| put(headers, name, &template.eval(env)?))
        }
        Auth::Query(map) => pairs::replace(&map.eval(env)?, query),
    }
}

/// Adds a signature over all the rest.
fn prove(
    auth: &Auth,
    method: &str,
    url: &Url,
    payload: &Payload,
    headers: &mut Headers,
    env: &mut Env<'_>,
) -> Result<(), Failure> {
    match auth {
        Auth::OAuth1(keys) => {
            let form = headers.iter().any(|(name, value)| {
                name == "content-type" && value.starts_with("application/x-www-form-urlencoded")
            });
            let form = payload.bytes().filter(|_| form);
            let authorization = oauth1::authorization(keys, method, url, form.as_deref(), env)?;
            put(headers, "authorization", &Value::from(authorization))
        }
        Auth::SigV4(keys) => sigv4::sign(keys, method, url, payload.bytes(), headers, env),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_not_shown_to_a_debugger() {
        let outgoing = Outgoing {
            method: "POST".into(),
            urls: vec!["https://x.io/bots3cret/send".parse().unwrap()],
            headers: vec![("authorization".into(), "Bearer s3cret".into())],
            body: Payload::Bytes(bytes::Bytes::from_static(b"s3cret")),
            shown: Shown::Json(Value::text("s3cret")),
            timeout: Duration::ZERO,
            departure: Departure::default(),
        };
        assert!(!format!("{outgoing:?}").contains("s3cret"), "{outgoing:?}");
    }
}
