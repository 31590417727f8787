//! Output: the file with the result of a query.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::ATHENA;
use super::engine::Engine;
use crate::Fault;
use crate::catalogue::Location;

/// The location of one result.
#[derive(Clone, Debug)]
pub(super) struct Output {
    location: Location,
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
        let url = location;
        let location =
            Location::parse(url).map_err(|error| ATHENA.invalid(format!("outputLocation: {error}")))?;
        // The next query would read a result there as data.
        let conflict = engine.catalogue.read(|entries| {
            let tables = entries.databases.values().flat_map(|database| database.tables.values());
            let tables = tables
                .filter_map(|it| Some((format!("table `{}.{}`", it.database_name, it.name), it.location()?)));
            let crawlers =
                entries.crawlers.values().flat_map(|it| it.targets.s3.iter().map(move |target| (it, target)));
            let crawlers = crawlers
                .map(|(it, target)| (format!("target of crawler `{}`", it.name), target.path.clone()));
            tables
                .chain(crawlers)
                .find(|(_, url)| Location::parse(url).is_ok_and(|data| data.contains(&location)))
        });
        if let Some((whose, data)) = conflict {
            return Err(ATHENA.invalid(format!(
                "the output location {url} is in {data}, the folder of the {whose}: queries would read \
                 the results as its data; choose another folder"
            )));
        }
        let suffix = if has_rows { "csv" } else { "txt" };
        let folder = location.on_disk(&engine.objects_root);
        let bucket = engine.objects_root.join(&location.bucket);
        Ok(Output {
            location,
            file: format!("{id}.{suffix}"),
            folder,
            bucket,
            root: engine.objects_root.clone(),
        })
    }

    pub(super) fn url(&self) -> String {
        format!("{}{}", self.location.url(), self.file)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(&self.file)
    }

    pub(super) fn create(&self) -> Result<Writer, String> {
        if !self.bucket.is_dir() {
            return Err(format!(
                "Unable to verify/create output bucket {}: the bucket does not exist; create it first",
                self.location.bucket
            ));
        }
        let failed = |error: std::io::Error| format!("writing the result to {}: {error}", self.url());
        std::fs::create_dir_all(&self.folder).map_err(failed)?;
        // In the root, which holds no objects: the result appears when it is complete.
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
    /// Every value is quoted; NULL is written as nothing, unlike an empty text.
    pub(super) fn row(&mut self, values: impl Iterator<Item = Option<String>>) -> Result<(), String> {
        let values = values
            .map(|value| value.map_or_else(String::new, |it| format!("\"{}\"", it.replace('"', "\"\""))));
        let line = values.collect::<Vec<_>>().join(",");
        writeln!(self.file, "{line}").map_err(|error| format!("writing the result to {}: {error}", self.url))
    }

    pub(super) fn finish(self) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("writing the result to {}: {error}", self.url);
        let file = self.file.into_inner().map_err(|error| failed(error.into_error()))?;
        file.persist(&self.path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}
