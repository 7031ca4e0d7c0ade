//! The `patchcord` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    patchcord::cli::main()
}
