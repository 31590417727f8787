//! Runs pipelines one after another in a folder in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use runner_core::config::{LoadContext, load};
use runner_core::diagnostics::Diagnostics;
use runner_core::testing::record;
use runner_core::{
    Batch, Failure, Next, Pipeline, PipelineReport, ReadBatch, Record, Registry, Replay, RunOptions, Sink,
    Source, Start, WriteError, async_trait,
};
use runner_plugins as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Writes the records of `rows` as JSON lines to `out.jsonl`.
pub(crate) const TO_JSON_LINES: &str = r#"
[transforms.json]
type = "to_json"
inputs = ["rows"]

[sinks.out]
type = "file"
inputs = ["json"]
path = "out.jsonl"
"#;

/// Longer than any run takes here; a longer run hangs.
const TIMEOUT: Duration = Duration::from_secs(20);

pub(crate) struct TestEnv {
    folder: TempDir,
    registry: Registry,
}

impl TestEnv {
    pub(crate) fn new() -> TestEnv {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        TestEnv { folder: folder.expect("a folder"), registry: Registry::collect().expect("the plugins") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above).expect("a folder");
        }
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// The lines of a file that a run has written; none if there is no such file.
    pub(crate) fn lines(&self, name: &str) -> Vec<Vec<u8>> {
        let bytes = std::fs::read(self.path(name)).unwrap_or_default();
        bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    pub(crate) fn remove(&self, names: &[&str]) {
        for name in names {
            let path = self.path(name);
            // A file that was never written is not an error.
            let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
    }

    /// Loads a pipeline file without any variables.
    pub(crate) fn load(&self, text: impl AsRef<[u8]>) -> Result<Pipeline, Diagnostics> {
        let path = self.write("pipeline.toml", text);
        let data_dir = Some(self.path("state"));
        load(&path, &LoadContext { registry: &self.registry, lookup: &|_| None, data_dir })
    }

    /// Runs a pipeline file until it ends.
    pub(crate) fn run(&self, text: &str) -> PipelineReport {
        run(self.load(text).unwrap_or_else(|errors| panic!("{}", errors.render(false))))
    }

    /// Runs it with one batch for one component instead of the sources. Also returns the number of rejected records.
    pub(crate) fn run_fed(
        &self,
        text: &str,
        component: &str,
        records: Vec<Record>,
    ) -> (PipelineReport, usize) {
        let pipeline = self.load(text).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        let n_rejected = Arc::new(AtomicUsize::new(0));
        let feeds: Vec<(String, Box<dyn Source>)> =
            vec![(component.to_owned(), Box::new(Once(Some(ReadBatch::new(records)))))];
        let pipeline = pipeline
            .with_replay_sources(feeds, Box::new(Count(Arc::clone(&n_rejected))))
            .expect("no transactions");
        (run(pipeline), n_rejected.load(Ordering::SeqCst))
    }

    /// Sends bodies through one transform with these options, which reads `rows`: the output lines and the number of
    /// rejected records; `None` if the options are refused.
    pub(crate) fn shape(&self, options: &str, bodies: &[&str]) -> Option<(Vec<Vec<u8>>, usize)> {
        self.remove(&["out.jsonl", "state"]);
        let file = format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"none.csv\"\n[sinks.out]\ntype = \"file\"\n\
             inputs = [\"shape\"]\npath = \"out.jsonl\"\n[transforms.shape]\n{options}\n"
        );
        if let Err(errors) = self.load(&file) {
            // Every error can be shown.
            errors.render(false);
            return None;
        }
        let records = bodies.iter().zip(0..).map(|(&body, n)| record(body, n)).collect();
        let (report, n_rejected) = self.run_fed(&file, "shape", records);
        assert!(report.failure.is_none(), "{report:?}");
        Some((self.lines("out.jsonl"), n_rejected))
    }
}

fn run(pipeline: Pipeline) -> PipelineReport {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let options = RunOptions {
            from_start: false,
            drain_timeout: TIMEOUT,
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
        };
        let run = runner_core::run(pipeline, options);
        tokio::time::timeout(TIMEOUT, run).await.expect("the end of the run")
    })
}

/// A source with one batch.
struct Once(Option<ReadBatch>);

#[async_trait]
impl Source for Once {
    fn identity(&self) -> String {
        "one batch".into()
    }

    fn replay(&self) -> Replay {
        Replay::External
    }

    async fn open(&mut self, _: &Start) -> Result<(), Failure> {
        Ok(())
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        Ok(self.0.take().map_or(Next::End, Next::Batch))
    }
}

/// A dead-letter sink that counts.
struct Count(Arc<AtomicUsize>);

#[async_trait]
impl Sink for Count {
    async fn write(&self, batch: &Batch) -> Result<(), WriteError> {
        self.0.fetch_add(batch.len(), Ordering::SeqCst);
        Ok(())
    }
}

/// The values of JSON lines; each line must be valid JSON. Bodies nested deeper than the parser's limit, and
/// those with numbers beyond its range such as `1e999`, are omitted.
pub(crate) fn values(lines: &[Vec<u8>]) -> Vec<Value> {
    let is_limit =
        |error: &str| ["recursion limit", "number out of range"].iter().any(|limit| error.starts_with(limit));
    let value = |line: &Vec<u8>| match serde_json::from_slice(line) {
        Ok(value) => Some(value),
        Err(error) if is_limit(&error.to_string()) => None,
        Err(error) => panic!("{error}: {:?}", String::from_utf8_lossy(line)),
    };
    lines.iter().filter_map(value).collect()
}
