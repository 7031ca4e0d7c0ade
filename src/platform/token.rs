//! The API token that proves who calls, in both directions.

use std::fmt;

use subtle::ConstantTimeEq;

/// An API token; never shown, compared in constant time.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Wraps a token.
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// The value of an `Authorization` header that carries it.
    pub fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether an `Authorization` header carries this token. An empty token is carried by none.
    pub fn is_carried_by(&self, authorization: Option<&str>) -> bool {
        let given = authorization.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        !self.0.is_empty() && given.is_some_and(|given| bool::from(given.as_bytes().ct_eq(self.0.as_bytes())))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_token_is_taken() {
        let token = Token::new("s3cret");
        assert!(token.is_carried_by(Some("Bearer s3cret")) && token.is_carried_by(Some("bearer s3cret ")));
        for other in [
            None,
            Some("Bearer s3cre"),
            Some("Bearer s3cret2"),
            Some("Basic s3cret"),
            Some("s3cret"),
            Some("Bearer "),
        ] {
            assert!(!token.is_carried_by(other), "{other:?}");
        }
        assert!(!Token::new("").is_carried_by(Some("Bearer ")));
        assert_eq!(format!("{token:?}"), "[redacted]");
    }
}
