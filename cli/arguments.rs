//! What may be typed: verbs, options, help texts.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use runner_core::HumanDuration;

/// Runs pipelines of sources, transforms and sinks that a TOML file describes.
#[derive(Debug, Parser)]
#[command(
    name = "runner",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, or stopped in order · 1 failed · 2 usage · 69 a service could not be \
                  reached in time · 78 bad pipeline file · 130/143 stopped hard"
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) verb: Verb,
    #[command(flatten)]
    pub(crate) common: Common,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run pipeline files side by side until they end or are stopped
    Run(RunArguments),
    /// Check everything about pipeline files that can be checked without a connection
    Validate(ValidateArguments),
    /// List the plugins, or show one with its documentation, options and an example
    Plugins(PluginsArguments),
    /// Write the JSON Schemas of the pipeline file and of every plugin
    Schema(SchemaArguments),
    /// Start the crawlers of a pipeline file by hand, wait for them and report
    Crawl(CrawlArguments),
    /// Show dead letters, or feed them back into the components that have rejected them
    Dlq(DlqArguments),
    /// Show how far a pipeline has come, or make it forget that
    Checkpoint(CheckpointArguments),
    /// Run one statement of SQL through Athena and print its rows
    Query(QueryArguments),
    /// Run Kafka, S3, Glue, Athena and a stock API on this machine until stopped: the offline cloud
    Local(LocalArguments),
    /// Show the whole stock flow on this machine: CSV, Kafka, S3, crawler, SQL
    Demo(DemoArguments),
}

/// Understood by every verb.
#[derive(Args, Debug)]
pub(crate) struct Common {
    /// How much to log to stderr: error, warn, info, debug, trace, or a filter such as "info,librdkafka=debug"
    /// [default: info; for the demo warn]
    #[arg(long, global = true, env = "RUNNER_LOG", value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
    /// How log lines look
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub(crate) color: Color,
    /// Set the variables in this file first, one NAME=value a line; the AWS SDK and librdkafka see them too.
    /// A value is what it looks like, also with `$` in it; it may stand in single or double quotes. Lines
    /// may begin with `export`, and `#` begins a comment
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
    /// Makes the choice known to everything that prints.
    pub(crate) fn write_global(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }

    /// Whether stderr is to be coloured.
    pub(crate) fn on_stderr(self) -> bool {
        match self {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never,
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct RunArguments {
    /// The pipeline files; several run together, and one that fails stops all in order
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Write the closing report as JSON to this file, or to stdout with `-`
    #[arg(long, value_name = "FILE|-")]
    pub(crate) report: Option<PathBuf>,
    /// How long a stop may take before what is under way is abandoned
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) drain_timeout: HumanDuration,
    /// Where checkpoints lie, whatever the file says
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Stop in order after this time
    #[arg(long = "for", value_name = "DURATION")]
    pub(crate) run_for: Option<HumanDuration>,
    /// Forget the positions and entry numbers of these files; a Kafka group goes back to the earliest offset
    #[arg(long)]
    pub(crate) from_start: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ValidateArguments {
    /// The pipeline files
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct PluginsArguments {
    /// Show this one
    pub(crate) name: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct SchemaArguments {
    /// The folder to write to
    #[arg(default_value = "schemas", value_name = "DIR")]
    pub(crate) folder: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct CrawlArguments {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
#[command(
    after_help = "AWS_ENDPOINT_URL, AWS_REGION, AWS_PROFILE and the keys say where and as whom, as with every \
                        AWS tool. AWS bills the bytes that are scanned. A query that a signal stops has no answer: 130 or 143."
)]
pub(crate) struct QueryArguments {
    /// One statement, such as `SELECT count(*) FROM stockmarket_project`
    #[arg(value_name = "SQL")]
    pub(crate) sql: String,
    /// The database that tables without one belong to
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Where Athena writes the rows; without it the workgroup says where
    #[arg(long, value_name = "s3://BUCKET/FOLDER/")]
    pub(crate) output_location: Option<String>,
    /// The workgroup that pays
    #[arg(long, value_name = "NAME", default_value = "primary")]
    pub(crate) workgroup: String,
    /// How the rows are printed
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
    /// Fail with exit code 1 unless the answer is one row with one column that holds this number
    #[arg(long, value_name = "N")]
    pub(crate) expect: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// For people
    Table,
    /// With a header line; NULL is an empty cell without quotes
    Csv,
    /// One object a line
    Json,
}

#[derive(Args, Debug)]
#[command(
    after_help = "It listens on 127.0.0.1 alone. Everything in Kafka is in memory and gone at the end; \
                        objects, tables and crawlers stay if --data says where."
)]
pub(crate) struct LocalArguments {
    /// Keep objects and catalogue in this folder; without it they are gone at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Write the variables to this file, one NAME=value a line, once everything answers
    #[arg(long, value_name = "FILE")]
    pub(crate) write_env: Option<PathBuf>,
    /// The port of Kafka; 0 is a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) kafka_port: u16,
    /// The port of S3, Glue and Athena; 0 is a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) aws_port: u16,
    /// The port of the stock API; 0 is a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) api_port: u16,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArguments {
    /// How many records flow; the sample data has 3,000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=3000))]
    pub(crate) records: u32,
    /// How many records a second
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: u32,
    /// Where the producer reads from
    #[arg(long, value_enum, default_value_t = DemoSource::Csv)]
    pub(crate) source: DemoSource,
    /// Keep pipeline files, objects and catalogue in this folder, which must be new or empty
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
    /// Show positions and entry numbers; a run may go on meanwhile
    Show(CheckpointShowArguments),
    /// Forget positions and entry numbers: the next run reads from the start and counts from 0
    Reset(CheckpointResetArguments),
}

#[derive(Args, Debug)]
pub(crate) struct CheckpointShowArguments {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where checkpoints lie, whatever the file says
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckpointResetArguments {
    /// The pipeline file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The source that is to forget; without it all of them
    #[arg(value_name = "SOURCE")]
    pub(crate) source: Option<String>,
    /// Where checkpoints lie, whatever the file says
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
    /// List dead letters: when, where, which record and why; and how many there are of each kind
    List(DlqListArguments),
    /// Show all that dead letters say
    Show(DlqShowArguments),
    /// Feed the records back into the components that have rejected them; what is delivered leaves the file
    Replay(DlqReplayArguments),
}

#[derive(Args, Debug)]
pub(crate) struct DlqListArguments {
    /// Files of dead letters as the `file` sink writes them
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct DlqShowArguments {
    /// A file of dead letters
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The letters to show, by the numbers that `list` gives them; without any all of them
    #[arg(value_name = "NUMBER")]
    pub(crate) numbers: Vec<usize>,
    /// Write the bytes of one record's body to stdout, and nothing else
    #[arg(long)]
    pub(crate) body: bool,
}

#[derive(Args, Debug)]
#[command(
    after_help = "What the sources of the pipeline could not read has no place to be fed back to: it is named and \
                        stays. A record that is rejected again stays, with the new reason. The pipeline's own sources \
                        are not opened, and its `[dead_letter]` is not written to."
)]
pub(crate) struct DlqReplayArguments {
    /// Files of dead letters; no run may write to them meanwhile
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// The pipeline file that they come from
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) pipeline: PathBuf,
    /// Give the records to this component instead of those that have rejected them: one that was put in front of
    /// them, or took their place. All branches behind it receive them
    #[arg(long, value_name = "COMPONENT")]
    pub(crate) into: Option<String>,
}
