//! What a mapping, its tests and `patchcord.yaml` say: the file's own words as types, each with its place.
//!
//! Reading collects every problem of shape (unknown and missing keys, wrong types, values outside a closed
//! set) and judges nothing else: that is `compile`. What is missing or wrong gets a stand-in, so that a file with
//! one mistake is judged as fully as one without; such a file is never run. The JSON Schemas are generated from these types, so what
//! an editor accepts and what the reader accepts are the same keys.

mod fetch;
mod installation;
mod life;
mod mapping;
mod overlay;
mod read;
mod request;
mod schema;
mod test;

pub use fetch::{Fetch, FetchAuth};
pub use installation::{Admin, Channel, ChannelLimits, Installation, Media, Network, Platform, Server};
pub use life::{Errands, Lifecycle, Poll};
pub use mapping::*;
pub use overlay::with_overlays;
pub(crate) use read::unknown_keys;
pub use read::{Count, Docs, Duration, Flag, FromNode, Map, Rate, Raw, Shape, Size};
pub use request::{Auth, AuthChoice, BodySpec, FileSpec, OAuth1, OAuth2, PartSpec, Request, SigV4, Sign};
pub use schema::{FileKind, schema};
pub use test::{
    Answer as ScriptedAnswer, Expect, MappingTests, Receive, RunCase, SendCase, TestCase, TestChannel,
};
