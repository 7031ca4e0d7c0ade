//! Private and public keys as text, and what is signed with them.
//!
//! Invariant: nothing of a key gets into a message.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::crypto::hmac;
use super::{Arguments, Helper};
use crate::expression::scope::Failure;
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "pem text",
        (1, 1),
        "A key or certificate in PEM with the line breaks that it must have, where they were lost or \
         turned into blanks or `\\n`; other text as it is.",
        "{{split (pem '-----BEGIN PUBLIC KEY----- MCowBQ== -----END PUBLIC KEY-----') '\n'}}",
        "[\"-----BEGIN PUBLIC KEY-----\",\"MCowBQ==\",\"-----END PUBLIC KEY-----\",\"\"]",
        |a| {
            let text = a.text(0)?;
            Some(mended(&text).map_or(Value::Text(text), Value::from))
        },
    ),
    Helper::fallible(
        "jwt_sign claims key algorithm kid",
        (3, 4),
        "A signed JSON Web Token of a map of claims. The algorithm is HS256 (the key is a text or bytes), \
         RS256 or ES256 (the key is a private key in PEM); `kid` names the key in the header.",
        "{{jwt_sign (json_obj sub='me') 'secret' 'HS256'}}",
        "\"eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJtZSJ9.cENEjabcrdVHwUg4nOwNBv8II6U_sYAuGYbsa_QP8GQ\"",
        jwt_sign,
    ),
];

