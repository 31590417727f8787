//! Exit codes, and messages on stderr.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use runner_core::{Class, class_of};

/// The documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Completed, or stopped gracefully.
    Done,
    /// Failed: bad data, a refused write, denied access, a missing bucket or topic.
    Failed,
    /// Invalid command line.
    Usage,
    /// A service could not be reached in time (sysexits: `EX_UNAVAILABLE`).
    Unavailable,
    /// Invalid pipeline file (sysexits: `EX_CONFIG`).
    Config,
    /// Aborted by SIGINT.
    Interrupted,
    /// Aborted by SIGTERM or the drain deadline.
    Terminated,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 69,
            Exit::Config => 78,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        })
    }
}

impl Exit {
    /// The exit code for the result of a verb; prints the error if there is one.
    pub(crate) fn from_result(result: anyhow::Result<()>) -> Exit {
        result.map_or_else(|error| Exit::from_error(&error), |()| Exit::Done)
    }

    /// Prints the error of a verb and returns its exit code.
    pub(crate) fn from_error(error: &anyhow::Error) -> Exit {
        print_error(error);
        if class_of(error) == Class::Unreachable { Exit::Unavailable } else { Exit::Failed }
    }

    /// Prints what is wrong with the command line.
    pub(crate) fn usage_error(error: &anyhow::Error) -> Exit {
        print_error(error);
        Exit::Usage
    }
}

/// False if the reader of stdout has closed it, as `| head` does; that is not an error.
pub(crate) fn is_stdout_open(result: std::io::Result<()>) -> anyhow::Result<bool> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        result => result.map(|()| true).context("writing to stdout"),
    }
}

/// Prints an error and its causes to stderr.
pub(crate) fn print_error(error: &anyhow::Error) {
    let mut stderr = anstream::stderr().lock();
    let mut causes = error.chain();
    // A closed stderr is not an error.
    if let Some(first) = causes.next() {
        let _ = writeln!(stderr, "\x1b[1;31merror\x1b[0m: {first}");
    }
    let mut last = error.to_string();
    for cause in causes {
        let cause = cause.to_string();
        if !last.contains(&cause) {
            let _ = writeln!(stderr, "  caused by: {cause}");
        }
        last = cause;
    }
}

/// Prints a line to stderr.
pub(crate) fn print_message(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}
