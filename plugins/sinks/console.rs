//! `console`: writes every record to the standard output, one per line.

use std::io::{self, ErrorKind, Write};

use anyhow::Context as _;
use runner_core::{
    Batch, Body, BuildContext, Error, Failure, Plugin, Record, Result, Sink, SinkConfig, WriteError,
    async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tracing::warn;

runner_core::register! {
    Plugin::sink::<ConsoleConfig>("console").example(
        r#"type = "console"
inputs = ["json"]"#,
    )
}

/// Writes every record to the standard output, one per line.
///
/// A body is written as it is. A row that no `to_json` has converted is written as its CSV line.
/// Logs go to the standard error, so the standard output can be piped into other programs.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConsoleConfig {
    /// The output to write to.
    #[serde(default)]
    target: Target,
}

/// The output to write to.
#[derive(Clone, Copy, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Target {
    /// The standard output.
    #[default]
    Stdout,
    /// The standard error, which also receives the logs.
    Stderr,
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Target::Stdout => "the standard output",
            Target::Stderr => "the standard error",
        }
    }
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
        let keeps_nothing = context.is_dead_letter && !is_terminal;
        Ok(Box::new(Console { target: self.target, keeps_nothing }))
    }
}

struct Console {
    target: Target,
    /// Whether dead letters go to the output of another program, where nobody may look for them.
    keeps_nothing: bool,
}

#[async_trait]
impl Sink for Console {
    async fn open(&mut self) -> Result<(), Failure> {
        if self.keeps_nothing {
            warn!(
                "dead letters go to {}, which is not a terminal: a rejected record counts as delivered once it is \
                 printed there. Use `file`, `kafka` or `s3` in `[dead_letter]` to keep them",
                self.target.name()
            );
        }
        Ok(())
    }

    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        let lines = lines(batch.records());
        let target = self.target;
        // The write may block, for example while a pager waits for input.
        let written = spawn_blocking(move || match target {
            Target::Stdout => write_all(io::stdout().lock(), &lines),
            Target::Stderr => write_all(io::stderr().lock(), &lines),
        });
        written.await.context("writing to the console")?.map_err(|error| write_error(target, error).into())
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

/// No error is retried, because part of the lines may have been written.
///
/// A closed pipe (`| head`) stops the run without an error; records that were not written are released.
fn write_error(target: Target, error: io::Error) -> Failure {
    let name = target.name();
    if error.kind() == ErrorKind::BrokenPipe {
        Failure::output_closed(Error::msg(format!("the reader of {name} has closed it")))
    } else {
        Failure::fatal(error).context(format!("writing to {name}"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use runner_core::Class;
    use runner_core::testing::records;

    use super::*;

    #[test]
    fn console_writes_one_line_per_record() {
        let mut batch = records(["{\"a\":1}", "two", "gone"]);
        batch.records_mut()[2].body = Body::Tombstone;
        assert_eq!(lines(batch.records()), b"{\"a\":1}\ntwo\n\n");
        batch.ack();
    }

    #[test]
    fn console_reports_a_closed_pipe_as_output_closed() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let error = write_all(ours, b"line\n").unwrap_err();
        let failure = write_error(Target::Stdout, error);
        assert_eq!(failure.class(), Class::OutputClosed);
        assert_eq!(failure.to_string(), "the reader of the standard output has closed it");
    }
}
