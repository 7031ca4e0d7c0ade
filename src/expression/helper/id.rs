//! Ids and addresses of our own.

use sha2::{Digest, Sha256};

use super::bytes::hex;
use super::format::query as query_encode;
use super::{ANY_NAME, Helper, MANY};
use crate::expression::scope::Scope;
use crate::expression::value::Value;

pub(super) const HELPERS: &[Helper] = &[
    Helper::total(
        "fingerprint a ..",
        (1, MANY),
        "32 hexadecimal digits that stand for all arguments: the first of SHA-256 over them, \
         with `|` between. The id of a message from a provider that sends none.",
        "{{fingerprint '+4479' 'hi'}}",
        "\"b89e53ef2400ec4ed995d37946062457\"",
        |a| {
            let mut hash = Sha256::new();
            for (index, value) in a.positional.iter().enumerate() {
                if index > 0 {
                    hash.update(b"|");
                }
                hash.update(value.to_bytes());
            }
            let digits = hex(&hash.finalize());
            digits.get(..32).map(Value::text)
        },
    ),
    Helper::total(
        "uuid",
        (0, 0),
        "A random id of the form of a UUID version 4; only for references that we make.",
        "{{len (uuid)}}",
        "36",
        |a| {
            let mut random = [0; 16];
            a.env.world.fill(&mut random);
            Some(Value::from(uuid::Builder::from_random_bytes(random).into_uuid().hyphenated().to_string()))
        },
    ),
    Helper::total(
        "nonce n",
        (1, 1),
        "n random letters and digits (at most 128).",
        "{{len (nonce 16)}}",
        "16",
        |a| {
            const LETTERS: &[u8; 32] = b"abcdefghijkmnopqrstuvwxyz2345678";
            let mut random = vec![0; a.size(0)?.min(128)];
            a.env.world.fill(&mut random);
            let text: String = random
                .iter()
                .filter_map(|byte| LETTERS.get(usize::from(byte % 32)))
                .map(|byte| char::from(*byte))
                .collect();
            Some(Value::from(text))
        },
    ),
    Helper::total(
        "callback route name=value ..",
        (1, 1),
        "The public URL of one of this channel's routes, with the named arguments as its \
         query.",
        "{{callback 'status' id='a b'}}",
        "\"https://gw.example/channels/c/status?id=a%20b\"",
        |a| {
            let base = a.env.scope(Scope::Channel).get("url").to_text();
            let mut url = format!("{base}/{}", a.text(0)?);
            for (index, (name, value)) in a.named.iter().enumerate() {
                url.push(if index == 0 { '?' } else { '&' });
                url.push_str(&query_encode(name.as_bytes()));
                url.push('=');
                url.push_str(&query_encode(&value.to_bytes()));
            }
            Some(Value::from(url))
        },
    )
    .named(ANY_NAME),
];
