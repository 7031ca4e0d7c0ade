//! The whole program as its users run it: real processes, real HTTP on loopback, a fake provider and a fake
//! IS-Messenger (`patchcord stand-in`) that judge by their own clocks.
//!
//! Every test prints what it measured, whether it passes or not; `cargo test --test it` shows it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

mod aliases;
mod batch;
mod bounds;
mod channels;
mod cluster;
mod crash;
mod credential;
mod dry_run;
mod four;
mod life;
mod media;
mod memory;
mod messages;
mod neighbours;
mod open_files;
mod outage;
mod priority;
mod proxy;
mod rate;
mod receipts;
mod refusals;
mod restart;
mod sandbox;
mod signing;
mod store_trouble;
mod tokens;
