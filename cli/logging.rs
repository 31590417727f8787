//! Log lines go to stderr, above the progress display where there is one.

use std::io::{self, Write};

use anyhow::{Context as _, anyhow, bail};
use indicatif::MultiProgress;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::arguments::{Common, LogFormat};
use crate::repeated_warnings;

/// Library messages below these levels are of no use to the user.
const LIBRARY_LEVELS: &str = "hyper=warn,hyper_util=warn,reqwest=warn,h2=warn,rustls=warn,aws_config=error,\
                     aws_smithy_runtime=warn,aws_smithy_http_client=warn,aws_sdk_s3=warn,aws_sdk_glue=warn,\
                     aws_sdk_athena=warn,object_store=warn,s3s=off,s3s_fs=off,datafusion=warn";

/// Starts logging at `info` unless the user has set a level; an invalid level is a usage error.
pub(crate) fn start(common: &Common, bars: &MultiProgress) -> anyhow::Result<()> {
    start_at("info", common, bars)
}

/// Starts logging at `default` unless the user has set a level.
pub(crate) fn start_at(default: &str, common: &Common, bars: &MultiProgress) -> anyhow::Result<()> {
    let level = common.log_level.as_deref().unwrap_or(default);
    let filter =
        EnvFilter::try_new(directives(level)?).map_err(|error| anyhow!("--log-level {level}: {error}"))?;
    let repeated_warnings = repeated_warnings::start().context("starting the logger")?;
    let layer = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_ansi(common.color.on_stderr())
        .with_writer(AboveBars(bars.clone()));
    let layer = match common.log_format {
        LogFormat::Text => layer.compact().boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let started = tracing_subscriber::registry().with(filter).with(repeated_warnings).with(layer).try_init();
    started.map_err(|error| anyhow!("starting the logger: {error}"))
}

/// The default of the demo: warnings, except that its topics have one replica, as its cloud has one broker.
#[cfg(feature = "local")]
pub(crate) fn demo_levels() -> String {
    format!("warn,{LIBRARY_LEVELS},runner_plugins::sinks::kafka::topic=error")
}

/// The filter directives for a level. `EnvFilter` would take a misspelt level for the name of a module and
/// hide everything else.
fn directives(level: &str) -> anyhow::Result<String> {
    if level.contains(['=', ',']) {
        return Ok(level.to_owned());
    }
    match level.parse::<LevelFilter>() {
        Ok(_) => Ok(format!("{level},{LIBRARY_LEVELS}")),
        Err(_) => bail!(
            "--log-level {level}: not a valid level; use off, error, warn, info, debug or trace, \
             or directives such as `runner_core=debug,warn`"
        ),
    }
}

/// Writes whole lines above the progress bars.
#[derive(Clone)]
struct AboveBars(MultiProgress);

struct Line {
    bars: MultiProgress,
    text: Vec<u8>,
}

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { bars: self.0.clone(), text: Vec::new() }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let text = one_line(&self.text);
        // A closed stderr is not an error.
        self.bars.suspend(|| drop(io::stderr().lock().write_all(&text)));
    }
}

/// The text of a message on one line: names in the data may contain line breaks.
fn one_line(text: &[u8]) -> Vec<u8> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut line = Vec::with_capacity(text.len() + 1);
    for &byte in text {
        match byte {
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            _ => line.push(byte),
        }
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_with_line_breaks_is_logged_on_one_line() {
        assert_eq!(one_line(b"WARN column `a\r\nb`\n"), b"WARN column `a\\r\\nb`\n");
        assert_eq!(one_line(b"INFO ok\n"), b"INFO ok\n");
    }

    #[test]
    fn log_level_misspelt_is_an_error_and_directives_are_accepted() {
        for level in ["off", "warn", "TRACE"] {
            assert!(directives(level).expect(level).starts_with(level));
        }
        assert_eq!(directives("info,rdkafka=debug").expect("directives"), "info,rdkafka=debug");
        let refused = directives("inof").expect_err("not a level").to_string();
        assert!(refused.contains("--log-level inof: not a valid level"), "{refused}");
    }
}
