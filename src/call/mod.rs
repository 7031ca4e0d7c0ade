//! One exchange with a provider: a request is built, sent, and its response interpreted.
//!
//! Building and interpreting are pure; only a [`Transport`] touches the network. The one that does is
//! [`HttpTransport`], on hyper's client; [`Scripted`] answers from a script, for tests and dry runs.

mod body;
mod cache;
mod client;
mod decode;
mod departure;
mod download;
mod duration;
mod fence;
mod guard;
mod oauth1;
mod pairs;
mod quota;
mod request;
mod response;
mod scripted;
mod shelf;
mod sign;
mod sigv4;
mod transport;
mod upload;
mod url;

pub use body::{File, Part, PartContent, Payload, Shown};
pub use cache::{Cached, CallCache, Claim, Lookup};
pub use departure::Departure;
pub use download::{Download, Opening, Pieces};
pub use duration::millis_of;
pub use fence::Fence;
pub use guard::NetworkPolicy;
pub use request::{Outgoing, build};
pub use response::{Meaning, Response, interpret, retry_after};
pub(crate) use scripted::glob;
pub use scripted::{Scripted, ScriptedAnswer};
pub use shelf::{Said, Shelf, ShelfError, Shelved};
pub use transport::{Answer, HttpTransport, Transport, TransportError, send, send_once};
pub use upload::longest;
pub use url::resolve;

#[cfg(test)]
mod tests;
