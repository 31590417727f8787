//! Output: the file with the result of a query.

use std::io::{BufWriter, Write as _};
use std::path::PathBuf;

use tempfile::NamedTempFile;

use super::ATHENA;
use super::engine::Engine;
use crate::Fault;
use crate::catalogue::Location;

/// The file of one result.
#[derive(Clone, Debug)]
pub(super) struct Output {
    folder: Location,
    name: String,
    /// The folder with the buckets.
    root: PathBuf,
}

impl Output {
    /// A file in the folder `url`, which must not hold the data of a table.
    pub(super) fn choose(engine: &Engine, url: &str, name: String) -> Result<Output, Fault> {
        let folder =
            Location::parse(url).map_err(|error| ATHENA.invalid(format!("outputLocation: {error}")))?;
        // The next query would read a result there as data.
        let conflict = engine.catalogue.read(|entries| {
            let tables = entries.databases.values().flat_map(|database| database.tables.values());
            let mut tables = tables.map(|it| (format!("table `{}.{}`", it.database, it.name), &it.location));
            tables.find(|(_, data)| data.contains(&folder)).map(|(whose, data)| (whose, data.url()))
        });
        if let Some((whose, data)) = conflict {
            return Err(ATHENA.invalid(format!(
                "the output location {url} is in {data}, the folder of the {whose}: queries would read \
                 the results as its data; choose another folder"
            )));
        }
        Ok(Output { folder, name, root: engine.objects_root.clone() })
    }

    pub(super) fn url(&self) -> String {
        format!("{}{}", self.folder.url(), self.name)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.on_disk(&self.root).join(&self.name)
    }

    pub(super) fn create(&self) -> Result<Writer, String> {
        let bucket = &self.folder.bucket;
        if !self.root.join(bucket).is_dir() {
            return Err(format!(
                "Unable to verify/create output bucket {bucket}: the bucket does not exist; create it first"
            ));
        }
        let failed = |error| self.failed(&error);
        std::fs::create_dir_all(self.folder.on_disk(&self.root)).map_err(failed)?;
        // In the root, which holds no objects: the result appears when it is complete.
        let file = NamedTempFile::new_in(&self.root).map_err(failed)?;
        Ok(Writer { file: BufWriter::new(file), output: self.clone() })
    }

    fn failed(&self, error: &std::io::Error) -> String {
        format!("writing the result to {}: {error}", self.url())
    }
}

/// Writes a result row by row.
pub(super) struct Writer {
    file: BufWriter<NamedTempFile>,
    output: Output,
}

impl Writer {
    /// Every value is quoted; NULL is written as nothing, unlike an empty text.
    pub(super) fn row(&mut self, values: impl Iterator<Item = Option<String>>) -> Result<(), String> {
        let values = values
            .map(|value| value.map_or_else(String::new, |it| format!("\"{}\"", it.replace('"', "\"\""))));
        let line = values.collect::<Vec<_>>().join(",");
        writeln!(self.file, "{line}").map_err(|error| self.output.failed(&error))
    }

    pub(super) fn finish(self) -> Result<(), String> {
        let file = self.file.into_inner().map_err(|error| self.output.failed(error.error()))?;
        file.persist(self.output.path()).map_err(|error| self.output.failed(&error.error))?;
        Ok(())
    }
}
