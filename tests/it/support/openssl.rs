//! Signatures made by the `openssl` tool, which knows nothing of this program.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Folder;

/// HMAC-SHA256 in hexadecimal digits.
pub fn hmac_sha256_hex(key: &str, over: &[u8]) -> String {
    let output = openssl(&["dgst", "-sha256", "-hmac", key, "-r"], over);
    String::from_utf8(output).unwrap().split(' ').next().unwrap().to_owned()
}

/// HMAC-SHA1 in Base64.
pub fn hmac_sha1_base64(key: &str, over: &[u8]) -> String {
    let digest = openssl(&["dgst", "-sha1", "-hmac", key, "-binary"], over);
    String::from_utf8(openssl(&["base64", "-A"], &digest)).unwrap().trim().to_owned()
}

/// Whether a signature by ECDSA on P-256 with SHA-256, as a JSON Web Token holds it, fits a message.
pub fn verifies_p256(folder: &Folder, public_key: &Path, over: &[u8], signature: &str) -> bool {
    let numbers = URL_SAFE_NO_PAD.decode(signature).unwrap();
    assert_eq!(numbers.len(), 64);
    // OpenSSL wants two numbers in DER: without leading zeros, but for one before a byte that looks negative.
    let der = |number: &[u8]| {
        let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        let zero = digits.first().is_none_or(|byte| *byte >= 0x80).then_some(0);
        let digits: Vec<u8> = zero.into_iter().chain(digits).collect();
        [&[2, u8::try_from(digits.len()).unwrap()][..], &digits].concat()
    };
    let both = [der(&numbers[..32]), der(&numbers[32..])].concat();
    let file = folder.write("signature", [&[0x30, u8::try_from(both.len()).unwrap()][..], &both].concat());
    let message = folder.write("message", over);
    let mut command = Command::new("openssl");
    command.args(["dgst", "-sha256", "-verify"]).arg(public_key).arg("-signature").args([&file, &message]);
    let output = command.output().expect("the `openssl` tool is needed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(["Verified OK", "Verification failure"].contains(&said.trim()), "{said}");
    output.status.success()
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the `openssl` tool is needed");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}
