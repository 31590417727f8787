//! The command line of `runner` as a library. A binary with plugins of its own calls [`main`] too.

mod arguments;
mod checkpoint;
mod crawl;
#[cfg(feature = "local")]
mod demo;
mod dlq;
mod dry_run;
mod env_file;
mod exit;
#[cfg(feature = "local")]
mod local;
mod logging;
mod pipeline_file;
mod plugins;
mod progress;
mod query;
mod repeated_warnings;
mod report_file;
mod rows;
mod run;
mod run_many;
mod schema;
mod signals;
mod summary;
mod test;
mod validate;
mod version;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, LogFormat, Verb};
use env_file::Precedence;
use exit::Exit;

/// Runs the command line and returns the exit code of the process.
pub fn main() -> ExitCode {
    match arguments() {
        Ok(arguments) => run_verb(arguments).into(),
        Err(exit) => exit.into(),
    }
}

/// Parses the command line, after setting the variables of `--env-file`.
fn arguments() -> Result<Arguments, Exit> {
    let arguments = parse()?;
    let Some(path) = &arguments.common.env_file else { return Ok(arguments) };
    env_file::set_variables(path, Precedence::Environment)
        .map_err(|error| Exit::usage_error(&anyhow::anyhow!("--env-file {error:#}")))?;
    // Options such as `--log-level` may take their value from a variable that the file has just set.
    parse()
}

fn parse() -> Result<Arguments, Exit> {
    let arguments =
        Arguments::try_parse_from(arguments::join_dry_run(std::env::args_os())).map_err(|error| {
            // clap also returns `--help` and `--version` as errors, and prints those to stdout.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Done }
        })?;
    if arguments.common.log_format == LogFormat::Json {
        exit::set_json_messages();
    }
    Ok(arguments)
}

fn run_verb(arguments: Arguments) -> Exit {
    let Arguments { verb, common } = arguments;
    common.color.write_global();
    match verb {
        Verb::Run(options) => run::run(&options, &common),
        Verb::Test(options) => test::test(&options, &common),
        Verb::Validate(options) => validate::validate(&options, &common),
        Verb::Plugins(options) => plugins::show(&options),
        Verb::Schema(options) => schema::write(&options),
        Verb::Crawl(options) => crawl::crawl(&options, &common),
        Verb::Dlq(options) => dlq::dlq(&options, &common),
        Verb::Checkpoint(options) => checkpoint::checkpoint(&options, &common),
        Verb::Query(options) => query::query(&options, &common),
        #[cfg(feature = "local")]
        Verb::Local(options) => local::local(&options, &common),
        #[cfg(feature = "local")]
        Verb::Demo(options) => demo::demo(&options, &common),
        #[cfg(not(feature = "local"))]
        Verb::Local(_) | Verb::Demo(_) => Exit::usage_error(&anyhow::anyhow!(
            "this binary was built without the offline cloud (`--no-default-features`); \
             build one that includes it with `cargo build --release`"
        )),
    }
}
