//! Signatures made by the `openssl` tool, which knows nothing of this program.

use std::io::Write as _;
use std::process::{Command, Stdio};

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
