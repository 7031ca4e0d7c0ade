//! One exchange with a provider: a request is built, sent, and its response interpreted.
//!
//! Building and interpreting are pure; only a [`Transport`] touches the network. The one that does is
//! [`HttpTransport`], the home of `reqwest`; [`Scripted`] answers from a script, for tests and dry runs.

mod cache;
mod download;
mod duration;
mod request;
mod response;
mod scripted;
mod transport;

pub use cache::{Cached, CallCache, Claim, Lookup};
pub use download::{Download, Opening, Pieces};
pub use duration::millis_of;
pub use request::{Outgoing, Shown, build};
pub use response::{Meaning, Response, interpret, retry_after};
pub(crate) use scripted::glob;
pub use scripted::{Scripted, ScriptedAnswer};
pub use transport::{Answer, HttpTransport, NetworkPolicy, Transport, TransportError, send};
