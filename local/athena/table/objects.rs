//! The objects of a table: the files in its folder, or in those of its partitions.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::{DataFusionError, Result, exec_err};

use crate::catalogue::{Folder, Location, Table};

/// An object and the values of its partition.
#[derive(Clone, Debug)]
pub(super) struct Object {
    path: PathBuf,
    pub(super) url: String,
    pub(super) partition: Arc<Vec<(String, String)>>,
}

impl Object {
    /// The bytes, or none if the object has been deleted.
    pub(super) fn read(&self, n_scanned: &AtomicU64) -> Result<Option<Vec<u8>>> {
        match fs::read(&self.path) {
            Ok(bytes) => {
                n_scanned.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => exec_err!("HIVE_CANNOT_OPEN_SPLIT: reading {}: {error}", self.url),
        }
    }
}

/// The objects of a table.
pub(super) fn of(table: &Table, root: &Path) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    if table.partition_keys.is_empty() {
        gather(&table.location, root, &Arc::default(), &mut objects)?;
        return Ok(objects);
    }
    for partition in table.partitions.values() {
        let keys = table.partition_keys.iter().map(|key| key.name.clone());
        let values = Arc::new(keys.zip(partition.values.iter().cloned()).collect());
        gather(&partition.location, root, &values, &mut objects)?;
    }
    Ok(objects)
}

fn gather(
    location: &Location,
    root: &Path,
    values: &Arc<Vec<(String, String)>>,
    objects: &mut Vec<Object>,
) -> Result<()> {
    let folders = Folder::read_all(root, location);
    let folders =
        folders.map_err(|error| DataFusionError::Execution(format!("HIVE_METASTORE_ERROR: {error}")))?;
    for folder in folders {
        let prefix = folder.location.url();
        objects.extend(folder.files.into_iter().map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Object { url: format!("{prefix}{name}"), path, partition: values.clone() }
        }));
    }
    Ok(())
}
