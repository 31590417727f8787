//! How the process ends.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use runner_core::is_unreachable;

/// The exit codes, which are promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Done, or stopped in order.
    Done,
    /// Bad data, a refused write, denied access, a missing bucket or topic.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// A service could not be reached in time (sysexits: `EX_UNAVAILABLE`).
    Unavailable,
    /// A bad pipeline file (sysexits: `EX_CONFIG`).
    Config,
    /// Stopped hard, by SIGINT.
    Interrupted,
    /// Stopped hard, by SIGTERM or the drain deadline.
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
    /// What a verb that has come to `ended` exits with; an error is said.
    pub(crate) fn after(ended: anyhow::Result<()>) -> Exit {
        ended.map_or_else(|error| Exit::on(&error), |()| Exit::Done)
    }

    /// Says the error that a verb has ended with.
    pub(crate) fn on(error: &anyhow::Error) -> Exit {
        say_error(error);
        if is_unreachable(error) { Exit::Unavailable } else { Exit::Failed }
    }

    /// Says what is wrong with the command line.
    pub(crate) fn on_usage(error: &anyhow::Error) -> Exit {
        say_error(error);
        Exit::Usage
    }
}

/// Whether anybody still reads what is printed; `| head` is no failure.
pub(crate) fn reads_on(printed: std::io::Result<()>) -> anyhow::Result<bool> {
    match printed {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        printed => printed.map(|()| true).context("writing to the standard output"),
    }
}

/// Says an error and its causes on stderr.
pub(crate) fn say_error(error: &anyhow::Error) {
    let mut stderr = anstream::stderr().lock();
    let mut causes = error.chain();
    // Whoever closed stderr wants to hear nothing.
    if let Some(first) = causes.next() {
        let _ = writeln!(stderr, "\x1b[1;31merror\x1b[0m: {first}");
    }
    let mut last = error.to_string();
    for cause in causes {
        let cause = cause.to_string();
        if !last.contains(&cause) {
            let _ = writeln!(stderr, "  because: {cause}");
        }
        last = cause;
    }
}

/// Says a line on stderr.
pub(crate) fn say(line: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}
