//! What a mapping adds to a request that is complete but for it, such as a signature of the provider's own.

use smol_str::SmolStr;
use url::{Url, form_urlencoded};

use super::pairs::{self, Headers, Pairs};
use super::url::{bare, with_query};
use crate::call::Payload;
use crate::expression::{Env, Failure, Scope, Value};
use crate::plan;

/// Adds headers and query parameters; all that is there so far is visible as `out`.
pub(super) fn sign(
    sign: &plan::Sign,
    method: &SmolStr,
    url: &Url,
    payload: &Payload,
    query: &mut Pairs,
    headers: &mut Headers,
    env: &mut Env<'_>,
) -> Result<(), Failure> {
    let earlier = env.set(Scope::Out, out(method, url, payload, query));
    let added = sign.lets.bind(env).and_then(|()| Ok((sign.headers.eval(env)?, sign.query.eval(env)?)));
    env.set(Scope::Out, earlier);
    let (more_headers, more_query) = added?;
    pairs::put_all(headers, &more_headers)?;
    pairs::replace(&more_query, query)
}

/// The scope `out`. The query is that of the URL and what is behind it, as texts; a name that is repeated has a list.
fn out(method: &SmolStr, url: &Url, payload: &Payload, query: &Pairs) -> Value {
    let full = with_query(url.clone(), query);
    let mut groups: Vec<(SmolStr, Vec<Value>)> = Vec::new();
    for (name, value) in form_urlencoded::parse(full.query().unwrap_or_default().as_bytes()) {
        match groups.iter_mut().find(|(known, _)| known.as_str() == name) {
            Some((_, values)) => values.push(Value::text(value)),
            None => groups.push((SmolStr::new(name), vec![Value::text(value)])),
        }
    }
    let single = |mut values: Vec<Value>| match values.len() {
        1 => values.pop().unwrap_or_default(),
        _ => Value::list(values),
    };
    Value::record([
        ("method", Value::Text(method.clone())),
        ("url", Value::text(bare(url).as_str())),
        ("path", Value::text(url.path())),
        ("query", Value::map(groups.into_iter().map(|(name, values)| (name, single(values))))),
        ("body", payload.bytes().map(Value::Bytes).unwrap_or_default()),
    ])
}
