//! The command line: verbs, options and help texts.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use runner_core::HumanDuration;

/// Runs pipelines of sources, transforms and sinks, described by TOML files
#[derive(Debug, Parser)]
#[command(
    name = "runner",
    version,
    long_version = crate::version::long(),
    propagate_version = true,
    after_help = "Exit codes: 0 completed or stopped gracefully · 1 failed · 2 invalid command line · 65 a bad \
                  record and no [dead_letter] · 69 a service was unreachable · 78 invalid pipeline file · 130/143 aborted by SIGINT/SIGTERM"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run one or more pipeline files until they end or are stopped
    Run(RunArguments),
    /// Check pipeline files without connecting to anything
    Validate(ValidateArguments),
    /// Run the tests in pipeline files without connecting to anything
    Test(TestArguments),
    /// List the plugins, or show the documentation, options and an example of one
    Plugins(PluginsArguments),
    /// Write the JSON Schemas of pipeline files and of every plugin
    Schema(SchemaArguments),
    /// Start the Glue crawlers of a pipeline file now and wait for them
    Crawl(CrawlArguments),
    /// List, show or replay dead letters
    Dlq(DlqArguments),
    /// Show or reset the checkpoints of a pipeline
    Checkpoint(CheckpointArguments),
    /// Run an SQL query in Athena and print its rows
    Query(QueryArguments),
    /// Run the offline cloud on this machine: Kafka, S3, Glue, Athena and a stock API
    Local(LocalArguments),
    /// Run the stock demo in the offline cloud: CSV, Kafka, S3, Glue crawler, SQL
    Demo(DemoArguments),
}

/// Options of every verb.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// Log level: off, error, warn, info, debug, trace, or a filter such as "info,librdkafka=debug"
    /// [default: info; demo: warn]
    #[arg(long, global = true, env = "RUNNER_LOG", value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// Format of the log lines on stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// When to use colors
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// File of environment variables to set, one NAME=value per line. The value in the environment wins. Values are
    /// literal: `$` is not expanded. Single or double quotes, `export` before the name and `#` comments are allowed
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) env_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Applies the choice to everything that is printed.
    pub(crate) fn write_global(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }

    /// Whether output to stderr is colored.
    pub(crate) fn on_stderr(self) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never,
        }
    }
}

/// Writes `--dry-run 5` as `--dry-run=5`: what follows `--dry-run` may also be a pipeline file.
pub(crate) fn join_dry_run(arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        let is_number = argument.to_str().is_some_and(|text| text.parse::<u64>().is_ok());
        match joined.last_mut() {
            Some(last) if is_number && last == "--dry-run" => {
                last.push("=");
                last.push(argument);
            }
            _ => joined.push(argument),
        }
    }
    joined
}

