//! `console`: shows every record on a line of its own.

use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;
use runner_core::{
    Body, BuildContext, OutputClosed, Plugin, Record, Result, Sink, SinkConfig, WriteError, async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

runner_core::register! {
    Plugin::sink::<ConsoleConfig>("console").example(
        r#"type = "console"
inputs = ["json"]"#,
    )
}

/// Shows every record on a line of its own.
///
/// A body is written as it is; a row that met no `to_json` as its CSV line. Logs go
/// to the standard error, so the standard output can be piped into other programs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConsoleConfig {
    /// Where to write to.
    #[serde(default = "stdout")]
    target: Target,
}

/// Where to write to.
#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Target {
    /// The standard output.
    Stdout,
    /// The standard error, where the logs go.
    Stderr,
}

fn stdout() -> Target {
    Target::Stdout
}

impl SinkConfig for ConsoleConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Sink>> {
        let is_terminal = match self.target {
            Target::Stdout => io::IsTerminal::is_terminal(&io::stdout()),
            Target::Stderr => io::IsTerminal::is_terminal(&io::stderr()),
        };
        if is_terminal {
            context.gauges.set_writes_to_terminal();
        }
        Ok(Box::new(Console(self.target)))
    }
}

struct Console(Target);

#[async_trait]
impl Sink for Console {
    async fn write(&self, records: &[Record]) -> Result<(), WriteError> {
        let lines = lines(records);
        let target = self.0;
        // A pager that nobody scrolls holds the writer up for as long as it likes.
        let written = spawn_blocking(move || match target {
            Target::Stdout => write_all(io::stdout().lock(), &lines),
            Target::Stderr => write_all(io::stderr().lock(), &lines),
        });
        written.await.context("writing to the console")?.map_err(|error| refusal(target, error))
    }
}

fn lines(records: &[Record]) -> Vec<u8> {
    let size = records.iter().map(|record| record.size() + 1).sum();
    let mut lines = Vec::with_capacity(size);
    for record in records {
        match &record.body {
            Body::Row(row) => row.write_csv(&mut lines),
            _ => lines.extend_from_slice(&record.to_bytes().unwrap_or_default()),
        }
        lines.push(b'\n');
    }
    lines
}

fn write_all(mut target: impl Write, lines: &[u8]) -> io::Result<()> {
    target.write_all(lines)?;
    target.flush()
}

/// Nothing is worth another try: part of the lines may have been shown already.
///
/// A reader that has gone (`| head`) ends the run in order: what it has not taken
/// is unread again.
fn refusal(target: Target, error: io::Error) -> WriteError {
    let name = match target {
        Target::Stdout => "the standard output",
        Target::Stderr => "the standard error",
    };
    WriteError::Fatal(if error.kind() == ErrorKind::BrokenPipe {
        OutputClosed(format!("nobody reads {name} any more")).into()
    } else {
        anyhow::Error::new(error).context(format!("writing to {name}"))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use runner_core::testing::records;

    use super::*;

    #[test]
    fn every_record_is_a_line() {
        let mut batch = records(["{\"a\":1}", "two", "gone"]);
        batch.records_mut()[2].body = Body::Tombstone;
        assert_eq!(lines(batch.records()), b"{\"a\":1}\ntwo\n\n");
    }

    #[test]
    fn a_reader_that_has_gone_can_be_told_from_a_failure() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let error = write_all(ours, b"line\n").unwrap_err();
        let WriteError::Fatal(error) = refusal(Target::Stdout, error) else { panic!("worth no other try") };
        assert!(error.is::<OutputClosed>());
        assert_eq!(error.to_string(), "nobody reads the standard output any more");
    }
}
