//! What the `openssl` tool signs is taken, and not when one bit of it is another; what we sign, the tool finds good.
//!
//! Every kind of signature that a mapping can ask for is here, in every encoding. Published examples are tested where
//! the code is: RFC 5849 (OAuth 1.0), RFC 7515 (tokens), RFC 8032 (Ed25519), AWS's own (Signature Version 4).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use patchcord::call::Scripted;
use patchcord::expression::{Env, Names, Scope, Value, parse_template};
use patchcord::load::Library;
use patchcord::plan::Plan;
use patchcord::rehearsal::{Kept, NOW, Stage, receive, request_of};
use patchcord::world::World;

use crate::support::{Folder, KeyPair, digest, hex, hmac, verifies_p256};

const SECRET: &str = "s3cret & more";
const BODY: &[u8] = "{\"id\":\"m-1\",\"from\":\"+60123456789\",\"text\":\"caf\u{e9} & more\"}".as_bytes();
const ENCODINGS: [&str; 3] = ["hex", "base64", "base64url"];
const HASHES: [&str; 5] = ["md5", "sha1", "sha256", "sha384", "sha512"];

fn encode(bytes: &[u8], encoding: &str) -> String {
    match encoding {
        "hex" => hex(bytes),
        "base64" => STANDARD.encode(bytes),
        _ => URL_SAFE_NO_PAD.encode(bytes),
    }
}

/// What a template gives for `it`.
fn evaluated(template: &str, it: Value) -> Value {
    let mut problems = Vec::new();
    let text = parse_template(template, &Names::of(&[Scope::It]), &mut problems);
    assert!(problems.is_empty(), "{template}");
    let world = World::system();
    let mut env = Env::new(&world);
    env.set(Scope::It, it);
    text.eval(&mut env).unwrap()
}

/// A gateway with a mapping that has a route for every kind of signature, and the keys that openssl signs with.
struct Door {
    folder: Folder,
    rsa: KeyPair,
    ed25519: KeyPair,
    p256: KeyPair,
    library: Library,
}

impl Door {
    fn new() -> Self {
        let folder = Folder::new();
        let key = |algorithm: &str| KeyPair::new(&folder, algorithm);
        let (rsa, ed25519, p256) = (key("RSA"), key("ED25519"), key("EC"));
        let mut routes = String::new();
        let key_of = |algorithm: &str| match algorithm {
            "rsa-pkcs1-sha256" | "RS256" => "rsa",
            "ed25519" => "ed25519",
            "ecdsa-p256-sha256" | "ES256" => "p256",
            _ => "secret",
        };
        let event = "events: [{emit: message, id: $.id, contact: {id: $.from}, text: $.text}]";
        for algorithm in
            ["hmac-sha1", "hmac-sha256", "hmac-sha512", "rsa-pkcs1-sha256", "ed25519", "ecdsa-p256-sha256"]
        {
            for encoding in ENCODINGS {
                routes += &format!(
                    "  - route: POST {algorithm}/{encoding}\n    decode: json\n    verify: [{{signature: {{alg: \
                     {algorithm}, key: \"{{{{config.{}}}}}\", over: \"{{{{request.raw}}}}\", encoding: {encoding}, \
                     actual: \"{{{{request.headers.x-signature}}}}\"}}}}]\n    {event}\n",
                    key_of(algorithm)
                );
            }
        }
        for algorithm in ["HS256", "HS384", "HS512", "RS256", "ES256"] {
            routes += &format!(
                "  - route: POST {algorithm}\n    decode: json\n    verify: [{{jwt: {{token: \
                 \"{{{{request.headers.authorization}}}}\", alg: [{algorithm}], key: \"{{{{config.{}}}}}\", claims: \
                 {{payload_hash: \"{{{{digest request.raw 'sha256'}}}}\"}}}}}}]\n    {event}\n",
                key_of(algorithm)
            );
        }
        routes += &format!(
            "  - route: POST basic\n    decode: json\n    verify: [{{basic: [user, \"{{{{config.secret}}}}\"]}}]\n    \
             {event}\n"
        );
        let mapping = format!(
            "patchcord: 1\nname: door\ntitle: Every kind of signature\ncontact_id: phone\nconfig:\n  secret: {{required: \
             true, secret: true}}\n  rsa: {{required: true}}\n  ed25519: {{required: true}}\n  p256: {{required: \
             true}}\nwebhooks:\n{routes}send:\n  steps: [{{request: {{url: https://api.provider.example/}}}}]\n"
        );
        let library = Library::read(&[folder.write("door.yaml", mapping)]).unwrap();
        let told: Vec<_> = library.problems.iter().map(|problem| problem.message.clone()).collect();
        assert!(library.mappings[0].plan.is_some(), "{told:?}");
        Self { folder, rsa, ed25519, p256, library }
    }

