//! Signatures made by the `openssl` tool, which knows nothing of this program.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::Folder;

/// A hash of a message.
pub fn digest(algorithm: &str, over: &[u8]) -> Vec<u8> {
    openssl(&["dgst", &format!("-{algorithm}"), "-binary"], over)
}

/// HMAC with that hash.
pub fn hmac(algorithm: &str, key: &str, over: &[u8]) -> Vec<u8> {
    openssl(&["dgst", &format!("-{algorithm}"), "-hmac", key, "-binary"], over)
}

/// HMAC-SHA256 in hexadecimal digits.
pub fn hmac_sha256_hex(key: &str, over: &[u8]) -> String {
    hex(&hmac("sha256", key, over))
}

/// Hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}"))
}

/// HMAC-SHA1 in Base64.
pub fn hmac_sha1_base64(key: &str, over: &[u8]) -> String {
    STANDARD.encode(hmac("sha1", key, over))
}

/// A pair of keys.
pub struct KeyPair {
    private: PathBuf,
    /// The public key in PEM.
    pub public: String,
}

impl KeyPair {
    /// A new one: `RSA`, `ED25519` or `EC` (P-256).
    pub fn new(folder: &Folder, algorithm: &str) -> Self {
        let options: &[&str] = match algorithm {
            "RSA" => &["-pkeyopt", "rsa_keygen_bits:2048"],
            "EC" => &["-pkeyopt", "ec_paramgen_curve:P-256"],
            _ => &[],
        };
        let private = openssl(&[&["genpkey", "-quiet", "-algorithm", algorithm], options].concat(), b"");
        let public = String::from_utf8(openssl(&["pkey", "-pubout"], &private)).unwrap();
        Self { private: folder.write(&format!("{algorithm}.pem"), private), public }
    }

    /// A signature as the tool writes it, with SHA-256 (RSA and ECDSA) or of the message itself (Ed25519).
    pub fn sign(&self, folder: &Folder, over: &[u8]) -> Vec<u8> {
        let key = self.private.to_str().unwrap();
        if key.ends_with("ED25519.pem") {
            let message = folder.write("message", over);
            let message = message.to_str().unwrap();
            return openssl(&["pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", message], b"");
        }
        openssl(&["dgst", "-sha256", "-sign", key], over)
    }

    /// The two numbers of a signature by ECDSA one behind the other, as JSON Web Tokens have them (IEEE P1363).
    pub fn sign_plain(&self, folder: &Folder, over: &[u8]) -> Vec<u8> {
        let der = self.sign(folder, over);
        // SEQUENCE, its length; INTEGER, its length and bytes, twice. A number may begin with a zero or be short.
        let (first, second) = der[4..].split_at(usize::from(der[3]));
        [first, &second[2..]]
            .iter()
            .flat_map(|number| {
                let digits: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
                [vec![0; 32 - digits.len()], digits].concat()
            })
            .collect()
    }
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
        .stderr(Stdio::piped())
        .spawn()
        .expect("the `openssl` tool is needed");
    // What needs no input may have closed it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
