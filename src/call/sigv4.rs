//! AWS Signature Version 4: a signature over the method, the URL, all headers and the body.
//!
//! The bytes of a file that is fetched while the request is sent are not signed (`UNSIGNED-PAYLOAD`).

use bytes::Bytes;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use smol_str::SmolStr;
use url::Url;

use super::pairs::{Headers, escape, put};
use crate::expression::{Env, Failure, Value, hex, hmac};
use crate::plan;
use crate::world::Millis;

/// Who signs, and for what.
struct Signer {
    access_key: SmolStr,
    secret_key: SmolStr,
    session_token: SmolStr,
    region: SmolStr,
    service: SmolStr,
}

/// Adds the signature to the headers; `body` is none if its bytes are not known yet.
pub(super) fn sign(
    keys: &plan::SigV4,
    method: &str,
    url: &Url,
    body: Option<Bytes>,
    headers: &mut Headers,
    env: &mut Env<'_>,
) -> Result<(), Failure> {
    let mut text = |template: &crate::expression::Template| template.eval(env).map(|value| value.to_text());
    let signer = Signer {
        access_key: text(&keys.access_key)?,
        secret_key: text(&keys.secret_key)?,
        session_token: text(&keys.session_token)?,
        region: text(&keys.region)?,
        service: text(&keys.service)?,
    };
    signer.sign(method, url, body, headers, &stamp(env.now)?)
}

/// `20150830T123600Z`.
fn stamp(now: Millis) -> Result<String, Failure> {
    let time = jiff::Timestamp::from_millisecond(now).map_err(|_| Failure("the clock is wrong".into()))?;
    Ok(time.strftime("%Y%m%dT%H%M%SZ").to_string())
}

impl Signer {
    fn sign(
        &self,
        method: &str,
        url: &Url,
        body: Option<Bytes>,
        headers: &mut Headers,
        stamp: &str,
    ) -> Result<(), Failure> {
        let storage = self.service == "s3";
        let unsigned = body.is_none();
        let hash = body.map_or_else(|| "UNSIGNED-PAYLOAD".into(), |body| sha256(&body));
        put(headers, "x-amz-date", &Value::text(stamp))?;
        put(headers, "x-amz-security-token", &Value::Text(self.session_token.clone()))?;
        if storage || unsigned {
            put(headers, "x-amz-content-sha256", &Value::text(&hash))?;
        }
        headers.retain(|(name, _)| name != "authorization");
        let (names, canonical) = canonical_headers(url, headers);
        let path = canonical_path(url, storage);
        let request = [method, &path, &canonical_query(url), &canonical, &names, &hash].join("\n");
        let (day, _) = stamp.split_once('T').unwrap_or((stamp, ""));
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256(request.as_bytes()));
        let mut key = format!("AWS4{}", self.secret_key).into_bytes();
        for step in [day, &self.region, &self.service, "aws4_request", &to_sign] {
            key = hmac("sha256", &key, step.as_bytes()).unwrap_or_default();
        }
        let credential = format!("{}/{scope}", self.access_key);
        let signature = hex(&key);
        let authorization =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}");
        put(headers, "authorization", &Value::from(authorization))
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The names of the headers that are signed, and they themselves, a line for each.
fn canonical_headers(url: &Url, headers: &Headers) -> (String, String) {
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_string(), |port| format!("{host}:{port}"));
    let squeezed = |text: &str| text.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    let mut all: Vec<(&str, String)> =
        headers.iter().map(|(name, value)| (name.as_str(), squeezed(value))).collect();
    all.push(("host", host));
    all.sort();
    let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
    let lines = all.iter().map(|(name, value)| format!("{name}:{value}\n"));
    (names.join(";"), lines.collect())
}

