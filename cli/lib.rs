//! The command line of `runner`, as a library: a stranger's binary calls [`main`] too.

mod arguments;
mod checkpoint;
mod crawl;
#[cfg(feature = "local")]
mod demo;
mod dlq;
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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors, and go to stdout.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    act(arguments).into()
}

fn act(arguments: Arguments) -> Exit {
    let Arguments { verb, common } = arguments;
    common.color.write_global();
    if let Some(path) = &common.env_file
        && let Err(error) = dotenvy::from_path_override(path)
    {
        exit::say_error(&anyhow::anyhow!("--env-file {}: {error}", path.display()));
        return Exit::Usage;
    }
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
