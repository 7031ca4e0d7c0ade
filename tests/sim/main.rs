//! The simulator: the real engine on the real store, with a virtual clock, seeded randomness, a scripted network and
//! a disk that fails. The same seed gives the same run.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unchecked_time_subtraction
)]

mod base;
mod carrier;
mod clock;
mod database;
mod dice;
mod disk;
mod house;
mod log;
mod network;
#[path = "../shared/postgres.rs"]
mod postgres;
mod promises;
mod scenario;
mod schedule;
mod seeds;
mod town;
mod transport;
