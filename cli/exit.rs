//! Exit codes, and messages on stderr.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use runner_core::{Class, class_of};
use serde_json::Value;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

/// The documented exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Exit {
    /// Completed, or stopped gracefully.
    Done,
    /// Failed: a refused write, denied access, a missing bucket or topic.
    Failed,
    /// Invalid command line.
    Usage,
    /// A bad record ended the run, because the file has no `[dead_letter]`: another run ends the same way (sysexits:
    /// `EX_DATAERR`).
    BadRecord,
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
        ExitCode::from(exit.code())
    }
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::BadRecord => 65,
            Exit::Unavailable => 69,
            Exit::Config => 78,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// The exit code for the result of a verb; prints the error if there is one.
    pub(crate) fn from_result(result: anyhow::Result<()>) -> Exit {
        result.map_or_else(|error| Exit::from_error(&error), |()| Exit::Done)
    }

    /// Prints the error of a verb and returns its exit code.
    pub(crate) fn from_error(error: &anyhow::Error) -> Exit {
        print_error(error);
        match class_of(error) {
            Class::Unreachable => Exit::Unavailable,
            Class::Rejected => Exit::BadRecord,
            _ => Exit::Failed,
        }
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

/// Set by `--log-format json`: a program reads stderr as JSON lines, so nothing else goes there.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Makes a JSON line of every message on stderr.
pub(crate) fn set_json_messages() {
    IS_JSON.store(true, Ordering::Relaxed);
}

/// Whether messages on stderr are JSON lines.
pub(crate) fn are_messages_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Prints a message as a JSON line like those of the log, with more fields.
pub(crate) fn print_json(level: &str, message: &str, fields: serde_json::Map<String, Value>) {
    let mut timestamp = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let mut line = serde_json::Map::new();
    line.insert("timestamp".into(), timestamp.into());
    line.insert("level".into(), level.into());
    line.insert("message".into(), console::strip_ansi_codes(message).trim().into());
    line.extend(fields);
    let _ = writeln!(std::io::stderr().lock(), "{}", Value::Object(line));
}

/// Prints an error and its causes to stderr.
pub(crate) fn print_error(error: &anyhow::Error) {
    if are_messages_json() {
        return print_json("ERROR", &format!("{error:#}"), serde_json::Map::new());
    }
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
    if are_messages_json() {
        return print_json("INFO", line, serde_json::Map::new());
    }
    let _ = writeln!(anstream::stderr().lock(), "{line}");
}
