//! Keys as mappings give them, and signatures by public keys.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    VerificationAlgorithm,
};
use bytes::Bytes;

use super::each;
use crate::expression::{Env, Failure, Template, unbase64, unhex};

/// What signs with a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublicKeyAlgorithm {
    /// RSA (PKCS #1 v1.5) with SHA-256, from 2048 bits.
    Rsa,
    /// Ed25519.
    Ed25519,
    /// ECDSA on P-256 with SHA-256.
    P256,
}

/// The keys that a value is: one or several.
pub(super) fn keys(template: &Template, env: &mut Env<'_>) -> Result<Vec<Bytes>, Failure> {
    let keys: Vec<_> = each(&template.eval(env)?).iter().map(crate::expression::Value::to_bytes).collect();
    if keys.is_empty() { Err(Failure("the key of the signature is not configured".into())) } else { Ok(keys) }
}

/// Whether a signature is that of a message by the owner of a key: PEM, or its bytes in hexadecimal or Base64.
pub(super) fn verifies(
    algorithm: PublicKeyAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<bool, Failure> {
    const FIXED: usize = 64;
    let algorithm: &'static dyn VerificationAlgorithm = match algorithm {
        PublicKeyAlgorithm::Rsa => &RSA_PKCS1_2048_8192_SHA256,
        PublicKeyAlgorithm::Ed25519 => &ED25519,
        // The two numbers as they are, as tokens have them, or in ASN.1, which is never as short.
        PublicKeyAlgorithm::P256 if signature.len() == FIXED => &ECDSA_P256_SHA256_FIXED,
        PublicKeyAlgorithm::P256 => &ECDSA_P256_SHA256_ASN1,
    };
    let parsed = public_key(key).and_then(|key| UnparsedPublicKey::new(algorithm, key).parse().ok());
    let Some(parsed) = parsed else {
        return Err(Failure("the public key can't be read; `-----BEGIN PUBLIC KEY-----` is expected".into()));
    };
    Ok(parsed.verify_sig(message, signature).is_ok())
}

/// The bytes of a public key.
fn public_key(given: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(given).ok()?;
    let Some((_, rest)) = text.split_once("-----BEGIN ") else {
        return unhex(text).or_else(|| unbase64(text));
    };
    let (body, _) = rest.split_once("-----")?.1.split_once("-----END ")?;
    // Environment variables often hold line breaks as `\n`.
    let body: String = body.replace("\\n", "").chars().filter(|c| !c.is_whitespace()).collect();
    unbase64(&body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("tests/fixtures/signatures/{name}")).unwrap()
    }

    fn signature(name: &str) -> Vec<u8> {
        unbase64(std::str::from_utf8(&fixture(name)).unwrap()).unwrap()
    }

    #[test]
    fn signatures_by_openssl_verify_and_no_others() {
        let message = fixture("message.json");
        for (algorithm, name) in [
            (PublicKeyAlgorithm::Rsa, "rsa"),
            (PublicKeyAlgorithm::Ed25519, "ed25519"),
            (PublicKeyAlgorithm::P256, "p256"),
        ] {
            let (key, signature) =
                (fixture(&format!("{name}.pub.pem")), signature(&format!("{name}.sig.b64")));
            let holds =
                |message: &[u8], signature: &[u8]| verifies(algorithm, &key, message, signature).unwrap();
            assert!(holds(&message, &signature), "{name}");
            let mut other = message.clone();
            other[3] ^= 1;
            assert!(!holds(&other, &signature), "{name}");
            for at in 0..signature.len() {
                let mut other = signature.clone();
                other[at] ^= 1;
                assert!(!holds(&message, &other), "{name}, byte {at}");
            }
            assert!(!holds(&message, &signature[1..]) && !holds(&message, b""), "{name}");
        }
    }

    #[test]
    fn ed25519_is_that_of_rfc_8032() {
        // Section 7.1, test 3.
        let key = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
        let signature = "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
                         18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a";
        let signature = unhex(signature).unwrap();
        let holds =
            |key: &[u8], message: &[u8]| verifies(PublicKeyAlgorithm::Ed25519, key, message, &signature);
        assert!(holds(key.as_bytes(), b"\xaf\x82").unwrap());
        assert!(!holds(key.as_bytes(), b"\xaf\x83").unwrap());
        // The same key in Base64.
        assert!(holds(b"/FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU=", b"\xaf\x82").unwrap());
    }

    #[test]
    fn a_pem_may_have_lost_its_line_breaks_on_the_way() {
        let pem = String::from_utf8(fixture("rsa.pub.pem")).unwrap();
        for key in [pem.replace('\n', "\\n"), pem.replace('\n', " "), pem.replace('\n', "\r\n")] {
            let (message, signature) = (fixture("message.json"), signature("rsa.sig.b64"));
            assert!(verifies(PublicKeyAlgorithm::Rsa, key.as_bytes(), &message, &signature).unwrap());
        }
    }

    #[test]
    fn a_key_of_another_kind_is_told() {
        for (algorithm, name) in [
            (PublicKeyAlgorithm::Rsa, "p256.pub.pem"),
            (PublicKeyAlgorithm::Ed25519, "rsa.pub.pem"),
            (PublicKeyAlgorithm::P256, "ed25519.pub.pem"),
            (PublicKeyAlgorithm::P256, "message.json"),
        ] {
            assert!(verifies(algorithm, &fixture(name), b"m", b"s").is_err(), "{name}");
        }
    }
}
