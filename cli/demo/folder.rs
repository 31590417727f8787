//! The directory of the demo: the stock pipelines, the sample data, and the data of the offline cloud.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::arguments::{DemoArguments, DemoSource};
use crate::env_file::{self, Precedence};
use crate::local;

/// The stock pipelines and their data, copied from the repository.
const FILES: [(&str, &[u8]); 6] = [
    ("pipelines/producer.toml", include_bytes!("../../pipelines/producer.toml")),
    ("pipelines/producer-http.toml", include_bytes!("../../pipelines/producer-http.toml")),
    ("pipelines/apis/local.toml", include_bytes!("../../pipelines/apis/local.toml")),
    (
        "pipelines/apis/answers/alphavantage.json",
        include_bytes!("../../pipelines/apis/answers/alphavantage.json"),
    ),
    ("pipelines/consumer.toml", include_bytes!("../../pipelines/consumer.toml")),
    ("pipelines/data/stocks.csv", local::PRICES),
];

/// A temporary directory, or one that is kept.
pub(super) struct Folder {
    path: PathBuf,
    /// Deletes the directory when dropped; `None` if it is kept.
    _temporary: Option<TempDir>,
    is_kept: bool,
}

impl Folder {
    /// Writes the pipelines and their data into `keep`, or into a temporary directory.
    pub(super) fn prepare(keep: Option<&Path>) -> Result<Folder> {
        let folder = if let Some(path) = keep {
            let what = || format!("--keep {}", path.display());
            std::fs::create_dir_all(path).with_context(what)?;
            if std::fs::read_dir(path).with_context(what)?.next().is_some() {
                bail!(
                    "--keep {}: the directory is not empty, and the demo would count the objects in it; use a new one",
                    path.display()
                );
            }
            let path = path.canonicalize().with_context(what)?;
            Folder { path, _temporary: None, is_kept: true }
        } else {
            let folder = tempfile::tempdir().context("creating a temporary directory")?;
            Folder { path: folder.path().to_owned(), _temporary: Some(folder), is_kept: false }
        };
        for (name, content) in FILES {
            let path = folder.path.join(name);
            let what = || format!("writing {}", path.display());
            std::fs::create_dir_all(path.parent().unwrap_or(&folder.path)).with_context(what)?;
            std::fs::write(&path, content).with_context(what)?;
        }
        Ok(folder)
    }

    /// The data directory of the offline cloud.
    pub(super) fn cloud(&self) -> PathBuf {
        self.path.join("cloud")
    }

    pub(super) fn producer(&self, source: DemoSource) -> PathBuf {
        self.path.join("pipelines").join(producer_name(source))
    }

    pub(super) fn consumer(&self) -> PathBuf {
        self.path.join("pipelines/consumer.toml")
    }

    /// Sets the environment of this process so that pipelines, AWS clients and librdkafka connect only to the
    /// offline cloud, even if the user has configured a real one.
    pub(super) fn set_environment(&self, cloud: &[(&str, String)], arguments: &DemoArguments) -> Result<()> {
        let mut variables = cloud.to_vec();
        let mut set = |name, value: &str| variables.push((name, value.to_owned()));
        set("STOCKS_LIMIT", &arguments.records.to_string());
        set("STOCKS_RATE", &arguments.rate.to_string());
        // `at_end` would stop the consumer while the producer still writes; the demo stops it instead.
        set("STOCKS_STOP", "never");
        // Pipeline files treat an empty value like an unset variable.
        for name in [
            "STOCKS_CSV",
            "STOCKS_TOPIC",
            "STOCKS_GROUP",
            "STOCKS_KEY",
            "STOCKS_CRAWL_EVERY",
            "STOCKS_GLUE_ROLE",
        ] {
            set(name, "");
        }
        let none = self.path.join("no-profile");
        std::fs::write(&none, "").with_context(|| format!("writing {}", none.display()))?;
        let none = none.display().to_string();
        set("AWS_CONFIG_FILE", &none);
        set("AWS_SHARED_CREDENTIALS_FILE", &none);
        set("AWS_PROFILE", "default");
        set("AWS_EC2_METADATA_DISABLED", "true");
        let file = self.path.join("demo.env");
        local::write_env(&file, &variables)?;
        env_file::set_variables(&file, Precedence::File)
    }

    /// Commands to try after the demo.
    pub(super) fn next_steps(&self, source: DemoSource) -> String {
        let runner = std::env::args().next().unwrap_or_else(|| "runner".into());
        let producer = producer_name(source);
        let (first, data, pipelines) = if self.is_kept {
            let path = self.path.display();
            let look = format!("look around        the objects are in {path}/cloud/s3");
            (look, format!("'{path}/cloud'"), format!("'{path}/pipelines'"))
        } else if Path::new(FILES[0].0).is_file() {
            let read = format!(
                "look around        the pipelines are pipelines/{producer} and pipelines/consumer.toml"
            );
            (read, "cloud".into(), "pipelines".into())
        } else {
            let source = match source {
                DemoSource::Csv => "",
                DemoSource::Http => " --source http",
            };
            let keep = format!(
                "keep the data      {runner} demo{source} --keep demo keeps the files and objects for the next steps"
            );
            (keep, "demo/cloud".into(), "demo/pipelines".into())
        };
        let swap = match source {
            DemoSource::Csv => {
                format!("{runner} demo --source http reads the same prices from {}", name(DemoSource::Http))
            }
            DemoSource::Http => {
                format!("{runner} demo --source csv reads the same prices from {}", name(DemoSource::Csv))
            }
        };
        let files = format!("{pipelines}/{producer} {pipelines}/consumer.toml");
        let stock_files = format!("{pipelines}/producer.toml {pipelines}/consumer.toml");
        format!(
            "\nNext steps\n  {first}\n  \
             keep it running    {runner} local --write-env local.env --data {data}\n  \
             use it             STOCKS_RATE=100 {runner} run --env-file local.env {files}\n  \
             swap the source    {swap}:\n                     \
             {pipelines}/apis/local.toml has another source block, and a `select` behind it\n  \
             edit a pipeline    {runner} plugins lists the plugins; {runner} validate FILE reports errors\n  \
             go to the cloud    run `aws configure`, then the same files with\n                     \
             KAFKA_BOOTSTRAP_SERVERS=HOST:9092 STOCKS_BUCKET=NAME {runner} run {stock_files}"
        )
    }
}

/// The pipeline file of the producer.
fn producer_name(source: DemoSource) -> &'static str {
    match source {
        DemoSource::Csv => "producer.toml",
        DemoSource::Http => "apis/local.toml",
    }
}

pub(super) fn name(source: DemoSource) -> &'static str {
    match source {
        DemoSource::Csv => "a CSV file",
        DemoSource::Http => "an API like Alpha Vantage",
    }
}
