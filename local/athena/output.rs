//! Output: the file that a query leaves its result in.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::ATHENA;
use super::engine::Engine;
use super::value::OutputColumn;
use crate::Fault;
use crate::catalogue::Place;

/// Where one result goes.
#[derive(Clone, Debug)]
pub(super) struct Output {
    place: Place,
    file: String,
    folder: PathBuf,
    bucket: PathBuf,
    root: PathBuf,
}

impl Output {
    pub(super) fn choose(
        engine: &Engine,
        location: Option<&str>,
        id: &str,
        has_rows: bool,
    ) -> Result<Output, Fault> {
        let location = location.filter(|it| !it.is_empty()).ok_or_else(|| {
            ATHENA.invalid(
                "No output location provided. An output location is required either through the Workgroup result \
                 configuration setting or as an API input.",
            )
        })?;
        let place =
            Place::parse(location).map_err(|error| ATHENA.invalid(format!("outputLocation: {error}")))?;
        // A result there would be read as data by the next query.
        let taken = engine.catalogue.read(|shelf| {
            let tables = shelf.databases.values().flat_map(|database| database.tables.values());
            let tables = tables
                .filter_map(|it| Some((format!("table `{}.{}`", it.database_name, it.name), it.location()?)));
            let crawlers =
                shelf.crawlers.values().flat_map(|it| it.targets.s3.iter().map(move |target| (it, target)));
            let crawlers = crawlers
                .map(|(it, target)| (format!("target of crawler `{}`", it.name), target.path.clone()));
            tables.chain(crawlers).find(|(_, url)| Place::parse(url).is_ok_and(|data| data.holds(&place)))
        });
        if let Some((whose, url)) = taken {
            return Err(ATHENA.invalid(format!(
                "the output location {location} lies in {url}, the folder of the {whose}: results there would be read \
                 as its data; choose another folder"
            )));
        }
        let suffix = if has_rows { "csv" } else { "txt" };
        let folder = place.on_disk(&engine.objects_root);
        let bucket = engine.objects_root.join(&place.bucket);
        Ok(Output {
            place,
            file: format!("{id}.{suffix}"),
            folder,
            bucket,
            root: engine.objects_root.clone(),
        })
    }

    pub(super) fn url(&self) -> String {
        format!("{}{}", self.place.url(), self.file)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(&self.file)
    }

    pub(super) fn create(&self) -> Result<Writer, String> {
        if !self.bucket.is_dir() {
            return Err(format!(
                "Unable to verify/create output bucket {}: the bucket does not exist; create it first",
                self.place.bucket
            ));
        }
        let failed = |error: std::io::Error| format!("writing the result to {}: {error}", self.url());
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        // In the root, where it is no object: the result appears when it is whole.
        let file = NamedTempFile::new_in(&self.root).map_err(failed)?;
        Ok(Writer { file: BufWriter::new(file), path: self.path(), url: self.url() })
    }
}

/// Writes a result row by row.
pub(super) struct Writer {
    file: BufWriter<NamedTempFile>,
    path: PathBuf,
    url: String,
}

impl Writer {
    pub(super) fn names(&mut self, columns: &[OutputColumn]) -> Result<(), String> {
        self.row(columns.iter().map(|column| Some(column.name.clone())))
    }

    /// Every value stands in quotes; where there is none, nothing stands: that tells NULL from an empty text.
    pub(super) fn row(&mut self, values: impl Iterator<Item = Option<String>>) -> Result<(), String> {
        let values = values
            .map(|value| value.map_or_else(String::new, |it| format!("\"{}\"", it.replace('"', "\"\""))));
        let line = values.collect::<Vec<_>>().join(",");
        self.line(&line)
    }

    pub(super) fn line(&mut self, line: &str) -> Result<(), String> {
        writeln!(self.file, "{line}").map_err(|error| format!("writing the result to {}: {error}", self.url))
    }

    pub(super) fn finish(self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("writing the result to {}: {error}", self.url);
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}
