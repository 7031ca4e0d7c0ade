//! `store`: the store as a whole.

use std::time::Instant;

use super::{Trouble, Verdict, print};
use crate::store;

/// Arguments of `store`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Copy everything from one store into another that is empty, while no gateway works with either
    ///
    /// An address is `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, or `env:NAME` for the environment variable that holds
    /// one. Either all of it is there in the end, or nothing.
    Copy {
        /// The store that is read
        from: String,
        /// The store that is written: it must be empty, and is created where it is a file
        to: String,
    },
}

pub(super) fn run(args: &Args) -> Result<Verdict, Trouble> {
    let What::Copy { from, to } = &args.what;
    let (from, to) = (address(from)?, address(to)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let began = Instant::now();
    let copied = runtime.block_on(store::copy(&from, &to))?;
    let lines = copied.iter().map(|(table, rows)| format!("{rows:>12}  {table}\n"));
    let took = began.elapsed().as_secs_f64();
    print(&format!("{}copied in {took:.1} s\n", lines.collect::<String>()));
    Ok(Verdict::Good)
}

/// An address, which may be kept in the environment, since it may hold a password.
fn address(given: &str) -> Result<String, Trouble> {
    let Some(name) = given.strip_prefix("env:") else { return Ok(given.to_owned()) };
    std::env::var(name).map_err(|_| Trouble(format!("the environment variable `{name}` is not set")))
}
