//! The stock binary: the command line with the stock plugins linked in.

use std::process::ExitCode;

use runner_plugins as _;

/// Serves Rust and C alike: a batch is allocated by one thread and freed by another.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    runner::main()
}
