//! `acme_spool`: writes every record to a file of its own.

use std::path::PathBuf;

use anyhow::Context as _;
use runner_core::{
    BuildContext, Failure, Plugin, Record, RecordSink, Result, Sink, SinkConfig, async_trait, record_sink,
};
use schemars::JsonSchema;
use serde::Deserialize;

runner_core::register! { Plugin::sink::<AcmeSpool>("acme_spool") }

/// Writes every record to a file of its own, named by its entry number.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AcmeSpool {
    /// The folder for the files; it is created if it does not exist.
    folder: PathBuf,
    /// How many files are written at the same time.
    #[serde(default = "four")]
    concurrency: usize,
}

fn four() -> usize {
    4
}

impl SinkConfig for AcmeSpool {
    fn build(mut self, context: &BuildContext) -> Result<Box<dyn Sink>> {
        self.folder = context.resolve(&self.folder);
        Ok(record_sink(self))
    }
}

#[async_trait]
impl RecordSink for AcmeSpool {
    async fn open(&mut self) -> Result<(), Failure> {
        let created = tokio::fs::create_dir_all(&self.folder).await;
        Ok(created.with_context(|| format!("creating {}", self.folder.display()))?)
    }

    async fn put(&self, record: &Record) -> Result<(), Failure> {
        let entry =
            record.entry.as_ref().context("the record has no entry number").map_err(Failure::rejected)?;
        let path = self.folder.join(entry.text().to_string());
        let body = record.to_bytes().unwrap_or_default();
        tokio::fs::write(path, body).await.map_err(Failure::transient)
    }

    fn max_in_flight(&self) -> usize {
        self.concurrency
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::{conformance, record};
    use runner_core::{EntryNumber, Name};

    use super::*;

    fn numbered(n: u64) -> Record {
        let mut record = record(n.to_string(), n);
        record.entry = Some(EntryNumber::new(n, Name::new("test")));
        record
    }

    fn spool(folder: &tempfile::TempDir) -> Box<dyn Sink> {
        record_sink(AcmeSpool { folder: folder.path().join("spool"), concurrency: 2 })
    }

    fn stored(folder: &tempfile::TempDir) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(folder.path().join("spool")).unwrap();
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
    }

    #[tokio::test]
    async fn every_record_is_stored() {
        let folder = tempfile::tempdir().unwrap();
        let records = (0..9).map(numbered).collect();
        conformance::sink_stores(spool(&folder), records, async || stored(&folder)).await;
    }

    #[tokio::test]
    async fn record_without_an_entry_number_is_rejected_alone() {
        let folder = tempfile::tempdir().unwrap();
        let good = [numbered(1), numbered(2)];
        conformance::sink_rejects_one(spool(&folder), good, record("x", 0), async || stored(&folder)).await;
    }
}
