//! The stock binary: the command line with the stock plugins linked in.

use std::process::ExitCode;

use runner_plugins as _;

fn main() -> ExitCode {
    runner::main()
}
