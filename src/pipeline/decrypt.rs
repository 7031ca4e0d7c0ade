//! Encrypted bodies: AES-256-CBC over random bytes, a length, the text and the receiver.

use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::expression::{Env, Template, Value};
use crate::plan::Decrypt;

/// Keys of 43 characters have two bits too many, which are as random as the others.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The plain text of a value. Whatever is wrong with what is encrypted, the reason is the same: who probes learns
/// nothing.
pub(super) fn decrypt(how: &Decrypt, env: &mut Env<'_>) -> Result<Value, String> {
    const BROKEN: &str = "the body can't be decrypted with this key";
    let mut text =
        |template: &Template| template.eval(env).map(|value| value.to_text()).map_err(|failure| failure.0);
    let key = LENIENT.decode(text(&how.key)?.trim()).ok().and_then(|key| <[u8; 32]>::try_from(key).ok());
    let Some(key) = key else { return Err("the key that decrypts is not 43 characters of Base64".into()) };
    let receiver = how.receiver.as_ref().map(&mut text).transpose()?;
    if receiver.as_deref().is_some_and(str::is_empty) {
        return Err("it is not configured who an encrypted body must be for".into());
    }
    let data = LENIENT.decode(text(&how.data)?.trim()).map_err(|_| BROKEN)?;
    let plain = plain(&key, data).ok_or(BROKEN)?;
    let (message, named) = unframed(&plain).ok_or(BROKEN)?;
    if receiver.is_some_and(|receiver| receiver.as_bytes() != named) {
        return Err("the encrypted body is for somebody else".into());
    }
    std::str::from_utf8(message).map(Value::text).map_err(|_| BROKEN.into())
}

/// Decrypts, and takes the padding away: up to 32 bytes, each of which says how many they are.
fn plain(key: &[u8; 32], mut data: Vec<u8>) -> Option<Vec<u8>> {
    const LONGEST_PADDING: usize = 32;
    let iv: [u8; 16] = *key.first_chunk()?;
    let cipher = DecryptingKey::cbc(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    let length = cipher.decrypt(&mut data, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?.len();
    data.truncate(length);
    let padding = *data.last()?;
    let length = data.len().checked_sub(usize::from(padding))?;
    let sound = (1..=LONGEST_PADDING).contains(&usize::from(padding))
        && data.get(length..)?.iter().all(|byte| *byte == padding);
    data.truncate(length);
    sound.then_some(data)
}

/// The text, and whom it names: behind 16 random bytes and the length of the text.
fn unframed(plain: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = plain.get(16..)?.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::World;

    // The example that the inventor of the scheme publishes for its verification of URLs.
    const KEY: &str = "jWmYm7qr5nMoAUwZRjGtBxmz3KA1tkAj3ykkR6q2B2C";
    const DATA: &str =
        "P9nAzCzyDtyTWESHep1vC5X9xho/qYX3Zpb4yKa9SKld1DsH3Iyt3tP3zNdtp+4RPcs8TgAE7OaBO+FZXvnaqQ==";
    const RECEIVER: &str = "wx5823bf96d3bd56c7";

    fn decrypted(key: &str, data: &str, receiver: Option<&str>) -> Result<Value, String> {
        let literal = |text: &str| Template::Literal(Value::text(text));
        let how = Decrypt { key: literal(key), data: literal(data), receiver: receiver.map(literal) };
        let world = World::fixed(0, 1);
        decrypt(&how, &mut Env::new(&world))
    }

    #[test]
    fn the_published_example_is_decrypted() {
        assert_eq!(decrypted(KEY, DATA, Some(RECEIVER)), Ok(Value::text("1616140317555161061")));
        assert_eq!(decrypted(KEY, DATA, None), Ok(Value::text("1616140317555161061")));
    }

    #[test]
    fn what_openssl_encrypted_is_decrypted() {
        let data = std::fs::read_to_string("tests/fixtures/signatures/encrypted.b64").unwrap();
        let plain = std::fs::read_to_string("tests/fixtures/signatures/encrypted.plain.xml").unwrap();
        let key = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFG";
        assert_eq!(decrypted(key, &data, Some("corp-1")), Ok(Value::text(plain)));
        let other = decrypted(key, &data, Some("corp-2")).unwrap_err();
        assert_eq!(other, "the encrypted body is for somebody else");
    }

    #[test]
    fn a_key_or_receiver_that_is_not_configured_is_told() {
        assert!(decrypted("", DATA, None).unwrap_err().contains("43 characters"));
        assert!(decrypted(&KEY[1..], DATA, None).unwrap_err().contains("43 characters"));
        assert!(decrypted(KEY, DATA, Some("")).unwrap_err().contains("not configured"));
    }

    #[test]
    fn hostile_data_fails_alike_and_never_panics() {
        let broken = "the body can't be decrypted with this key";
        for data in ["", "!", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA==", &DATA[..44]] {
            assert_eq!(decrypted(KEY, data, None).unwrap_err(), broken, "{data}");
        }
        let sound = LENIENT.decode(DATA).unwrap();
        for at in 0..sound.len() {
            let mut data = sound.clone();
            data[at] ^= 0x80;
            if let Err(why) = decrypted(KEY, &LENIENT.encode(data), Some(RECEIVER)) {
                assert!(why == broken || why.contains("somebody else"), "{why}");
            }
        }
        assert_eq!(unframed(b"0123456789abcdef\xff\xff\xff\xffshort"), None);
    }
}
