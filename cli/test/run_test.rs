//! Runs one test of a pipeline file and compares what comes out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use runner_core::{Feed, Fixture, Kind, Observer, Pipeline, RunOptions, TestCase, TestInput, TestOutput};
use tokio_util::sync::CancellationToken;

use super::Tested;
use super::compare::{differences, is_same};
use super::observed::Observed;

/// How many rejects are shown for one output.
const MAX_REJECTS: usize = 5;

pub(super) async fn run(pipeline: Pipeline, test: &TestCase) -> Tested {
    let started = Instant::now();
    let failures = failures(pipeline, test).await.unwrap_or_else(|error| vec![format!("{error:#}")]);
    Tested { name: test.name.clone(), failures, time: started.elapsed() }
}

async fn failures(pipeline: Pipeline, test: &TestCase) -> Result<Vec<String>> {
    let folder = pipeline.file.parent().map(Path::to_owned).unwrap_or_default();
    let feeds: Vec<_> = test
        .inputs
        .iter()
        .map(|input| Ok((input.at.clone(), feed(input, &folder)?)))
        .collect::<Result<_>>()?;
    let outputs: Vec<Expected> =
        test.outputs.iter().map(|output| Expected::new(output, &pipeline, &folder)).collect::<Result<_>>()?;
    let observed = Arc::new(Observed::default());
    let observer: Arc<dyn Observer> = Arc::clone(&observed) as _;
    let pipeline = pipeline.into_test(feeds, &observer)?;
    let options = RunOptions {
        from_start: false,
        drain_timeout: Duration::from_secs(30),
        stop: CancellationToken::new(),
        abort: CancellationToken::new(),
    };
    let report = runner_core::run(pipeline, options).await;
    let mut failures: Vec<String> = Vec::new();
    if let Some(failure) = &report.failure {
        failures.push(format!("the pipeline failed: {:#}", failure.error()));
    }
    failures.extend(outputs.iter().flat_map(|output| output.failures(&observed)));
    Ok(failures)
}

fn feed(input: &TestInput, folder: &Path) -> Result<Feed> {
    let fixture =
        |path: &String| Feed::Fixture(Fixture { path: PathBuf::from(path), element: input.element.clone() });
    let records = |bodies: Vec<String>| bodies.into_iter().map(|body| input.record(body.into())).collect();
    Ok(match (&input.csv, &input.answer, &input.file) {
        (Some(path), ..) | (_, Some(path), _) => fixture(path),
        (.., Some(path)) => Feed::Records(records(lines(folder, path)?)),
        _ => Feed::Records(records(input.records.clone().unwrap_or_default())),
    })
}

/// The lines of a file, without those that are empty.
fn lines(folder: &Path, path: &str) -> Result<Vec<String>> {
    let path = folder.join(path);
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    Ok(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect())
}

/// What must come out at one component.
struct Expected<'a> {
    output: &'a TestOutput,
    records: Option<Vec<String>>,
    component: String,
    /// Which of its outputs, if one is named.
    output_index: Option<usize>,
    /// Whether the component is a sink, so that its input is compared.
    is_sink: bool,
    /// The component and all before it.
    path: Vec<String>,
}

impl<'a> Expected<'a> {
    fn new(output: &'a TestOutput, pipeline: &Pipeline, folder: &Path) -> Result<Self> {
        let records = match &output.file {
            Some(path) => Some(lines(folder, path)?),
            None => output.records.clone(),
        };
        let is_sink = pipeline.monitors().iter().any(|it| it.name == output.at && it.kind == Kind::Sink);
        let found = pipeline.output_named(&output.at);
        let (component, output_index) = found.unwrap_or_else(|| (output.at.clone(), None));
        Ok(Expected { output, records, component, output_index, is_sink, path: pipeline.path_to(&output.at) })
    }

    fn failures(&self, observed: &Observed) -> Vec<String> {
        let at = &self.output.at;
        let mut component = observed.at(&self.component);
        let actual = match self.output_index {
            Some(output) => component.routed.remove(&output).unwrap_or_default(),
            None if self.is_sink => component.received,
            None => component.sent,
        };
        let rejects: Vec<(&str, String)> = self
            .path
            .iter()
            .flat_map(|name| {
                observed.at(name).rejected.into_iter().map(move |reason| (name.as_str(), reason))
            })
            .collect();
        let mut failures = Vec::new();
        if let Some(records) = &self.records
            && !is_same(records, &actual)
        {
            failures.push(format!("`{at}`: {}", differences(records, &actual)));
        } else if let Some(count) = self.output.count
            && count != actual.len() as u64
        {
            failures.push(format!("`{at}`: expected {}, found {}", n_records(count), actual.len()));
        }
        if let Some(rejected) = self.output.rejected
            && rejected != rejects.len() as u64
        {
            failures.push(format!(
                "`{at}`: expected {} to be rejected, found {}",
                n_records(rejected),
                rejects.len()
            ));
        }
        if !failures.is_empty() {
            let shown = rejects.iter().take(MAX_REJECTS);
            failures.extend(shown.map(|(name, reason)| format!("rejected by `{name}`: {reason}")));
            if rejects.len() > MAX_REJECTS {
                failures.push(format!("and {} more were rejected", rejects.len() - MAX_REJECTS));
            }
        }
        failures
    }
}

fn n_records(n: u64) -> String {
    if n == 1 { "1 record".to_owned() } else { format!("{n} records") }
}