/// Encoded once for storage, twice for all other services.
fn canonical_path(url: &Url, storage: bool) -> String {
    let segment = |segment: &str| {
        let once = escape(&percent_decode_str(segment).collect::<Vec<_>>());
        if storage { once } else { escape(once.as_bytes()) }
    };
    url.path().split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn canonical_query(url: &Url) -> String {
    let encode = |text: &str| escape(&percent_decode_str(text).collect::<Vec<_>>());
    let pairs = url.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<_> = pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(name), encode(value))
        })
        .collect();
    pairs.sort();
    pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer_of(case: &Value) -> Signer {
        let text = |name: &str| case.get(name).to_text();
        Signer {
            access_key: text("access_key"),
            secret_key: text("secret_key"),
            session_token: text("session_token"),
            region: text("region"),
            service: text("service"),
        }
    }

    #[test]
    fn published_requests_get_their_published_signatures() {
        let published = Value::from_json(include_bytes!("../../tests/fixtures/vectors/sigv4.json")).unwrap();
        let cases = published.as_list().unwrap();
        assert_eq!(cases.len(), 9);
        for case in cases {
            let text = |name: &str| case.get(name).to_text();
            let signer = signer_of(case);
            let signed = |signer: &Signer, method: &str, url: &str, body: &str, header: &str| {
                let given = case.get("headers").as_map().unwrap().iter();
                let mut headers: Headers = given
                    .map(|(name, value)| (name.clone(), format!("{}{header}", value.to_text())))
                    .collect();
                let body = Some(Bytes::from(format!("{}{body}", case.get("body").to_text())));
                signer.sign(method, &Url::parse(url).unwrap(), body, &mut headers, &text("date")).unwrap();
                headers.into_iter().find(|(name, _)| name == "authorization").unwrap().1
            };
            let (method, url) = (text("method"), text("url"));
            let made = signed(&signer, &method, &url, "", "");
            assert_eq!(made, text("authorization"), "{}", text("source"));
            // One letter more in anything that is signed makes another.
            let further = Url::parse(&url).unwrap().join("x").unwrap();
            let mut others = vec![
                signed(&signer, "PATCH", &url, "", ""),
                signed(&signer, &method, further.as_str(), "", ""),
                signed(&signer, &method, &url, "x", ""),
                signed(&Signer { secret_key: text("access_key"), ..signer_of(case) }, &method, &url, "", ""),
            ];
            if !case.get("headers").is_empty() {
                others.push(signed(&signer, &method, &url, "", "x"));
            }
            for other in others {
                let signature = |text: &str| text.rsplit_once('=').unwrap().1.to_string();
                assert_ne!(signature(&other), signature(&made), "{}", text("source"));
            }
        }
    }

    #[test]
    fn the_moment_is_written_as_aws_wants_it() {
        assert_eq!(stamp(1_440_938_160_999).unwrap(), "20150830T123600Z");
    }

    #[test]
    fn a_path_is_encoded_twice_but_for_storage() {
        let url = Url::parse("https://x.io/a%20b/c:d").unwrap();
        assert_eq!(canonical_path(&url, true), "/a%20b/c%3Ad");
        assert_eq!(canonical_path(&url, false), "/a%2520b/c%253Ad");
    }

    #[test]
    fn a_body_that_is_not_known_is_not_signed_and_a_session_is() {
        let text = SmolStr::new_static;
        let signer = Signer {
            access_key: text("a"),
            secret_key: text("s"),
            session_token: text("t"),
            region: text("r"),
            service: text("x"),
        };
        let mut headers = Headers::new();
        let url = Url::parse("https://x.io:8443/").unwrap();
        signer.sign("PUT", &url, None, &mut headers, "20150830T123600Z").unwrap();
        let (_, made) = headers.iter().find(|(name, _)| name == "authorization").unwrap();
        assert!(made.contains("host;x-amz-content-sha256;x-amz-date;x-amz-security-token"), "{made}");
        assert!(headers.contains(&("x-amz-content-sha256".into(), "UNSIGNED-PAYLOAD".into())));
    }
}
