//! Hashes and signatures.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use super::bytes::hex;
use super::{Arguments, Helper};
use crate::expression::scope::Failure;
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::fallible(
        "digest value algorithm encoding=",
        (2, 2),
        "A hash by md5, sha1, sha256 or sha512, in hexadecimal unless `encoding` is base64, \
         base64url or bytes.",
        "{{digest 'abc' 'sha1'}}",
        "\"a9993e364706816aba3e25717850c26c9cd0d89d\"",
        |a| {
            if matches!(a.get(0), Value::Null) {
                return Ok(Value::Null);
            }
            let bytes = a.get(0).to_bytes();
            let hash = match a.text(1).unwrap_or_default().as_str() {
                "md5" => Md5::digest(&bytes).to_vec(),
                "sha1" => Sha1::digest(&bytes).to_vec(),
                "sha256" => Sha256::digest(&bytes).to_vec(),
                "sha512" => Sha512::digest(&bytes).to_vec(),
                other => return Err(unknown(other)),
            };
            encoded(hash, a)
        },
    )
    .named(&["encoding"]),
    Helper::fallible(
        "hmac value key algorithm encoding=",
        (3, 3),
        "A keyed hash (HMAC) by md5, sha1, sha256 or sha512, in hexadecimal unless \
         `encoding` is base64, base64url or bytes; null without a key.",
        "{{hmac 'what do ya want for nothing?' 'Jefe' 'sha256'}}",
        "\"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843\"",
        |a| {
            // A key that is missing must not become one that anybody knows.
            if matches!(a.get(0), Value::Null) || a.get(1).is_empty() {
                return Ok(Value::Null);
            }
            let algorithm = a.text(2).unwrap_or_default();
            let hash = hmac(&algorithm, &a.get(1).to_bytes(), &a.get(0).to_bytes())
                .ok_or_else(|| unknown(&algorithm))?;
            encoded(hash, a)
        },
    )
    .named(&["encoding"]),
];

fn unknown(algorithm: &str) -> Failure {
    Failure(format!("there is no algorithm `{algorithm}`; there are md5, sha1, sha256 and sha512"))
}

/// HMAC (RFC 2104) by that algorithm; none for an algorithm that is not known.
pub(crate) fn hmac(algorithm: &str, key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    // HMAC takes keys of any length, so `new_from_slice` never refuses one.
    macro_rules! mac {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(key).ok()?;
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }};
    }
    Some(match algorithm {
        "md5" => mac!(Md5),
        "sha1" => mac!(Sha1),
        "sha256" => mac!(Sha256),
        "sha512" => mac!(Sha512),
        _ => return None,
    })
}

fn encoded(hash: Vec<u8>, a: &Arguments<'_, '_>) -> Result<Value, Failure> {
    Ok(match a.named("encoding").as_text() {
        None | Some("hex") => Value::from(hex(&hash)),
        Some("base64") => Value::from(STANDARD.encode(hash)),
        Some("base64url") => Value::from(URL_SAFE_NO_PAD.encode(hash)),
        Some("bytes") => Value::Bytes(hash.into()),
        Some(other) => {
            return Err(Failure(format!(
                "there is no encoding `{other}`; there are hex, base64, base64url and bytes"
            )));
        }
    })
}
