//! The stages that a webhook and a message go through, as pure functions: no clock, no network, no disk but
//! what comes in as a parameter.
//!
//! Inbound: [`receive`] verifies, decodes and turns a request into canonical events and an answer. Outbound:
//! [`Sending`] plans parts, hands out one request after another, is told each response, and ends with an
//! outcome.

mod answer;
mod as_text;
mod calling;
mod decode;
mod decrypt;
mod emit;
mod errand;
mod fetching;
mod incoming;
mod late;
mod parts;
mod receive;
mod remember;
mod sending;
mod split;
mod trace;
mod verify;

pub use answer::Reply;
pub use calling::CallProgress;
pub use errand::{Errand, Ground, Page};
pub use fetching::{Fetching, NextFetch, wants_credentials};
pub use incoming::Incoming;
pub use late::{Late, Making, Origin, Whole};
pub use receive::{
    Directory, NoRoute, Poked, Received, Route, Routed, Site, Terms, Verdict, enter, find_route, receive,
    receive_again,
};
pub use sending::{Next, Outcome, Progress, Sending};
pub use split::{Size, size, split};
pub use trace::Trace;
pub use verify::sign;
