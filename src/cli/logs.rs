//! Logs to standard error.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How logs are written.
#[derive(Debug, clap::Args)]
pub(super) struct LogArgs {
    /// Which logs to write: a level, or `target=level` with commas between
    #[arg(long, default_value = "info", env = "PATCHCORD_LOG", value_name = "FILTER")]
    log: String,
    /// How to write them
    #[arg(long, value_enum, default_value_t = Format::Pretty, env = "PATCHCORD_LOG_FORMAT")]
    log_format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Pretty,
    Json,
}

/// Starts writing logs; a second call changes nothing.
pub(super) fn start(args: &LogArgs) {
    let filter = EnvFilter::try_new(&args.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    let logs =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // An error means that logs are written already.
    let _ = match args.log_format {
        Format::Pretty => logs.try_init(),
        Format::Json => logs.json().try_init(),
    };
}
