//! The command line: one file per command.
//!
//! Standard output is data, standard error is for people. Exit codes: 0 good, 1 findings, 2 usage or
//! environment.

mod channels;
mod check;
mod docs;
mod doctor;
mod dry_run;
mod logs;
mod messages;
mod open_files;
mod sandbox;
mod schema;
mod seat;
mod serve;
mod stand_in;
mod store;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Connects any messaging provider to IS-Messenger: one YAML mapping per provider, no code.
#[derive(Debug, Parser)]
#[command(name = "patchcord", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway
    Serve(serve::Args),
    /// Try the whole gateway on this machine, between two stand-ins
    Sandbox(sandbox::Args),
    /// Find every problem of mappings and of patchcord.yaml in one run
    Check(check::Args),
    /// Run the tests of mappings
    Test(test::Args),
    /// Take one webhook or one message through the real pipeline, offline
    DryRun(dry_run::Args),
    /// Show channels, connect them to their providers, and find out whether their credentials are good
    Channels(channels::Args),
    /// Look at messages and parked webhooks, try dead letters again, replay, export
    Messages(messages::Args),
    /// Move an installation from one store to another
    Store(store::Args),
    /// Find out whether an installation can work where it is
    Doctor(doctor::Args),
    /// Run one of the sandbox's stand-ins as a process of its own
    StandIn(stand_in::Args),
    /// Print a JSON Schema, or write all of them into a folder
    Schema(schema::Args),
    /// Print a page of the reference, or write all of it into a folder
    Docs(docs::Args),
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Trouble(pub String);

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}

/// What a command found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to complain about.
    Good,
    /// Something is wrong with what was looked at.
    Findings,
}

impl Verdict {
    fn of(good: bool) -> Self {
        if good { Self::Good } else { Self::Findings }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for and go to standard output; the rest is misuse.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match run(cli.command) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Findings) => ExitCode::from(1),
        Err(Trouble(why)) => {
            anstream::eprintln!("error: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<Verdict, Trouble> {
    match command {
        Command::Serve(args) => serve::run(&args),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Test(args) => test::run(&args),
        Command::DryRun(args) => dry_run::run(&args),
        Command::Channels(args) => channels::run(&args),
        Command::Messages(args) => messages::run(&args),
        Command::Store(args) => store::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::StandIn(args) => stand_in::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Docs(args) => docs::run(&args),
    }
}

/// Prints to standard output; a reader that went away ends the output, not the program.
pub(crate) fn print(text: &str) {
    use std::io::Write as _;
    let mut out = anstream::stdout().lock();
    let _ = out.write_all(text.as_bytes());
    if !text.ends_with('\n') && !text.is_empty() {
        let _ = out.write_all(b"\n");
    }
    let _ = out.flush();
}
