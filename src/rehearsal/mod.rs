//! One webhook or one message through the real pipeline, offline: what `dry-run` and mapping tests do.
//!
//! Clock, ids and randomness are fixed, so the same input gives the same output, byte for byte.

mod body;
mod compare;
mod coverage;
mod downloading;
mod judge;
mod kept;
mod receiving;
mod running;
mod sending;
mod stage;
mod suite;
#[cfg(test)]
mod tests;

pub use compare::{Difference, compare};
pub use coverage::{Place, coverage};
pub use downloading::downloads;
pub use judge::read_tests;
pub use kept::Kept;
pub use receiving::{Rehearsed, receive, request_of};
pub use running::{Run, run};
pub use sending::{answers_of, message_of, parts, send, send_live};
pub use stage::{NOW, Stage};
pub use suite::{
    CaseResult, run as run_tests, run_of, scripted, sent_of, sign_webhook, stage_of, webhook_of,
};
