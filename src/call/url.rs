//! From what a mapping calls a URL to the URL of a request.
//!
//! Invariant: a relative URL never leads to another server than the mapping's `http.base`, nor above it. What is
//! wrong is told without the URL, which may hold secrets.

use smol_str::SmolStr;
use url::Url;

use super::pairs;
use crate::expression::{Failure, Value};

/// A URL made absolute.
pub fn resolve(base: &str, url: &str) -> Result<Url, Failure> {
    let parsed = |error: url::ParseError| refuse(&format!("is not valid: {error}"));
    let resolved = if has_scheme(url) {
        Url::parse(url).map_err(parsed)?
    } else if base.is_empty() {
        return Err(refuse("is relative, and the mapping has no `http.base`"));
    } else {
        let base = Url::parse(base).map_err(parsed)?;
        let path = url.split(['?', '#']).next().unwrap_or_default();
        let climbs = |segment: &str| matches!(segment.to_lowercase().replace("%2e", ".").as_str(), "..");
        if path.split(['/', '\\']).any(climbs) {
            return Err(refuse("leads above `http.base`"));
        }
        // `./` keeps what stands before a colon from being a scheme.
        let joined = base.join(&format!("./{}", url.trim_start_matches(['/', '\\']))).map_err(parsed)?;
        if joined.origin() != base.origin() {
            return Err(refuse("leads to another server than `http.base`"));
        }
        joined
    };
    if !matches!(resolved.scheme(), "http" | "https") {
        return Err(refuse(&format!("must be http or https, not {}", resolved.scheme())));
    }
    Ok(resolved)
}

/// The same URL with more parameters behind those that it has.
pub(super) fn with_query(mut url: Url, query: &[(SmolStr, Value)]) -> Url {
    if !query.is_empty() {
        let more = pairs::encode(query, "%20");
        let all = match url.query().filter(|present| !present.is_empty()) {
            Some(present) => format!("{present}&{more}"),
            None => more,
        };
        url.set_query(Some(&all));
    }
    url
}

/// The same URL without its query and fragment.
pub(super) fn bare(url: &Url) -> Url {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    bare
}

fn refuse(why: &str) -> Failure {
    Failure(format!("the URL of the request {why}"))
}

/// Whether a URL begins with a scheme and `://`.
fn has_scheme(url: &str) -> bool {
    url.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(base: &str, url: &str, query: &[(SmolStr, Value)]) -> Result<String, Failure> {
        resolve(base, url).map(|url| with_query(url, query).into())
    }

    #[test]
    fn urls_are_joined_and_keep_what_they_have() {
        let query = [("a b".into(), Value::text("ü&")), ("n".into(), Value::Int(1))];
        assert_eq!(
            full("https://x.io/v3/", "sms/send", &query).unwrap(),
            "https://x.io/v3/sms/send?a%20b=%C3%BC%26&n=1"
        );
        assert_eq!(full("", "https://x.io/a?z=1", &query[1..]).unwrap(), "https://x.io/a?z=1&n=1");
        assert_eq!(
            full("https://x.io/v3/", "go?to=https://y.io", &[]).unwrap(),
            "https://x.io/v3/go?to=https://y.io"
        );
        assert_eq!(full("https://x.io/v3/", "/bot1:a/send", &[]).unwrap(), "https://x.io/v3/bot1:a/send");
        assert!(full("", "relative", &[]).is_err());
        assert!(full("", "file:///etc/passwd", &[]).is_err());
    }

    #[test]
    fn a_relative_url_stays_where_the_base_is() {
        for url in ["\\\\evil.io/a", "//evil.io/a", "http:evil.io", "a/../../b", "%2e%2E/b", "a\\..\\b"] {
            let full = full("https://x.io/v3/", url, &[]);
            assert!(
                full.as_ref().is_err()
                    || full.as_ref().is_ok_and(|full| full.starts_with("https://x.io/v3/")),
                "{url}: {full:?}"
            );
        }
        assert!(full("https://x.io/v3/", "a/../b", &[]).is_err());
    }

    #[test]
    fn what_is_wrong_with_a_url_is_told_without_its_secrets() {
        let error = full("https://x.io:port/bots3cret/", "send", &[]).unwrap_err();
        assert!(!error.0.contains("s3cret"), "{error}");
    }
}
