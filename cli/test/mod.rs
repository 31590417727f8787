//! `runner test`: runs the tests of pipeline files; opens nothing.

mod compare;
mod junit;
mod observed;
mod run_test;

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::MultiProgress;
use tokio::runtime::{Builder, Runtime};

use crate::arguments::{Common, TestArguments, TestFormat};
use crate::exit::{Exit, is_stdout_open, print_message};
use crate::summary::count;
use crate::{logging, pipeline_file};

/// The outcome of one test.
struct Tested {
    name: String,
    /// What is wrong; none if the test has passed.
    failures: Vec<String>,
    time: Duration,
}

/// The tests of one file.
struct TestedFile {
    path: String,
    tests: Vec<Tested>,
    /// Whether the file could not be loaded; its errors are on stderr.
    is_invalid: bool,
}

pub(crate) fn test(arguments: &TestArguments, common: &Common) -> Exit {
    if let Err(error) = logging::start_at("error", common, &MultiProgress::new()) {
        return Exit::usage_error(&error);
    }
    let runtime =
        match Builder::new_current_thread().enable_all().build().context("starting the async runtime") {
            Ok(runtime) => runtime,
            Err(error) => return Exit::from_error(&error),
        };
    let mut worst = Exit::Done;
    let mut files = Vec::new();
    for path in &arguments.files {
        match test_file(path, &runtime, common) {
            Ok(file) => files.push(file),
            Err(exit) => {
                files.push(TestedFile {
                    path: path.display().to_string(),
                    tests: Vec::new(),
                    is_invalid: true,
                });
                worst = worst.max(exit);
            }
        }
    }
    if files.iter().flat_map(|file| &file.tests).any(|test| !test.failures.is_empty()) {
        worst = worst.max(Exit::Failed);
    }
    let printed = match arguments.format {
        TestFormat::Text => print_text(&files),
        TestFormat::Junit => junit::print(&files),
    };
    match printed {
        Ok(()) => worst,
        Err(error) => Exit::from_error(&error),
    }
}

fn test_file(path: &Path, runtime: &Runtime, common: &Common) -> Result<TestedFile, Exit> {
    let pipeline = pipeline_file::load(path, None, common)?;
    let mut tests = Vec::new();
    for test in &pipeline.tests {
        // Components are used once, so each test has its own.
        let fresh = pipeline_file::load_again(path, None, common)?;
        tests.push(runtime.block_on(run_test::run(fresh, test)));
    }
    if tests.is_empty() {
        print_message(&format!("{}: it has no tests; add a `[[tests]]` table", path.display()));
    }
    Ok(TestedFile { path: path.display().to_string(), tests, is_invalid: false })
}

fn print_text(files: &[TestedFile]) -> anyhow::Result<()> {
    let mut text = String::new();
    for file in files {
        text += &format!("{}\n", file.path);
        if file.is_invalid {
            text += "  \x1b[1;31mERROR\x1b[0m the file is invalid\n";
        }
        for test in &file.tests {
            if test.failures.is_empty() {
                text += &format!("  \x1b[32mok\x1b[0m    {}\n", test.name);
                continue;
            }
            text += &format!("  \x1b[1;31mFAIL\x1b[0m  {}\n", test.name);
            for line in test.failures.iter().flat_map(|failure| failure.lines()) {
                text += &format!("        {line}\n");
            }
        }
    }
    let tests = || files.iter().flat_map(|file| &file.tests);
    let n_failed = tests().filter(|test| !test.failures.is_empty()).count();
    let n_passed = tests().count() - n_failed;
    text += &format!("{} passed, {} failed", count(n_passed as u64), count(n_failed as u64));
    match files.iter().filter(|file| file.is_invalid).count() {
        0 => {}
        1 => text += ", 1 file is invalid",
        n => text += &format!(", {} files are invalid", count(n as u64)),
    }
    text.push('\n');
    let mut out = anstream::stdout().lock();
    is_stdout_open(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(drop)
}
