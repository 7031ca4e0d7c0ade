//! Files that the platform can't fetch itself, since the provider wants credentials or gives no lasting URL.
//!
//! The platform gets a URL of this gateway for each: `{public_url}/media/{token}`. The token says all that is needed
//! to fetch the file, is signed and expires, so any node that has the key serves it and nothing is stored. `links`
//! makes the URLs when an event is posted; `proxy` passes a file on.

mod headers;
mod links;
mod proxy;
mod token;

pub use links::Links;
pub use proxy::{Asked, File, NoFile, open};
pub use token::{BadToken, Keys, Token};
