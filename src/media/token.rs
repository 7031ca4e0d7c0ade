//! What a media URL says, and the proof that this gateway said it.
//!
//! The form is `JSON.HMAC`, both in base64url: anybody who has the URL can read it, so it holds no credentials, and
//! nobody can make one without the key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use smol_str::SmolStr;

use crate::message::Source;
use crate::world::Millis;

/// Which file of which channel, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Token {
    /// The channel.
    #[serde(rename = "c")]
    pub channel: SmolStr,
    /// Where the file is.
    #[serde(flatten)]
    pub source: Source,
    /// Its MIME type, where that is known.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub mime: Option<String>,
    /// Its name, where that is known.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// From when on it is good no more.
    #[serde(rename = "e")]
    pub expires_at: Millis,
}

/// Why a token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It was not made with one of the keys.
    #[error("this URL was not made by this gateway")]
    Forged,
    /// Its time is over.
    #[error("this URL has expired")]
    Expired,
}

/// The keys of an installation: the first signs, all are good.
#[derive(Clone)]
pub struct Keys(Vec<Vec<u8>>);

impl Keys {
    /// Keys in this order; there must be one.
    pub fn new(first: Vec<u8>, others: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(std::iter::once(first).chain(others).collect())
    }

    /// The text of a token.
    pub fn sign(&self, token: &Token) -> String {
        let said = URL_SAFE_NO_PAD.encode(serde_json::to_vec(token).unwrap_or_default());
        let proof = self.0.first().and_then(|key| mac(key, &said)).map(|mac| mac.finalize().into_bytes());
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(proof.unwrap_or_default()))
    }

    /// The token that a text is.
    pub fn verify(&self, text: &str, now: Millis) -> Result<Token, BadToken> {
        let (said, proof) = text.split_once('.').ok_or(BadToken::Forged)?;
        let proof = URL_SAFE_NO_PAD.decode(proof).map_err(|_| BadToken::Forged)?;
        // In constant time.
        let proves = |key: &Vec<u8>| mac(key, said).is_some_and(|mac| mac.verify_slice(&proof).is_ok());
        if !self.0.iter().any(proves) {
            return Err(BadToken::Forged);
        }
        let token: Option<Token> =
            URL_SAFE_NO_PAD.decode(said).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let token = token.ok_or(BadToken::Forged)?;
        if token.expires_at <= now { Err(BadToken::Expired) } else { Ok(token) }
    }
}

/// The hash under way. A key of any length will do.
fn mac(key: &[u8], said: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(b"media\n");
    mac.update(said.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Value;

    fn token() -> Token {
        Token {
            channel: "support".into(),
            source: Source::Call { call: "file".into(), arguments: Value::map([("id", Value::text("1"))]) },
            mime: Some("image/png".into()),
            name: None,
            expires_at: 1000,
        }
    }

    fn keys(first: &str, others: &[&str]) -> Keys {
        Keys::new(first.into(), others.iter().map(|key| key.as_bytes().to_vec()))
    }

    #[test]
    fn a_token_comes_back_as_it_was_until_it_expires() {
        let keys = keys("k1", &[]);
        let text = keys.sign(&token());
        assert_eq!(keys.verify(&text, 999), Ok(token()));
        assert_eq!(keys.verify(&text, 1000), Err(BadToken::Expired));
        let url = Token { source: Source::Url { url: "https://x.io/a".into() }, ..token() };
        assert_eq!(keys.verify(&keys.sign(&url), 0), Ok(url));
    }

    #[test]
    fn nobody_makes_or_changes_one_without_the_key() {
        let good = keys("k1", &[]).sign(&token());
        assert_eq!(keys("k2", &[]).verify(&good, 0), Err(BadToken::Forged));
        let (said, proof) = good.split_once('.').unwrap();
        let other =
            URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Token { expires_at: 9000, ..token() }).unwrap());
        for bad in [
            format!("{other}.{proof}"),
            format!("{said}."),
            said.into(),
            format!("{said}.{said}"),
            ".".into(),
        ] {
            assert_eq!(keys("k1", &[]).verify(&bad, 0), Err(BadToken::Forged), "{bad}");
        }
    }

    #[test]
    fn the_key_of_before_is_good_as_long_as_it_is_listed() {
        let old = keys("k1", &[]).sign(&token());
        let both = keys("k2", &["k1"]);
        assert!(both.verify(&old, 0).is_ok());
        assert!(keys("k2", &[]).verify(&both.sign(&token()), 0).is_ok(), "the first signs");
    }
}