fn jwt_sign(a: &Arguments<'_, '_>) -> Result<Value, Failure> {
    let (claims, key, algorithm) = (a.get(0), a.get(1), a.text(2).unwrap_or_default());
    if matches!(claims, Value::Null) || key.is_empty() {
        return Ok(Value::Null);
    }
    if claims.as_map().is_none() {
        return Err(Failure(format!("claims are a map, not {}", claims.kind())));
    }
    let claims = claims.to_json().ok_or_else(|| Failure("bytes can't be claims".into()))?;
    let named = [("alg", Value::text(&algorithm)), ("typ", Value::text("JWT")), ("kid", a.get(3).clone())];
    let header = Value::map(named.into_iter().filter(|(_, value)| !value.is_empty()));
    let header = header.to_json().ok_or_else(|| Failure("bytes can't name a key".into()))?;
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = match algorithm.as_str() {
        "HS256" => hmac("sha256", &key.to_bytes(), input.as_bytes()),
        "RS256" => rsa_sha256(&key.to_text(), input.as_bytes()),
        "ES256" => p256_sha256(&key.to_text(), input.as_bytes()),
        other => {
            return Err(Failure(format!(
                "there is no algorithm `{other}`; there are HS256, RS256 and ES256"
            )));
        }
    };
    let signature = signature.ok_or_else(|| {
        Failure(format!("the key is not a private key in PEM that {algorithm} can sign with"))
    })?;
    Ok(Value::from(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

/// The signature of a message by RSASSA-PKCS1-v1_5 with SHA-256; none if the key, in PEM, is none for it.
fn rsa_sha256(key: &str, message: &[u8]) -> Option<Vec<u8>> {
    let Pem { label, der, .. } = first_block(key)?;
    let key = match label.as_str() {
        "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der).ok()?,
        "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der).ok()?,
        _ => return None,
    };
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
    Some(signature)
}

/// The signature of a message by ECDSA on P-256 with SHA-256, as two numbers of 32 bytes; none if the key, in
/// PEM, is none for it.
fn p256_sha256(key: &str, message: &[u8]) -> Option<Vec<u8>> {
    let Pem { label, der, .. } = first_block(key)?;
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let key = match label.as_str() {
        "PRIVATE KEY" => EcdsaKeyPair::from_pkcs8(algorithm, &der).ok()?,
        "EC PRIVATE KEY" => EcdsaKeyPair::from_private_key_der(algorithm, &der).ok()?,
        _ => return None,
    };
    Some(key.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec())
}

/// One block of PEM (RFC 7468).
pub(crate) struct Pem {
    /// What it says it is, such as `PUBLIC KEY`.
    pub(crate) label: String,
    /// What it holds, in DER.
    pub(crate) der: Vec<u8>,
    /// Its Base64, without blanks.
    digits: String,
}

/// The first block of a text that is or holds PEM, whose line breaks may be lost. Parameters of an elliptic curve,
/// which some tools write before the key, are passed over.
pub(crate) fn first_block(text: &str) -> Option<Pem> {
    let mut rest = text;
    while let Some((block, behind)) = block(rest) {
        if block.label != "EC PARAMETERS" {
            return Some(block);
        }
        rest = behind;
    }
    None
}

/// The next block, and what follows it.
fn block(text: &str) -> Option<(Pem, &str)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, rest) = rest.split_once("-----END ")?;
    let (_, rest) = rest.split_once("-----")?;
    let body = body.replace("\\r", "").replace("\\n", "");
    let digits: String = body.chars().filter(|c| !c.is_whitespace()).collect();
    let der = STANDARD_NO_PAD.decode(digits.trim_end_matches('=')).ok()?;
    Some((Pem { label: label.trim().to_string(), der, digits }, rest))
}

/// All blocks with the line breaks that they must have; none where there is no block.
fn mended(text: &str) -> Option<String> {
    const WIDTH: usize = 64;
    let mut rest = text;
    let mut out = String::new();
    while let Some((Pem { label, digits, .. }, behind)) = block(rest) {
        out.push_str(&format!("-----BEGIN {label}-----\n"));
        let mut digits = digits.as_str();
        while !digits.is_empty() {
            let (line, more) = digits.split_at_checked(WIDTH).unwrap_or((digits, ""));
            out.push_str(line);
            out.push('\n');
            digits = more;
        }
        out.push_str(&format!("-----END {label}-----\n"));
        rest = behind;
    }
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::super::{Prepared, find};
    use super::*;
    use crate::expression::Env;
    use crate::world::World;

    // Made by OpenSSL: tests/fixtures/keys/make.sh. What ES256 makes is checked by OpenSSL in tests/it/signing.rs.
    const RSA_PKCS8: &str = include_str!("../../../tests/fixtures/keys/rsa_pkcs8.pem");
    const RSA_PKCS1: &str = include_str!("../../../tests/fixtures/keys/rsa_pkcs1.pem");
    const EC_PKCS8: &str = include_str!("../../../tests/fixtures/keys/ec_pkcs8.pem");
    const EC_SEC1: &str = include_str!("../../../tests/fixtures/keys/ec_sec1.pem");
    const RS256: &str = include_str!("../../../tests/fixtures/keys/token.rs256");
    const HS256: &str = include_str!("../../../tests/fixtures/keys/token.hs256");

    fn call(helper: &str, positional: &[Value]) -> Result<Value, Failure> {
        let world = World::fixed(0, 1);
        let env = Env::new(&world);
        find(helper).unwrap().run(&Arguments {
            positional,
            named: &[],
            prepared: &Prepared::Nothing,
            env: &env,
        })
    }

    fn sign(key: &str, algorithm: &str, kid: Value) -> Result<Value, Failure> {
        let claims = Value::map([("iss", Value::text("me")), ("iat", Value::Int(1_767_323_045))]);
        call("jwt_sign", &[claims, Value::text(key), Value::text(algorithm), kid])
    }

    #[test]
    fn tokens_are_what_openssl_makes() {
        assert_eq!(sign("a secret", "HS256", Value::Null), Ok(Value::text(HS256)));
        for key in [RSA_PKCS8, RSA_PKCS1] {
            for key in [key.to_string(), key.replace('\n', " "), key.replace('\n', "\\n")] {
                assert_eq!(sign(&key, "RS256", Value::text("k1")), Ok(Value::text(RS256)));
            }
        }
        for key in [EC_PKCS8, EC_SEC1] {
            let token = sign(key, "ES256", Value::Null).unwrap();
            let signature = token.as_text().unwrap().rsplit('.').next().unwrap().to_string();
            assert_eq!(URL_SAFE_NO_PAD.decode(signature).unwrap().len(), 64);
        }
    }

    #[test]
    fn a_key_that_does_not_fit_is_told_without_showing_it() {
        for (key, algorithm) in [
            (EC_PKCS8, "RS256"),
            (RSA_PKCS8, "ES256"),
            (EC_PKCS8, "none"),
            (include_str!("../../../tests/fixtures/keys/rsa.pub.pem"), "RS256"),
            ("no key", "ES256"),
            ("-----BEGIN PRIVATE KEY-----\n????\n-----END PRIVATE KEY-----", "RS256"),
        ] {
            let Failure(why) = sign(key, algorithm, Value::Null).unwrap_err();
            assert!(why.contains(algorithm) && !why.contains("BEGIN") && !why.contains("no key"), "{why}");
        }
        assert_eq!(sign("", "HS256", Value::Null), Ok(Value::Null));
    }

    #[test]
    fn lost_line_breaks_come_back() {
        for key in [RSA_PKCS8, RSA_PKCS1, EC_PKCS8, EC_SEC1] {
            for broken in
                [key.to_string(), key.replace('\n', " "), key.replace('\n', ""), key.replace('\n', "\\n")]
            {
                assert_eq!(call("pem", &[Value::from(broken)]), Ok(Value::text(key)));
            }
        }
        let other = Value::text("-----BEGIN nothing");
        assert_eq!(call("pem", std::slice::from_ref(&other)), Ok(other));
    }
}
