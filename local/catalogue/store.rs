//! The store: the file of the catalogue.

use std::fs;
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use super::Entries;

pub(super) struct Store {
    folder: PathBuf,
}

const FILE: &str = "catalogue.json";

impl Store {
    pub(super) fn open(folder: &Path) -> Result<Store> {
        let refused = || format!("the catalogue of Glue cannot be stored in {}", folder.display());
        fs::create_dir_all(folder).with_context(refused)?;
        // Fails now rather than at the first change.
        NamedTempFile::new_in(folder).with_context(refused)?;
        Ok(Store { folder: folder.to_owned() })
    }

    pub(super) fn read(&self) -> Result<Entries> {
        let file = self.folder.join(FILE);
        match fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
                format!("{} is not a catalogue; move it away to start with an empty one", file.display())
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Entries::default()),
            Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
        }
    }

    /// Replaces the file atomically.
    pub(super) fn write(&self, entries: &Entries) -> Result<()> {
        let refused = || format!("writing the catalogue of Glue to {}", self.folder.display());
        let mut file = NamedTempFile::new_in(&self.folder).with_context(refused)?;
        let mut writer = BufWriter::new(file.as_file_mut());
        serde_json::to_writer(&mut writer, entries).with_context(refused)?;
        writer.flush().with_context(refused)?;
        drop(writer);
        file.persist(self.folder.join(FILE)).with_context(refused)?;
        Ok(())
    }
}
