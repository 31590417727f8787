//! The command line of `runner`, as a library: a stranger's binary calls [`main`] too.

mod arguments;
mod checkpoint;
mod crawl;
#[cfg(feature = "local")]
mod demo;
mod dlq;
mod env_file;
mod exit;
mod file;
mod live;
#[cfg(feature = "local")]
mod local;
mod logging;
mod plugins;
mod query;
mod rows;
mod run;
mod schema;
mod signals;
mod summary;
mod together;
mod validate;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Verb};
use exit::Exit;

/// Runs the command line; what it answers is the process's exit code.
pub fn main() -> ExitCode {
    match arguments() {
        Ok(arguments) => act(arguments).into(),
        Err(exit) => exit.into(),
    }
}

/// The command line, and what the environment has to say about its options.
fn arguments() -> Result<Arguments, Exit> {
    let arguments = parse()?;
    let Some(path) = &arguments.common.env_file else { return Ok(arguments) };
    env_file::set_variables(path).map_err(|error| Exit::on_usage(&error.context("--env-file")))?;
    // Options that take their value from a variable find those of the file as well.
    parse()
}

fn parse() -> Result<Arguments, Exit> {
    Arguments::try_parse().map_err(|error| {
        // Help and version are no errors, and go to stdout.
        let _ = error.print();
        if error.use_stderr() { Exit::Usage } else { Exit::Done }
    })
}

fn act(arguments: Arguments) -> Exit {
    let Arguments { verb, common } = arguments;
    common.color.write_global();
    match verb {
        Verb::Run(options) => run::run(&options, &common),
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
        Verb::Local(_) | Verb::Demo(_) => {
            exit::say_error(&anyhow::anyhow!(
                "this runner was built without the offline cloud (`--no-default-features`); \
                 `cargo build --release` builds one with it"
            ));
            Exit::Usage
        }
    }
}
