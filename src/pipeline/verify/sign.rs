//! The other side of the proofs, for tests and stand-ins that play the provider.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use smol_str::SmolStr;

use super::{jwt, signature};
use crate::expression::{Env, Failure, Scope, Template, hex};
use crate::pipeline::decode::decode;
use crate::pipeline::incoming::Incoming;
use crate::plan::{Encoding, Origin, Proof, Verify, Webhook};

/// Adds to a request what the webhook's proofs ask for, as far as whoever knows the mapping and its secrets can make
/// it, and where the proofs look for it in a header or query parameter.
pub fn sign(webhook: &Webhook, request: &mut Incoming, env: &mut Env<'_>) -> Result<(), Failure> {
    env.set(Scope::Request, request.scope(Vec::new()));
    // A body that can't be read is what a test may be about.
    let _ = decode(&webhook.decode, request, env);
    webhook.verify.iter().try_for_each(|verify| add(verify, request, env).map(drop))
}

/// Adds one proof; says whether that could be done.
fn add(verify: &Verify, request: &mut Incoming, env: &mut Env<'_>) -> Result<bool, Failure> {
    env.set(Scope::Request, request.scope(Vec::new()));
    if let Some(when) = &verify.when
        && !when.holds(env)?
    {
        return Ok(false);
    }
    verify.lets.bind(env)?;
    let (place, value) = match &verify.proof {
        Proof::Equal(left, right) => {
            let (place, other) = if place_of(left).is_some() { (left, right) } else { (right, left) };
            (place_of(place), Some(other.eval(env)?.to_text()))
        }
        Proof::Signature(signature) => {
            let made = signature::make(signature, env)?.map(|bytes| match signature.encoding {
                Encoding::Hex => hex(&bytes),
                Encoding::Base64 => STANDARD.encode(bytes),
                Encoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
            });
            let written = made.map(|made| SmolStr::from(format!("{}{made}", signature.prefix)));
            (place_of(&signature.actual), written)
        }
        Proof::Jwt(jwt) => (place_of(&jwt.token), jwt::make(jwt, env)?.map(SmolStr::from)),
        Proof::Basic(user, password) => {
            let pair = format!("{}:{}", user.eval(env)?.to_text(), password.eval(env)?.to_text());
            let place = Place { kind: "headers", name: "authorization".into(), prefix: "Basic ".into() };
            (Some(place), Some(STANDARD.encode(pair).into()))
        }
        Proof::Ip(origins) => {
            if let (true, Some(Origin::Fixed(network))) = (request.ip.is_empty(), origins.first()) {
                request.ip = network.first().to_string();
            }
            return Ok(true);
        }
        Proof::Any(proofs) => {
            for proof in proofs {
                if add(proof, request, env)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
    };
    let (Some(place), Some(value)) = (place, value) else { return Ok(false) };
    place.put(&value, request);
    Ok(true)
}

/// Where in a request a proof looks for a value, and what it takes from before it.
struct Place {
    kind: &'static str,
    name: SmolStr,
    prefix: SmolStr,
}

impl Place {
    fn put(&self, value: &str, request: &mut Incoming) {
        let value = format!("{}{value}", self.prefix);
        if self.kind == "headers" {
            request.headers.retain(|(key, _)| *key != self.name);
            request.headers.push((self.name.clone(), value.into()));
            return;
        }
        let mut pair = url::form_urlencoded::Serializer::new(String::new());
        let pair = pair.append_pair(&self.name, &value).finish();
        let (mark, join) = if request.query.is_empty() { ("?", "") } else { ("&", "&") };
        request.query = format!("{}{join}{pair}", request.query);
        request.url = format!("{}{mark}{pair}", request.url);
    }
}

/// `request.headers.NAME` or `request.query.NAME`, perhaps without a literal prefix, or one of several.
fn place_of(template: &Template) -> Option<Place> {
    let Template::Expression(expr) = template else { return None };
    let (expr, prefix) = expr.as_taken_from().unwrap_or((expr, SmolStr::default()));
    let (kind, name) = match expr.as_scope_path()? {
        (Scope::Request, [kind, name]) if kind == "headers" => ("headers", SmolStr::new(name.to_lowercase())),
        (Scope::Request, [kind, name]) if kind == "query" => ("query", name.clone()),
        _ => return None,
    };
    Some(Place { kind, name, prefix })
}
