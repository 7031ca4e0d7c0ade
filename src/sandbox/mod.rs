//! The stand-ins that surround the real gateway in `patchcord sandbox` and in end-to-end tests.
//!
//! Both speak real HTTP on a listener of their own and know nothing of the gateway's inside: what they measure
//! (requests in any sliding second, order, duplicates) is what a peer over the network would see.
//!
//! Invariant: a stand-in's memory is bounded and its counts are exact. Bodies, headers and finished messages
//! are forgotten oldest first; a count that could no longer be exact says so in a count of its own.

pub mod burst;
mod control;
pub(crate) mod http;
pub mod page;
pub mod platform;
pub mod provider;
mod reaction;
mod recording;
pub mod script;
mod seen;
mod sequences;
mod window;

pub use recording::{Keep, Received, Verdict};
pub use script::{Answer, Script, ScriptError};
