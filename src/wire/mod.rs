//! The wire formats of bodies: XML, forms and multipart to trees of data, and back.
//!
//! Bodies come from strangers: every reader here is bounded in depth and number, and takes time that is linear in
//! the length of the body. What is written can't be broken out of: no value becomes markup, a header or a boundary.

pub mod form;
pub mod multipart;
mod parameter;
pub mod xml;

pub use parameter::parameter;

/// Why a body can't be read or written, as the end of a sentence that begins with what it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Problem(pub String);

impl Problem {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
