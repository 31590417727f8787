//! The file of the catalogue.

use std::fs;
use std::io::{BufWriter, ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use tempfile::NamedTempFile;

use super::Entries;

const FILE: &str = "catalogue.json";

/// Reads the catalogue in `folder`; an empty one if there is none.
pub(super) fn read(folder: &Path) -> Result<Entries> {
    let file = folder.join(FILE);
    match fs::read(&file) {
        Ok(bytes) => serde_json::from_slice(&bytes).with_context(|| {
            format!("{} is not a catalogue; move it away to start with an empty one", file.display())
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Entries::default()),
        Err(error) => Err(error).with_context(|| format!("reading {}", file.display())),
    }
}

/// Replaces the file atomically.
pub(super) fn write(folder: &Path, entries: &Entries) -> Result<()> {
    let refused = || format!("writing the catalogue of Glue to {}", folder.display());
    let mut file = NamedTempFile::new_in(folder).with_context(refused)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    serde_json::to_writer(&mut writer, entries).with_context(refused)?;
    writer.flush().with_context(refused)?;
    drop(writer);
    file.persist(folder.join(FILE)).with_context(refused)?;
    Ok(())
}
