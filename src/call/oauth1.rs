//! OAuth 1.0 with HMAC-SHA1 (RFC 5849): a signature over the method, the URL, the query and the fields of a form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::{Url, form_urlencoded};

use super::pairs::escape;
use super::url::bare;
use crate::expression::{Env, Failure, hex, hmac};
use crate::plan;

/// The value of the `Authorization` header; `form` is the body if it is one.
pub(super) fn authorization(
    keys: &plan::OAuth1,
    method: &str,
    url: &Url,
    form: Option<&[u8]>,
    env: &mut Env<'_>,
) -> Result<String, Failure> {
    let mut nonce = [0; 16];
    env.world.fill(&mut nonce);
    let mut own = vec![
        ("oauth_consumer_key".to_string(), keys.consumer_key.eval(env)?.to_text().to_string()),
        ("oauth_nonce".to_string(), hex(&nonce)),
        ("oauth_signature_method".to_string(), "HMAC-SHA1".to_string()),
        ("oauth_timestamp".to_string(), env.now.div_euclid(1000).to_string()),
    ];
    if let Some(token) = keys.token.text(env)? {
        own.push(("oauth_token".to_string(), token.into()));
    }
    own.push(("oauth_version".to_string(), "1.0".to_string()));
    let secrets = [keys.consumer_secret.eval(env)?.to_text(), keys.token_secret.eval(env)?.to_text()];
    let signature = signature(method, url, form, &own, &secrets[0], &secrets[1]);
    own.push(("oauth_signature".to_string(), signature));
    own.sort();
    let own: Vec<_> =
        own.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value.as_bytes()))).collect();
    Ok(format!("OAuth {}", own.join(", ")))
}

/// The signature of a request with these parameters of the protocol.
fn signature(
    method: &str,
    url: &Url,
    form: Option<&[u8]>,
    own: &[(String, String)],
    consumer_secret: &str,
    token_secret: &str,
) -> String {
    let base = base_string(method, url, form, own);
    let key = format!("{}&{}", escape(consumer_secret.as_bytes()), escape(token_secret.as_bytes()));
    STANDARD.encode(hmac("sha1", key.as_bytes(), base.as_bytes()).unwrap_or_default())
}

/// What is signed (RFC 5849, 3.4.1): parameters sorted once they are encoded.
fn base_string(method: &str, url: &Url, form: Option<&[u8]>, own: &[(String, String)]) -> String {
    let given = form_urlencoded::parse(url.query().unwrap_or_default().as_bytes());
    let given = given.chain(form_urlencoded::parse(form.unwrap_or_default()));
    let mut pairs: Vec<(String, String)> =
        given.map(|(name, value)| (escape(name.as_bytes()), escape(value.as_bytes()))).collect();
    pairs.extend(own.iter().map(|(name, value)| (escape(name.as_bytes()), escape(value.as_bytes()))));
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    [method.as_bytes(), bare(url).as_str().as_bytes(), pairs.join("&").as_bytes()].map(escape).join("&")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expression::Value;

    /// What RFC 5849 and a provider's documentation publish.
    fn published() -> Value {
        Value::from_json(include_bytes!("../../tests/fixtures/vectors/oauth1.json")).unwrap()
    }

    fn own(case: &Value) -> Vec<(String, String)> {
        let own = case.get("oauth").as_map().unwrap().iter();
        own.map(|(name, value)| (name.to_string(), value.to_text().to_string())).collect()
    }

    /// The text with one bit of its last letter the other way.
    fn flipped(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn published_requests_get_their_published_signatures() {
        let mut checked = 0;
        for case in published().as_list().unwrap() {
            let text = |name: &str| case.get(name).to_text();
            let (url, form) = (Url::parse(&text("url")).unwrap(), text("form"));
            let form = Some(form.as_bytes());
            if !text("base_string").is_empty() {
                assert_eq!(base_string(&text("method"), &url, form, &own(case)), text("base_string"));
                checked += 1;
            }
            if !text("signature").is_empty() {
                let secrets = (text("consumer_secret"), text("token_secret"));
                let made = signature(&text("method"), &url, form, &own(case), &secrets.0, &secrets.1);
                assert_eq!(made, text("signature"), "{url}");
                // One bit of anything that is signed makes another.
                let mut elsewhere = url.clone();
                elsewhere.set_path(&flipped(url.path()));
                let other = flipped(&secrets.0);
                for other in [
                    signature(&text("method"), &elsewhere, form, &own(case), &secrets.0, &secrets.1),
                    signature(&text("method"), &url, Some(b"a=1"), &own(case), &secrets.0, &secrets.1),
                    signature(&text("method"), &url, form, &own(case), &other, &secrets.1),
                    signature(&text("method"), &url, form, &own(case), &secrets.0, &flipped(&secrets.0)),
                ] {
                    assert_ne!(other, made, "{url}");
                }
                checked += 1;
            }
        }
        assert_eq!(checked, 6);
    }
}
