//! What follows from what: the durable units, written to any [`Ledger`](super::ledger::Ledger).
//!
//! Invariant: a unit asks its ledger only for what is named in what it was given, so that a ledger can find all of it
//! beforehand.

mod accept;
mod pieces;
mod receipts;
mod settle;
mod watermarks;

pub(super) use accept::accept;
pub(super) use pieces::whole;
pub(super) use settle::settle;
pub(super) use watermarks::reach;
