//! The `patchcord` program.

use std::process::ExitCode;

/// A message is taken apart into many small values; with this allocator it takes a seventh less of the processor.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    patchcord::cli::main()
}