#[derive(Args, Debug)]
pub(crate) struct TestArguments {
    /// Pipeline files with `[[tests]]`
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = TestFormat::Text)]
    pub(crate) format: TestFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TestFormat {
    /// One line per test, and the differences of those that fail
    Text,
    /// `JUnit` XML, for CI
    Junit,
}

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// Pipeline files. They run concurrently; when one fails, the others stop gracefully
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write a JSON report of the run to this file, or to stdout with `-`
    #[arg(long, value_name = "FILE|-")]
    pub(crate) report: Option<PathBuf>,
    /// How long a graceful stop may take before the run is aborted. A supervisor should wait for longer than this
    /// before it kills the process
    #[arg(long, value_name = "DURATION", default_value = "20s")]
    pub(crate) drain_timeout: HumanDuration,
    /// Checkpoint directory (overrides `data_dir` in the file)
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Store nothing and commit nothing: show the first N records of every source after each component, and where
    /// each would be stored [default: 10]
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10",
        value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with = "report"
    )]
    pub(crate) dry_run: Option<u64>,
    /// Stop gracefully after this time
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) run_for: Option<HumanDuration>,
    /// Discard the checkpoints of these files and read from the start; Kafka consumer groups are reset to the
    /// earliest offset
    #[arg(long)]
    pub(crate) from_start: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ValidateArguments {
    /// Pipeline files
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct PluginsArguments {
    /// Plugin to show
    pub(crate) name: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct SchemaArguments {
    /// Directory to write to
    #[arg(default_value = "schemas", value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct CrawlArguments {
    /// Pipeline file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
#[command(
    after_help = "Region, credentials and endpoint come from AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and the other \
                  variables of AWS tools. AWS bills the bytes that the query scans. SIGINT and SIGTERM cancel the \
                  query; the exit code is then 130 or 143."
)]
pub(crate) struct QueryArguments {
    /// SQL statement, such as `SELECT count(*) FROM stockmarket_project`
    #[arg(value_name = "SQL")]
    pub(crate) sql: String,
    /// Database of tables that are named without one
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Where Athena writes the result [default: the location set in the workgroup]
    #[arg(long, value_name = "s3://BUCKET/FOLDER/")]
    pub(crate) output_location: Option<String>,
    /// Athena workgroup to run the query in
    #[arg(long, value_name = "NAME", default_value = "primary")]
    pub(crate) workgroup: String,
    /// Output format
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
    /// Exit with code 1 unless the result is a single value equal to this number
    #[arg(long, value_name = "N")]
    pub(crate) expect: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// Aligned columns
    Table,
    /// Header line and quoted values; NULL is an empty cell without quotes
    Csv,
    /// One object per line
    Json,
}

#[derive(Args, Debug)]
#[command(
    after_help = "All servers listen on 127.0.0.1 only. Kafka keeps its data in memory and loses it on exit. With \
                  --data, objects, tables and crawlers are kept."
)]
pub(crate) struct LocalArguments {
    /// Keep objects and the Glue catalog in this directory. Without this option they are deleted on exit
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Write the environment variables for clients to this file once all servers are ready
    #[arg(long, value_name = "FILE")]
    pub(crate) write_env: Option<PathBuf>,
    /// Kafka port; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) kafka_port: u16,
    /// Port of S3, Glue and Athena; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) aws_port: u16,
    /// Port of the stock API; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) api_port: u16,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// Number of records; the sample data has 3,000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=3000))]
    pub(crate) records: u32,
    /// Records per second
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: u32,
    /// What the producer reads
    #[arg(long, value_enum, default_value_t = DemoSource::Csv)]
    pub(crate) source: DemoSource,
    /// Keep pipeline files, objects and the Glue catalog in this directory, which must be new or empty
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum DemoSource {
    /// The sample file
    Csv,
    /// The stock API of the offline cloud
    Http,
}

#[derive(Args, Debug)]
pub(crate) struct CheckpointArguments {
    #[command(subcommand)]
    pub(crate) action: CheckpointAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointAction {
    /// Show the position and next entry number of each source; safe during a run
    Show(CheckpointShowArguments),
    /// Delete checkpoints: the next run reads from the start and numbers entries from 0
    Reset(CheckpointResetArguments),
}

#[derive(Args, Debug)]
pub(crate) struct CheckpointShowArguments {
    /// Pipeline file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Checkpoint directory (overrides `data_dir` in the file)
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckpointResetArguments {
    /// Pipeline file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Source to reset [default: all]
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// Checkpoint directory (overrides `data_dir` in the file)
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct DlqArguments {
    #[command(subcommand)]
    pub(crate) action: DlqAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DlqAction {
    /// List dead letters (time, component, record, reason) and count them by reason
    List(DlqListArguments),
    /// Show dead letters in full
    Show(DlqShowArguments),
    /// Send the records again to the components that rejected them, and remove delivered ones from the file
    Replay(DlqReplayArguments),
}

#[derive(Args, Debug)]
pub(crate) struct DlqListArguments {
    /// Dead-letter files written by the `file` sink
    #[arg(value_name = "FILE", required_unless_present = "pipeline", conflicts_with = "pipeline")]
    pub(crate) files: Vec<PathBuf>,
    /// File of a pipeline whose `[dead_letter]` is a `kafka` or `s3` sink: read the letters from there
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) pipeline: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct DlqShowArguments {
    /// Dead-letter file, without `--pipeline`; then numbers of the dead letters to show, as printed by `list`
    /// [default: all]
    #[arg(value_name = "FILE|NUMBER", required_unless_present = "pipeline")]
    pub(crate) words: Vec<String>,
    /// File of a pipeline whose `[dead_letter]` is a `kafka` or `s3` sink: read the letters from there
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) pipeline: Option<PathBuf>,
    /// Write only the body of one record to stdout, unchanged
    #[arg(long)]
    pub(crate) body: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "A record that is rejected again stays in the file with the new reason. A record that a source \
                  rejected cannot be replayed; it is reported and stays in the file. The replay opens no source of \
                  the pipeline. With files, it does not write to the `[dead_letter]` sink. Without files, it reads \
                  the letters from this sink, and writes records that are rejected again to it."
)]
pub(crate) struct DlqReplayArguments {
    /// Dead-letter files; no run may be writing to them [default: the topic or bucket of the pipeline's
    /// `[dead_letter]`]
    #[arg(value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// File of the pipeline that wrote the dead letters
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) pipeline: PathBuf,
    /// Send the records to this component instead of the ones that rejected them, for example a new or renamed
    /// one. All components downstream of it receive them
    #[arg(long, value_name = "COMPONENT")]
    pub(crate) into: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drain_ends_before_the_usual_30_seconds_of_a_supervisor() {
        let arguments = Arguments::try_parse_from(["runner", "run", "p.toml"]).expect("valid");
        let Verb::Run(run) = arguments.verb else { panic!("it is `run`") };
        assert_eq!(std::time::Duration::from(run.drain_timeout), std::time::Duration::from_secs(20));
    }
}
