//! Signatures over a request.

use subtle::ConstantTimeEq;

use super::key::{PublicKeyAlgorithm, keys, verifies};
use super::{each, moment, refuse};
use crate::expression::{Env, Failure, hmac, unbase64, unhex};
use crate::plan::{Algorithm, Encoding, Signature};

/// Checks a signature: any of those that came, by any of the keys.
pub(super) fn check(signature: &Signature, env: &mut Env<'_>) -> Result<(), Failure> {
    let actual = each(&signature.actual.eval(env)?);
    if actual.is_empty() {
        return refuse("the request is not signed");
    }
    let bytes = |written: &str| match signature.encoding {
        Encoding::Hex => unhex(written),
        Encoding::Base64 | Encoding::Base64Url => unbase64(written),
    };
    let given: Vec<Vec<u8>> = actual
        .iter()
        .filter_map(|actual| actual.to_text().strip_prefix(signature.prefix.as_str()).and_then(bytes))
        .collect();
    if given.is_empty() {
        return refuse("the signature has another form than expected");
    }
    if let Some((timestamp, tolerance)) = &signature.timestamp {
        let Some(moment) = moment(&timestamp.eval(env)?) else {
            return refuse("the moment of signing is missing");
        };
        if u128::from((env.now - moment).unsigned_abs()) > tolerance.as_millis() {
            return refuse("the signature is too old");
        }
    }
    let keys = keys(&signature.key, env)?;
    let over = signature.over.eval(env)?.to_bytes();
    for key in &keys {
        for given in &given {
            let fits = match kind(signature.algorithm) {
                Kind::Hmac(algorithm) => is_mac(algorithm, key, &over, given),
                Kind::PublicKey(algorithm) => verifies(algorithm, key, &over, given)?,
            };
            if fits {
                return Ok(());
            }
        }
    }
    refuse("the signature is wrong")
}

/// A signature as the provider would make it; none where only the provider can.
pub(super) fn make(signature: &Signature, env: &mut Env<'_>) -> Result<Option<Vec<u8>>, Failure> {
    let Kind::Hmac(algorithm) = kind(signature.algorithm) else { return Ok(None) };
    let keys = keys(&signature.key, env)?;
    let over = signature.over.eval(env)?.to_bytes();
    Ok(keys.first().and_then(|key| hmac(algorithm, key, &over)))
}

/// Whether that is the keyed hash of a message.
pub(super) fn is_mac(algorithm: &str, key: &[u8], message: &[u8], given: &[u8]) -> bool {
    hmac(algorithm, key, message).is_some_and(|expected| expected.ct_eq(given).into())
}

enum Kind {
    /// By a shared secret, with that hash.
    Hmac(&'static str),
    PublicKey(PublicKeyAlgorithm),
}

fn kind(algorithm: Algorithm) -> Kind {
    match algorithm {
        Algorithm::HmacSha1 => Kind::Hmac("sha1"),
        Algorithm::HmacSha256 => Kind::Hmac("sha256"),
        Algorithm::HmacSha512 => Kind::Hmac("sha512"),
        Algorithm::RsaPkcs1Sha256 => Kind::PublicKey(PublicKeyAlgorithm::Rsa),
        Algorithm::Ed25519 => Kind::PublicKey(PublicKeyAlgorithm::Ed25519),
        Algorithm::EcdsaP256Sha256 => Kind::PublicKey(PublicKeyAlgorithm::P256),
    }
}
