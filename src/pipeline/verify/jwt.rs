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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::{Template, Test, hex};
    use crate::world::World;
    use std::time::Duration;

    // RFC 7515, A.1 and A.3: two tokens of the same claims, `iss` is `joe`, `exp` is 1300819380.
    const HS256: &str = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh\
        0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const SECRET: &str =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmN\
        vbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU\
        1Q";
    const POINT: [&str; 2] =
        ["f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"];
    const THEN: i64 = 1_300_819_380_000;

    fn secret() -> Value {
        Value::Bytes(unbase64(SECRET).unwrap().into())
    }

    fn point() -> Value {
        let [x, y] = POINT.map(|half| hex(&unbase64(half).unwrap()));
        Value::from(format!("04{x}{y}"))
    }

    fn token(token: &str, algorithms: &[JwtAlgorithm], key: Value) -> Jwt {
        Jwt {
            token: Template::Literal(Value::text(token)),
            algorithms: algorithms.to_vec(),
            key: Template::Literal(key),
            claims: Vec::new(),
            leeway: Duration::from_secs(30),
        }
    }

    fn checked(jwt: &Jwt, now: i64) -> Result<(), String> {
        let world = World::fixed(now, 1);
        check(jwt, &mut Env::new(&world)).map_err(|failure| failure.0)
    }

    fn claiming(name: &str, optional: bool, test: ClaimTest) -> Result<(), String> {
        let claims = vec![Claim { name: name.into(), optional, test }];
        checked(&Jwt { claims, ..token(HS256, &[JwtAlgorithm::Hs256], secret()) }, 0)
    }

    /// A token of these claims, signed by `k`.
    fn signed(header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = hmac("sha256", b"k", signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn the_tokens_of_rfc_7515_hold_until_they_expire() {
        for jwt in [
            token(HS256, &[JwtAlgorithm::Hs256], secret()),
            token(&format!("bearer  {HS256} "), &[JwtAlgorithm::Hs512, JwtAlgorithm::Hs256], secret()),
            token(HS256, &[JwtAlgorithm::Hs256], Value::list(vec![Value::text("old"), secret()])),
            token(ES256, &[JwtAlgorithm::Es256], point()),
        ] {
            assert_eq!(checked(&jwt, THEN - 1), Ok(()));
            assert_eq!(checked(&jwt, THEN + 29_999), Ok(()));
            assert_eq!(checked(&jwt, THEN + 30_000).unwrap_err(), "the token has expired");
        }
    }

    #[test]
    fn a_token_by_openssl_holds_and_one_byte_less_does_not() {
        let read = |name: &str| std::fs::read_to_string(format!("tests/fixtures/signatures/{name}")).unwrap();
        let (key, jwt) = (Value::from(read("rsa.pub.pem")), read("rs256.jwt"));
        let now = 1_767_323_045_000;
        assert_eq!(checked(&token(&jwt, &[JwtAlgorithm::Rs256], key.clone()), now), Ok(()));
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        for wrong in
            [format!("{signed}.{}", &signature[4..]), format!("{signed}."), jwt.replacen("ey", "eY", 2)]
        {
            assert!(checked(&token(&wrong, &[JwtAlgorithm::Rs256], key.clone()), now).is_err());
        }
    }

    #[test]
    fn the_token_does_not_choose_how_it_is_checked() {
        let not_allowed = "the token is signed by an algorithm that is not allowed";
        assert_eq!(checked(&token(HS256, &[JwtAlgorithm::Hs512], secret()), 0).unwrap_err(), not_allowed);
        for algorithm in ["none", "None", "", "hs256"] {
            let forged = signed(&format!(r#"{{"alg":"{algorithm}"}}"#), "{}");
            let jwt = token(&forged, &[JwtAlgorithm::Hs256], Value::text("k"));
            assert_eq!(checked(&jwt, 0).unwrap_err(), not_allowed);
            let bare = format!("{}.", forged.rsplit_once('.').unwrap().0);
            assert_eq!(
                checked(&token(&bare, &[JwtAlgorithm::Hs256], Value::text("k")), 0).unwrap_err(),
                not_allowed
            );
        }
        let critical = signed(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#, "{}");
        let jwt = token(&critical, &[JwtAlgorithm::Hs256], Value::text("k"));
        assert!(checked(&jwt, 0).unwrap_err().contains("must be understood"));
    }

    #[test]
    fn times_are_checked_where_they_are_there() {
        let at = |claims: &str| {
            let jwt = token(&signed(r#"{"alg":"HS256"}"#, claims), &[JwtAlgorithm::Hs256], Value::text("k"));
            checked(&jwt, 1_000_000)
        };
        assert_eq!(at("{}"), Ok(()));
        assert_eq!(
            at(r#"{"nbf":1030,"iat":1030.5e0,"exp":970.001}"#).unwrap_err(),
            "the token is of the future"
        );
        assert_eq!(at(r#"{"nbf":1030,"iat":1029.5,"exp":970.001}"#), Ok(()));
        assert_eq!(at(r#"{"nbf":1031}"#).unwrap_err(), "the token is not valid yet");
        assert_eq!(at(r#"{"exp":"soon"}"#).unwrap_err(), "the claim `exp` is no moment");
        assert_eq!(at(r#"{"exp":-1e300}"#).unwrap_err(), "the token has expired");
    }

    #[test]
    fn claims_must_be_what_the_mapping_says() {
        let equals = |value: Value| ClaimTest::Equals(Template::Literal(value));
        assert_eq!(claiming("iss", false, equals("joe".into())), Ok(()));
        assert_eq!(claiming("http://example.com/is_root", false, equals("true".into())), Ok(()));
        let wrong = claiming("iss", false, equals("jim".into())).unwrap_err();
        assert_eq!(wrong, "the claim `iss` of the token is wrong");
        assert!(claiming("iss", true, equals("jim".into())).is_err());
        assert!(claiming("aud", false, equals("me".into())).is_err());
        assert_eq!(claiming("aud", true, equals("me".into())), Ok(()));
        // What is not configured is not what an attacker leaves out.
        assert!(claiming("aud", false, equals(Value::Null)).is_err());
        assert!(claiming("iss", false, equals(Value::Null)).is_err());
        assert_eq!(claiming("iss", false, ClaimTest::Passes(Test::Present)), Ok(()));
        assert!(claiming("aud", false, ClaimTest::Passes(Test::Present)).is_err());
    }

    #[test]
    fn an_audience_may_be_one_of_several() {
        let jwt = Jwt {
            claims: vec![Claim {
                name: "aud".into(),
                optional: false,
                test: ClaimTest::Equals(Template::Literal("b".into())),
            }],
            ..token(&signed(r#"{"alg":"HS256"}"#, r#"{"aud":["a","b"]}"#), &[JwtAlgorithm::Hs256], "k".into())
        };
        assert_eq!(checked(&jwt, 0), Ok(()));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for text in
            ["", "Bearer ", "a", "a.b", "a.b.c", "..", "e30.e30.", "e30.e30.e30.e30", "W10.W10.AA", "é.é.é"]
        {
            assert!(checked(&token(text, &[JwtAlgorithm::Hs256], "k".into()), 0).is_err(), "{text}");
        }
        let unkeyed = token(HS256, &[JwtAlgorithm::Hs256], Value::text(""));
        assert_eq!(checked(&unkeyed, 0).unwrap_err(), "the key of the signature is not configured");
    }

    #[test]
    fn what_is_made_holds() {
        let world = World::fixed(THEN, 1);
        for algorithm in [JwtAlgorithm::Hs256, JwtAlgorithm::Hs384, JwtAlgorithm::Hs512] {
            let claims = vec![Claim {
                name: "sub".into(),
                optional: false,
                test: ClaimTest::Equals(Template::Literal("x".into())),
            }];
            let mut jwt = Jwt { claims, ..token("", &[algorithm], "k".into()) };
            let made = make(&jwt, &mut Env::new(&world)).unwrap().unwrap();
            jwt.token = Template::Literal(made.into());
            assert_eq!(checked(&jwt, THEN), Ok(()));
        }
        assert_eq!(make(&token("", &[JwtAlgorithm::Rs256], "k".into()), &mut Env::new(&world)), Ok(None));
    }
}
