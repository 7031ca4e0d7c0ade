//! Proofs that a request comes from the provider.
//!
//! Invariants: every comparison with something secret takes the same time wherever it fails; a proof that lacks its
//! key or value fails, so that a forgotten secret lets nobody in.

mod jwt;
mod key;
mod sign;
mod signature;

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

pub use sign::sign;

use crate::expression::{Env, Failure, Scope, Template, Value};
use crate::plan::{Network, Origin, Proof, Verify};
use crate::world::Millis;

/// Why a request is refused.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) reason: String,
}

/// Checks all proofs.
pub(super) fn verify(proofs: &[Verify], env: &mut Env<'_>) -> Result<(), Refused> {
    for proof in proofs {
        if let Err(Failure(reason)) = prove(proof, env) {
            env.world.reach(proof);
            return Err(Refused { status: proof.on_fail, reason });
        }
    }
    Ok(())
}

/// Checks one proof; says whether it was asked for.
fn prove(verify: &Verify, env: &mut Env<'_>) -> Result<bool, Failure> {
    if let Some(when) = &verify.when
        && !when.holds(env)?
    {
        return Ok(false);
    }
    verify.lets.bind(env)?;
    match &verify.proof {
        Proof::Equal(left, right) => equal(left, right, env)?,
        Proof::Signature(signature) => signature::check(signature, env)?,
        Proof::Jwt(jwt) => jwt::check(jwt, env)?,
        Proof::Basic(user, password) => basic(user, password, env)?,
        Proof::Ip(origins) => ip(origins, env)?,
        Proof::Any(proofs) => any(proofs, env)?,
    }
    Ok(true)
}

fn refuse<T>(reason: &str) -> Result<T, Failure> {
    Err(Failure(reason.into()))
}

fn equal(left: &Template, right: &Template, env: &mut Env<'_>) -> Result<(), Failure> {
    let (left, right) = (left.eval(env)?.to_bytes(), right.eval(env)?.to_bytes());
    // Nothing equals nothing would let in everybody where a secret was forgotten.
    if !left.is_empty() && bool::from(left.ct_eq(&right)) {
        Ok(())
    } else {
        refuse("a value that only the provider knows is missing or wrong")
    }
}

fn basic(user: &Template, password: &Template, env: &mut Env<'_>) -> Result<(), Failure> {
    let (user, password) = (user.eval(env)?, password.eval(env)?);
    if user == Value::Null || password == Value::Null || (user.is_empty() && password.is_empty()) {
        return refuse("the user name or password is not configured");
    }
    let given = env.scope(Scope::Request).get("headers").get("authorization").to_text();
    let encoded = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let Some(decoded) = encoded.and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok()) else {
        return refuse("the request brings no user name and password");
    };
    // A user name holds no colon, so comparing the pair compares both.
    let expected = [&user.to_bytes()[..], b":", &password.to_bytes()[..]].concat();
    if bool::from(decoded.ct_eq(&expected)) { Ok(()) } else { refuse("the user name or password is wrong") }
}

fn ip(origins: &[Origin], env: &mut Env<'_>) -> Result<(), Failure> {
    let given = env.scope(Scope::Request).get("ip").to_text();
    let Ok(address) = given.parse::<IpAddr>() else {
        return refuse("it is not known where the request comes from");
    };
    for origin in origins {
        let inside = match origin {
            Origin::Fixed(network) => network.contains(address),
            Origin::Made(template) => {
                networks(template, env)?.iter().any(|network| network.contains(address))
            }
        };
        if inside {
            return Ok(());
        }
    }
    Err(Failure(format!("requests from {address} are not taken")))
}

/// The networks that a value names.
fn networks(template: &Template, env: &mut Env<'_>) -> Result<Vec<Network>, Failure> {
    let parse = |value: &Value| {
        let text = value.to_text();
        Network::parse(&text).ok_or_else(|| Failure(format!("`{text}` is not a network")))
    };
    each(&template.eval(env)?).iter().map(parse).collect()
}

fn any(proofs: &[Verify], env: &mut Env<'_>) -> Result<(), Failure> {
    let mut reasons = Vec::new();
    for proof in proofs {
        match prove(proof, env) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(failure) => reasons.push(failure.0),
        }
    }
    if reasons.is_empty() {
        return refuse("none of the proofs is asked for");
    }
    Err(Failure(format!("none of the proofs holds: {}", reasons.join("; "))))
}

/// The items of a list that are not empty, or the value that is not.
fn each(value: &Value) -> Vec<Value> {
    let items = match value {
        Value::List(items) => items.as_slice(),
        other => std::slice::from_ref(other),
    };
    items.iter().filter(|item| !item.is_empty()).cloned().collect()
}

/// A moment in milliseconds, which a value says in seconds or milliseconds.
fn moment(value: &Value) -> Option<Millis> {
    const SECONDS_BELOW: u128 = 1_000_000_000_000;
    let number = value.to_int()?;
    let number = if number.unsigned_abs() < SECONDS_BELOW { number * 1000 } else { number };
    Millis::try_from(number).ok().filter(|number| number.unsigned_abs() < 1 << 52)
}
