//! JSON Web Tokens (RFC 7519) in the compact form of RFC 7515.
//!
//! The mapping says which algorithms may have signed a token; what the token says of itself chooses among them and
//! nothing else.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::key::{PublicKeyAlgorithm, keys, verifies};
use super::signature::is_mac;
use super::{moment, refuse};
use crate::expression::{Env, Failure, Map, Value, hmac, unbase64};
use crate::plan::{Claim, ClaimTest, Jwt, JwtAlgorithm};

/// Checks a token: its signature, its times, its claims.
pub(super) fn check(jwt: &Jwt, env: &mut Env<'_>) -> Result<(), Failure> {
    let token = jwt.token.eval(env)?.to_text();
    let token = without_bearer(&token);
    if token.is_empty() {
        return refuse("the request brings no token");
    }
    let malformed = || Failure("the token has another form than expected".into());
    let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
    let json = |text: &str| unbase64(text).and_then(|json| Value::from_json(&json).ok());
    let header = json(header).filter(|header| header.as_map().is_some()).ok_or_else(malformed)?;
    let claims = json(claims).filter(|claims| claims.as_map().is_some()).ok_or_else(malformed)?;
    let signature = unbase64(signature).ok_or_else(malformed)?;
    let said = header.get("alg").to_text();
    let Some(algorithm) = jwt.algorithms.iter().find(|allowed| allowed.as_str() == said) else {
        return refuse("the token is signed by an algorithm that is not allowed");
    };
    if header.as_map().is_some_and(|header| header.get("crit").is_some()) {
        return refuse("the token has extensions that must be understood");
    }
    let mut fits = false;
    for key in keys(&jwt.key, env)? {
        fits = fits
            || match kind(*algorithm) {
                Kind::Hmac(hash) => is_mac(hash, &key, signed.as_bytes(), &signature),
                Kind::PublicKey(algorithm) => verifies(algorithm, &key, signed.as_bytes(), &signature)?,
            };
    }
    if !fits {
        return refuse("the signature of the token is wrong");
    }
    times(jwt, &claims, env)?;
    jwt.claims.iter().try_for_each(|claim| holds(claim, claims.get(&claim.name), env))
}

/// `exp`, `nbf` and `iat`, where they are there.
fn times(jwt: &Jwt, claims: &Value, env: &Env<'_>) -> Result<(), Failure> {
    let leeway = i64::try_from(jwt.leeway.as_millis()).unwrap_or(i64::MAX);
    for (name, why) in [
        ("exp", "the token has expired"),
        ("nbf", "the token is not valid yet"),
        ("iat", "the token is of the future"),
    ] {
        let value = claims.get(name);
        if matches!(value, Value::Null) {
            continue;
        }
        // RFC 7519 has seconds, perhaps with a fraction.
        #[allow(clippy::cast_possible_truncation)] // what is far away is far enough away
        let at = match value {
            Value::Float(seconds) => Some((seconds * 1000.0) as i64),
            other => moment(other),
        };
        let Some(at) = at else { return Err(Failure(format!("the claim `{name}` is no moment"))) };
        let late = if name == "exp" { env.now.saturating_sub(at) } else { at.saturating_sub(env.now) };
        if late > leeway || (name == "exp" && late == leeway) {
            return refuse(why);
        }
    }
    Ok(())
}

fn holds(claim: &Claim, value: &Value, env: &mut Env<'_>) -> Result<(), Failure> {
    if claim.optional && matches!(value, Value::Null) {
        return Ok(());
    }
    let fits = match &claim.test {
        ClaimTest::Passes(test) => test.passes(value, env)?,
        ClaimTest::Equals(wanted) => {
            let wanted = wanted.eval(env)?;
            let items = value.as_list().unwrap_or(std::slice::from_ref(value));
            let same = |item: &Value| !matches!(item, Value::Null) && item.to_text() == wanted.to_text();
            !matches!(wanted, Value::Null) && items.iter().any(same)
        }
    };
    if fits { Ok(()) } else { Err(Failure(format!("the claim `{}` of the token is wrong", claim.name))) }
}

/// A token as the provider would make it; none where only the provider can.
pub(super) fn make(jwt: &Jwt, env: &mut Env<'_>) -> Result<Option<String>, Failure> {
    const VALID: i64 = 300;
    let hash = jwt.algorithms.iter().find_map(|algorithm| match kind(*algorithm) {
        Kind::Hmac(hash) => Some((algorithm.as_str(), hash)),
        Kind::PublicKey(_) => None,
    });
    let Some((algorithm, hash)) = hash else { return Ok(None) };
    let now = env.now / 1000;
    let mut claims = Map::new();
    claims.insert("iat", Value::from(now));
    claims.insert("exp", Value::from(now + VALID));
    for claim in &jwt.claims {
        if let ClaimTest::Equals(wanted) = &claim.test {
            claims.insert(claim.name.clone(), wanted.eval(env)?);
        }
    }
    let header = Value::map([("alg", Value::text(algorithm)), ("typ", Value::text("JWT"))]);
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_json().unwrap_or_default());
    let signed = format!("{}.{}", encoded(&header), encoded(&Value::Map(claims.into())));
    let signature = keys(&jwt.key, env)?.first().and_then(|key| hmac(hash, key, signed.as_bytes()));
    Ok(signature.map(|signature| format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

/// A token without the scheme that an `Authorization` header has before it.
fn without_bearer(token: &str) -> &str {
    let token = token.trim();
    match token.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => token,
    }
}

enum Kind {
    Hmac(&'static str),
    PublicKey(PublicKeyAlgorithm),
}

fn kind(algorithm: JwtAlgorithm) -> Kind {
    match algorithm {
        JwtAlgorithm::Hs256 => Kind::Hmac("sha256"),
        JwtAlgorithm::Hs384 => Kind::Hmac("sha384"),
        JwtAlgorithm::Hs512 => Kind::Hmac("sha512"),
        JwtAlgorithm::Rs256 => Kind::PublicKey(PublicKeyAlgorithm::Rsa),
        JwtAlgorithm::Es256 => Kind::PublicKey(PublicKeyAlgorithm::P256),
    }
}