    fn plan(&self) -> &Plan {
        self.library.mappings[0].plan.as_deref().unwrap()
    }

    /// Signed by openssl, in any of the ways that the algorithm has.
    fn signatures(&self, algorithm: &str) -> Vec<Vec<u8>> {
        match algorithm {
            "rsa-pkcs1-sha256" => vec![self.rsa.sign(&self.folder, BODY)],
            "ed25519" => vec![self.ed25519.sign(&self.folder, BODY)],
            "ecdsa-p256-sha256" => {
                vec![self.p256.sign(&self.folder, BODY), self.p256.sign_plain(&self.folder, BODY)]
            }
            _ => vec![hmac(algorithm.strip_prefix("hmac-").unwrap(), SECRET, BODY)],
        }
    }

    /// A token by openssl, in its three parts.
    fn token(&self, algorithm: &str) -> [Vec<u8>; 3] {
        let hash = encode(&digest("sha256", BODY), "hex");
        let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT"}}"#).into_bytes();
        let claims = format!(r#"{{"exp":{},"payload_hash":"{hash}"}}"#, NOW / 1000 + 60).into_bytes();
        let signed = [&header, &claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
        let signature = match algorithm {
            "RS256" => self.rsa.sign(&self.folder, signed.as_bytes()),
            "ES256" => self.p256.sign_plain(&self.folder, signed.as_bytes()),
            _ => hmac(&algorithm.replace("HS", "sha"), SECRET, signed.as_bytes()),
        };
        [header, claims, signature]
    }

    /// Whether a request comes in.
    fn opens(&self, route: &str, header: &str, value: &str, body: &[u8]) -> bool {
        let config = Value::map([
            ("secret", Value::text(SECRET)),
            ("rsa", Value::text(&self.rsa.public)),
            ("ed25519", Value::text(&self.ed25519.public)),
            ("p256", Value::text(&self.p256.public)),
        ]);
        let (stage, problems) = Stage::new(self.plan(), &Value::map([("config", config)]), NOW);
        assert!(problems.is_empty(), "{problems:?}");
        let described = Value::map([
            ("path", Value::text(route)),
            ("headers", Value::map([(header, Value::text(value))])),
            ("body", Value::Bytes(body.to_vec().into())),
        ]);
        let (shared, request) = request_of(&stage, &described).unwrap();
        let outcome = receive(&stage, shared, &request, &Scripted::default(), &mut Kept::default()).json;
        let verdict = outcome.get("verdict").to_text();
        assert!(
            verdict == "accepted" || outcome.get("reply").get("status").to_text() == "401",
            "{outcome:?}"
        );
        verdict == "accepted"
    }
}

/// The bytes with one bit the other way.
fn flipped(bytes: &[u8], bit: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Some bits of all the bytes, the first and the last among them.
fn some_bits(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let bits = bytes.len() * 8;
    (0..bits).step_by(37).chain([bits - 1])
}

#[test]
fn what_openssl_signed_is_taken_and_no_bit_of_it_may_be_another() {
    let door = Door::new();
    let (mut taken, mut refused) = (0, 0);
    for algorithm in
        ["hmac-sha1", "hmac-sha256", "hmac-sha512", "rsa-pkcs1-sha256", "ed25519", "ecdsa-p256-sha256"]
    {
        for (signature, encoding) in
            door.signatures(algorithm).iter().flat_map(|made| ENCODINGS.map(|encoding| (made, encoding)))
        {
            let opens = |signature: &[u8], body: &[u8]| {
                let route = format!("{algorithm}/{encoding}");
                door.opens(&route, "x-signature", &encode(signature, encoding), body)
            };
            assert!(opens(signature, BODY), "{algorithm} in {encoding}");
            taken += 1;
            for bit in some_bits(signature) {
                assert!(!opens(&flipped(signature, bit), BODY), "{algorithm} in {encoding}, bit {bit}");
                refused += 1;
            }
            for bit in some_bits(BODY) {
                assert!(
                    !opens(signature, &flipped(BODY, bit)),
                    "{algorithm} in {encoding}, body's bit {bit}"
                );
                refused += 1;
            }
        }
    }
    println!(
        "{taken} signatures by openssl were taken; with one bit flipped, {refused} of {refused} refused"
    );
}

#[test]
fn tokens_that_openssl_signed_are_taken_and_no_bit_of_them_may_be_another() {
    let door = Door::new();
    for algorithm in ["HS256", "HS384", "HS512", "RS256", "ES256"] {
        let token = door.token(algorithm);
        let opens = |parts: &[Vec<u8>; 3], body: &[u8]| {
            let token = parts.each_ref().map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
            door.opens(algorithm, "authorization", &format!("Bearer {token}"), body)
        };
        assert!(opens(&token, BODY), "{algorithm}");
        for part in 0..3 {
            for bit in some_bits(&token[part]) {
                let mut other = token.clone();
                other[part] = flipped(&token[part], bit);
                assert!(!opens(&other, BODY), "{algorithm}, part {part}, bit {bit}");
            }
        }
        for bit in some_bits(BODY) {
            assert!(!opens(&token, &flipped(BODY, bit)), "{algorithm}, body's bit {bit}");
        }
        // What another key or algorithm signed is no token here.
        for other in ["HS256", "HS384", "HS512", "RS256", "ES256"].iter().filter(|other| **other != algorithm)
        {
            assert!(!opens(&door.token(other), BODY), "{other} for {algorithm}");
        }
    }
}

#[test]
fn a_password_is_taken_and_no_bit_of_it_may_be_another() {
    let door = Door::new();
    let pair = format!("user:{SECRET}").into_bytes();
    let opens =
        |pair: &[u8]| door.opens("basic", "authorization", &format!("Basic {}", STANDARD.encode(pair)), BODY);
    assert!(opens(&pair));
    for bit in 0..pair.len() * 8 {
        assert!(!opens(&flipped(&pair, bit)), "bit {bit}");
    }
}

#[test]
fn hashes_are_those_of_openssl() {
    let long: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    for message in [BODY, b"x", &long] {
        for algorithm in HASHES {
            let made = |helper: &str, message: &[u8], encoding: &str| {
                let it = Value::map([
                    ("message", Value::Bytes(message.to_vec().into())),
                    ("key", Value::text(SECRET)),
                ]);
                let key = if helper == "hmac" { "it.key " } else { "" };
                evaluated(
                    &format!("{{{{{helper} it.message {key}'{algorithm}' encoding='{encoding}'}}}}"),
                    it,
                )
            };
            let expected =
                [("digest", digest(algorithm, message)), ("hmac", hmac(algorithm, SECRET, message))];
            for (helper, expected) in expected {
                for encoding in ENCODINGS {
                    let text = made(helper, message, encoding);
                    assert_eq!(
                        text,
                        Value::from(encode(&expected, encoding)),
                        "{helper} {algorithm} {encoding}"
                    );
                    assert_ne!(made(helper, &flipped(message, 5), encoding), text, "{helper} {algorithm}");
                }
                assert_eq!(
                    made(helper, message, "bytes"),
                    Value::Bytes(expected.into()),
                    "{helper} {algorithm}"
                );
            }
        }
    }
}

fn token(claims: &str, key: &str) -> String {
    let it = Value::map([("claims", Value::text(claims)), ("key", Value::text(key))]);
    evaluated("{{jwt_sign (parse_json it.claims) it.key 'ES256' 'k1'}}", it).to_text().to_string()
}

#[test]
fn openssl_accepts_tokens_of_es256() {
    let folder = Folder::new();
    let public = folder.write("key.pem", include_bytes!("../fixtures/keys/ec.pub.pem"));
    for key in [include_str!("../fixtures/keys/ec_pkcs8.pem"), include_str!("../fixtures/keys/ec_sec1.pem")] {
        for number in 0..20 {
            let token = token(&format!(r#"{{"iss":"me","n":{number}}}"#), key);
            let (input, signature) = token.rsplit_once('.').unwrap();
            assert!(verifies_p256(&folder, &public, input.as_bytes(), signature), "{token}");
            assert!(!verifies_p256(&folder, &public, &flipped(input.as_bytes(), 9), signature));
        }
    }
}
