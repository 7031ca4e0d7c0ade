//! The `patchcord` program.

use std::process::ExitCode;

/// A message is taken apart into many small values, which this allocator makes for half of what the system's takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    patchcord::cli::main()
}
