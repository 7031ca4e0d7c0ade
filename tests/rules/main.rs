//! The house rules: what people are told about their files, how the code is laid out, that generated files are
//! fresh, and that every shipped mapping is sound and can't be brought down.

// A test may fail: its helpers too, which Clippy does not take for tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod architecture;
mod coverage;
mod diagnostics;
mod done_when;
mod explain;
mod generated;
mod guides;
mod hostile;

mod mappings;
mod program;
mod tutorial;
