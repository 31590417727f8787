//! `acme_lines`: reads the lines of a text file.

use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use anyhow::Context as _;
use runner_core::{
    Body, BuildContext, Failure, Name, Origin, Plugin, PollSource, Polled, Record, Result, Source,
    SourceConfig, async_trait, poll_source,
};
use schemars::JsonSchema;
use serde::Deserialize;

runner_core::register! { Plugin::source::<AcmeLines>("acme_lines") }

/// Reads the lines of a text file; each becomes a record.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AcmeLines {
    /// The file.
    path: PathBuf,
}

impl SourceConfig for AcmeLines {
    fn build(mut self, context: &BuildContext) -> Result<Box<dyn Source>> {
        self.path = context.resolve(&self.path);
        Ok(poll_source(self))
    }
}

#[async_trait]
impl PollSource for AcmeLines {
    /// How many bytes were read.
    type Position = u64;

    fn identity(&self) -> String {
        self.path.display().to_string()
    }

    async fn poll(&mut self, &position: &u64) -> Result<Polled<u64>, Failure> {
        let reading = || format!("reading {}", self.path.display());
        let mut file = std::fs::File::open(&self.path).with_context(reading)?;
        file.seek(SeekFrom::Start(position)).with_context(reading)?;
        let (mut lines, mut offset, mut line) = (Vec::new(), position, String::new());
        let (source, mut file) = (Name::new(&self.identity()), BufReader::new(file));
        while lines.len() < 1000 && file.read_line(&mut line).with_context(reading)? > 0 {
            let origin = Origin { source, partition: 0, offset };
            offset += line.len() as u64;
            let body = Body::Bytes(line.trim_end().to_owned().into());
            lines.push((Record::new(body, origin), offset));
            line.clear();
        }
        Ok(if lines.is_empty() { Polled::End } else { Polled::Records(lines) })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use runner_core::testing::{SourceDriver, conformance};
    use runner_core::{Class, Start};

    use super::*;

    fn source(folder: &tempfile::TempDir) -> Box<dyn Source> {
        poll_source(AcmeLines { path: folder.path().join("lines") })
    }

    #[tokio::test]
    async fn lines_are_read_again_from_every_position() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lines"), "one\ntwo\n\nfour").unwrap();
        conformance::source_resumes(async || source(&folder)).await;
        conformance::source_survives_cancelled_reads(async || source(&folder), Duration::ZERO).await;
    }

    #[tokio::test]
    async fn missing_file_is_fatal() {
        let folder = tempfile::tempdir().unwrap();
        let mut driver = SourceDriver::open(source(&folder), &Start::default()).await.unwrap();
        let failure = driver.read(1).await.err().unwrap();
        assert_eq!(failure.class(), Class::Fatal);
        assert!(format!("{:#}", failure.error()).starts_with("reading "), "{failure:?}");
    }
}
