//! How a body becomes a tree.

use smol_str::SmolStr;

use super::words::Decode;
use crate::expression::Template;

/// How a body becomes a tree, stage by stage; without stages it goes by the Content-Type.
#[derive(Debug, Default)]
pub struct Decoding {
    /// The stages whose tree the proofs see.
    pub open: Vec<Stage>,
    /// The stages from the first that decrypts on: they run once the proofs held.
    pub sealed: Vec<Stage>,
}

impl Decoding {
    /// Whether nothing is said, so that the Content-Type decides.
    pub fn is_guess(&self) -> bool {
        self.open.is_empty() && self.sealed.is_empty()
    }
}

/// One stage. The first reads the body, a later one what the one before made of it.
#[derive(Debug)]
pub enum Stage {
    /// In that way.
    Word(Decode),
    /// In the way that a value says.
    Made(Template),
    /// As a form in that charset.
    Form(Template),
    /// The JSON text that a value is.
    Json(Template),
    /// As XML in which these elements are always lists.
    Xml(Vec<SmolStr>),
    /// The plain text of an encrypted value.
    Decrypt(Box<Decrypt>),
}

/// How a value is decrypted: AES-256-CBC over 16 random bytes, the length of the text, the text, and who it is for.
#[derive(Debug)]
pub struct Decrypt {
    /// The key: 43 characters of Base64.
    pub key: Template,
    /// What is encrypted, in Base64.
    pub data: Template,
    /// Who it must be for.
    pub receiver: Option<Template>,
}
