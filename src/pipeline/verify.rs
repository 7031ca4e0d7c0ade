//! Proofs that a request comes from the provider; every comparison takes the same time wherever it fails.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use smol_str::SmolStr;
use subtle::ConstantTimeEq;

use super::incoming::Incoming;
use crate::expression::{Env, Failure, Scope, Template, hex, hmac, unbase64, unhex};
use crate::plan::{Algorithm, Encoding, Proof, Signature, Verify};
use crate::world::Millis;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) reason: String,
}

/// Checks all proofs.
pub(super) fn verify(proofs: &[Verify], env: &mut Env<'_>) -> Result<(), Refused> {
    for verify in proofs {
        let refuse = |reason: String| Refused { status: verify.on_fail, reason };
        let asked = match &verify.when {
            None => true,
            Some(when) => when.holds(env).map_err(|failure| refuse(failure.to_string()))?,
        };
        if asked {
            check(&verify.proof, env).map_err(|failure| refuse(failure.0))?;
        }
    }
    Ok(())
}

fn check(proof: &Proof, env: &mut Env<'_>) -> Result<(), Failure> {
    match proof {
        Proof::Equal(left, right) => {
            let (left, right) = (left.eval(env)?.to_bytes(), right.eval(env)?.to_bytes());
            // Nothing equals nothing would let in everybody where a secret was forgotten.
            let same = !left.is_empty() && bool::from(left.ct_eq(&right));
            if same {
                Ok(())
            } else {
                Err(Failure("a value that only the provider knows is missing or wrong".into()))
            }
        }
        Proof::Signature(signature) => check_signature(signature, env),
    }
}

fn check_signature(signature: &Signature, env: &mut Env<'_>) -> Result<(), Failure> {
    let refuse = |reason: &str| Err(Failure(reason.into()));
    let actual = signature.actual.eval(env)?.to_text();
    if actual.is_empty() {
        return refuse("the request is not signed");
    }
    let Some(written) = actual.strip_prefix(signature.prefix.as_str()) else {
        return refuse("the signature has another form than expected");
    };
    let given = match signature.encoding {
        Encoding::Hex => unhex(written),
        Encoding::Base64 | Encoding::Base64Url => unbase64(written),
    };
    let Some(given) = given else {
        return refuse("the signature has another form than expected");
    };
    if let Some((timestamp, tolerance)) = &signature.timestamp {
        let moment = moment(timestamp, env)?;
        let away = (env.now - moment).unsigned_abs();
        if u128::from(away) > tolerance.as_millis() {
            return refuse("the signature is too old");
        }
    }
    let expected = compute(signature, env)?;
    if bool::from(expected.ct_eq(&given)) { Ok(()) } else { refuse("the signature is wrong") }
}

fn moment(timestamp: &Template, env: &mut Env<'_>) -> Result<Millis, Failure> {
    const SECONDS_BELOW: u128 = 1_000_000_000_000;
    let number = timestamp.eval(env)?.to_int();
    let number =
        number.map(|number| if number.unsigned_abs() < SECONDS_BELOW { number * 1000 } else { number });
    number
        .and_then(|number| Millis::try_from(number).ok())
        .filter(|number| number.unsigned_abs() < 1 << 52)
        .ok_or_else(|| Failure("the moment of signing is missing".into()))
}

fn compute(signature: &Signature, env: &mut Env<'_>) -> Result<Vec<u8>, Failure> {
    let key = signature.key.eval(env)?.to_bytes();
    if key.is_empty() {
        return Err(Failure("the key of the signature is not configured".into()));
    }
    let over = signature.over.eval(env)?.to_bytes();
    let algorithm = match signature.algorithm {
        Algorithm::HmacSha1 => "sha1",
        Algorithm::HmacSha256 => "sha256",
        Algorithm::HmacSha512 => "sha512",
    };
    hmac(algorithm, &key, &over).ok_or_else(|| Failure("unknown algorithm".into()))
}

/// Adds to a request what the proofs ask for, where they look for it in a header or query parameter: for tests
/// and stand-ins that play the provider.
pub fn sign(proofs: &[Verify], request: &mut Incoming, env: &mut Env<'_>) -> Result<(), Failure> {
    for verify in proofs {
        env.set(Scope::Request, request.scope(Vec::new()));
        let (place, value) = match &verify.proof {
            Proof::Equal(left, right) => {
                let (place, other) =
                    if request_place(left).is_some() { (left, right) } else { (right, left) };
                (place, other.eval(env)?.to_text())
            }
            Proof::Signature(signature) => {
                let bytes = compute(signature, env)?;
                let written = match signature.encoding {
                    Encoding::Hex => hex(&bytes),
                    Encoding::Base64 => STANDARD.encode(bytes),
                    Encoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
                };
                (&signature.actual, SmolStr::from(format!("{}{written}", signature.prefix)))
            }
        };
        match request_place(place) {
            Some(("headers", name)) => {
                request.headers.retain(|(key, _)| *key != name);
                request.headers.push((name, value));
            }
            Some(("query", name)) => {
                let pair =
                    url::form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
                let (mark, join) = if request.query.is_empty() { ("?", "") } else { ("&", "&") };
                request.query = format!("{}{join}{pair}", request.query);
                request.url = format!("{}{mark}{pair}", request.url);
            }
            _ => {}
        }
    }
    Ok(())
}

/// `request.headers.NAME` or `request.query.NAME`.
fn request_place(template: &Template) -> Option<(&'static str, SmolStr)> {
    let Template::Expression(expr) = template else { return None };
    match expr.as_scope_path()? {
        (Scope::Request, [kind, name]) if kind == "headers" => {
            Some(("headers", SmolStr::new(name.to_lowercase())))
        }
        (Scope::Request, [kind, name]) if kind == "query" => Some(("query", name.clone())),
        _ => None,
    }
}
