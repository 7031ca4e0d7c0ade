//! How large everything is: `cargo bench` measures, `cargo test` only tries whether all of it still works.

use std::time::Duration;

use super::installation::server;
use super::postgres;

/// The sizes.
#[derive(Clone, Debug)]
pub struct Scale {
    /// How often each load is repeated; the medians are told.
    pub runs: usize,
    /// How long each load lasts.
    pub lasts: Duration,
    /// How many connections load comes over.
    pub connections: u64,
    /// The PostgreSQL whose limit is measured, and how many nodes work with it, one after another.
    pub postgres: Option<String>,
    pub nodes: Vec<usize>,
    /// How many channels send at the same time, one after another.
    pub channels: Vec<usize>,
    /// How many requests a second and channel.
    pub rate: usize,
    /// How many messages are queued before a start.
    pub queued: usize,
    /// How many mappings are loaded,
    pub mappings: usize,
    /// and how many channels with them.
    pub loaded_channels: usize,
    /// How long the soak lasts,
    pub soak: Duration,
    /// and how many messages a second it is, in each direction.
    pub soak_rate: f64,
}

impl Scale {
    /// What the environment says.
    pub fn of_environment() -> Self {
        let seconds = |name, default| Duration::from_secs(variable(name).unwrap_or(default));
        Self {
            runs: variable("PATCHCORD_BENCH_RUNS").unwrap_or(3),
            lasts: seconds("PATCHCORD_BENCH_SECONDS", 3),
            connections: variable("PATCHCORD_BENCH_CONNECTIONS").unwrap_or(32),
            postgres: server(),
            nodes: counts("PATCHCORD_BENCH_NODES", "1,2,4"),
            channels: counts("PATCHCORD_BENCH_CHANNELS", "1,100,300,1000"),
            rate: variable("PATCHCORD_BENCH_RATE").unwrap_or(20),
            queued: variable("PATCHCORD_BENCH_QUEUED").unwrap_or(1_000_000),
            mappings: 200,
            loaded_channels: 10_000,
            soak: Duration::from_secs(60 * variable("PATCHCORD_SOAK").unwrap_or(30)),
            soak_rate: variable("PATCHCORD_SOAK_RATE").unwrap_or(100.0),
        }
    }

    /// As small as it can be.
    pub fn of_a_try() -> Self {
        Self {
            runs: 1,
            lasts: Duration::from_millis(300),
            connections: 4,
            postgres: server().or_else(postgres::server),
            nodes: vec![2],
            channels: vec![2],
            rate: 20,
            queued: 2_000,
            mappings: 3,
            loaded_channels: 20,
            soak: Duration::from_secs(2),
            soak_rate: 50.0,
        }
    }
}

fn counts(name: &str, default: &str) -> Vec<usize> {
    let text = std::env::var(name).unwrap_or_else(|_| default.to_owned());
    text.split(',').filter_map(|count| count.trim().parse().ok()).collect()
}

fn variable<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not `{text}`")))
}
