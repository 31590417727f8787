//! A binary with the stock plugins and those of this crate.

use std::process::ExitCode;

use acme_runner as _;
use runner_plugins as _;

fn main() -> ExitCode {
    runner::main()
}
