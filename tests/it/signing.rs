//! What we sign, the `openssl` tool finds good.

use patchcord::expression::{Env, Names, Scope, Value, parse_template};
use patchcord::world::World;

use crate::support::{Folder, verifies_p256};

fn token(claims: &str, key: &str) -> String {
    let template = "{{jwt_sign (parse_json it.claims) it.key 'ES256' 'k1'}}";
    let mut problems = Vec::new();
    let text = parse_template(template, &Names::of(&[Scope::It]), &mut problems);
    assert!(problems.is_empty());
    let world = World::system();
    let mut env = Env::new(&world);
    env.set(Scope::It, Value::map([("claims", Value::text(claims)), ("key", Value::text(key))]));
    text.eval(&mut env).unwrap().to_text().to_string()
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
            assert!(!verifies_p256(&folder, &public, b"something else", signature));
        }
    }
}
