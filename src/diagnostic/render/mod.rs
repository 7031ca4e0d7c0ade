//! One file per format, each a function from the same data to text.

mod github;
mod json;
mod text;

pub use github::github;
pub use json::json;
pub use text::text;

#[cfg(test)]
mod tests;
