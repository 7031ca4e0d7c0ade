//! The whole gateway as a process, under load from this one, on loopback. What is measured and how to read it:
//! `docs/guide/performance.md`.
//!
//! `cargo bench --bench gateway -- [case] ..` runs the cases of that name, or all but the soak and `nodes`. The environment changes
//! their size: `PATCHCORD_BENCH_RUNS` (3), `_SECONDS` (3), `_CONNECTIONS` (32), `_CHANNELS` (`1,100,300,1000`), `_RATE` (20), `_QUEUED`
//! (1000000), and `PATCHCORD_SOAK` (30 minutes) with `PATCHCORD_SOAK_RATE` (100/s each way). With `PATCHCORD_BENCH_POSTGRES`
//! the store is in that database, in a schema that is dropped afterwards. `nodes` needs it, with as many nodes as
//! `PATCHCORD_BENCH_NODES` (`1,2,4`) says.
//!
//! `cargo test` runs every case at its smallest, so that none rots.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss
)]

mod backlog;
mod by_hand;
mod by_hand_postgres;
mod figures;
mod flow;
mod http;
mod installation;
mod load;
mod nodes;
mod pace;
#[path = "../../tests/shared/postgres.rs"]
mod postgres;
mod process;
mod run;
mod scale;
mod sink;
mod sizes;
mod soak;

use scale::Scale;

type Case = (&'static str, fn(&Scale));

/// In the order in which they are run.
const CASES: &[Case] = &[
    ("accept", flow::accept),
    ("to-platform", flow::to_platform),
    ("to-provider", flow::to_provider),
    ("moderate", flow::moderate),
    ("pace", pace::pace),
    ("idle", sizes::idle),
    ("load", sizes::load),
    ("restart", backlog::restart),
    (NODES, nodes::nodes),
    ("soak", soak::soak),
];

/// The case that needs a database.
const NODES: &str = "nodes";
/// The cases that only run where they are named.
const BY_NAME: [&str; 2] = [NODES, "soak"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(by_hand::COMMAND) => return by_hand::serve(arguments.into_iter().skip(1)),
        Some(by_hand_postgres::COMMAND) => return by_hand_postgres::serve(arguments.into_iter().skip(1)),
        _ => {}
    }
    if !cfg!(target_os = "linux") {
        println!("SKIPPED: what a process uses is read from /proc");
        return;
    }
    let names: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|name| !name.starts_with('-')).collect();
    // Cargo says which of the two it is.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return try_all(&arguments, &names);
    }
    for name in &names {
        let known = CASES.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        assert!(known.contains(name), "there is no case `{name}`; there are {}", known.join(", "));
    }
    let scale = Scale::of_environment();
    for (name, case) in CASES {
        if names.contains(name) || names.is_empty() && !BY_NAME.contains(name) {
            case(&scale);
        }
    }
}

/// Every case at its smallest, unless `cargo test` asks for tests of other names.
fn try_all(arguments: &[String], names: &[&str]) {
    let listed = arguments.iter().any(|argument| argument == "--list" || argument == "--ignored");
    if listed || !names.is_empty() && !names.iter().any(|name| CASES.iter().any(|(case, _)| case == name)) {
        return;
    }
    let scale = Scale::of_a_try();
    for (name, case) in CASES {
        if *name == NODES && scale.postgres.is_none() {
            assert!(std::env::var_os("CI").is_none(), "no PostgreSQL to try `{name}` with");
            eprintln!("SKIPPED: no PostgreSQL to try `{name}` with; set PATCHCORD_TEST_POSTGRES");
        } else if names.is_empty() || names.contains(name) {
            case(&scale);
        }
    }
}
