//! The objects of a table: the files below its folder, or below those of its partitions.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::{DataFusionError, Result};

use crate::catalogue::{Place, Table};

/// An object and the values that its partition gives all its rows.
#[derive(Clone, Debug)]
pub(super) struct Object {
    path: PathBuf,
    pub(super) url: String,
    pub(super) partition: Arc<Vec<(String, String)>>,
}

impl Object {
    /// The bytes, or none if it was taken away meanwhile.
    pub(super) fn read(&self, n_scanned: &AtomicU64) -> Result<Option<Vec<u8>>> {
        match fs::read(&self.path) {
            Ok(bytes) => {
                n_scanned.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&self.url, &error)),
        }
    }
}

/// The objects of a table, of those partitions alone that are `wanted` if it has any.
pub(super) fn of(table: &Table, wanted: &BTreeSet<String>, root: &Path) -> Result<Vec<Object>> {
    let mut objects = Vec::new();
    if table.partition_keys.is_empty() {
        let location = table.location().unwrap_or_default();
        gather(&location, root, &Arc::default(), &mut objects)?;
        return Ok(objects);
    }
    for (_, partition) in table.partitions.iter().filter(|(name, _)| wanted.contains(*name)) {
        let keys = table.partition_keys.iter().map(|key| key.name.to_lowercase());
        let values = Arc::new(keys.zip(partition.values.iter().cloned()).collect());
        let location = partition.storage_descriptor.location.clone().unwrap_or_default();
        gather(&location, root, &values, &mut objects)?;
    }
    Ok(objects)
}

fn gather(
    location: &str,
    root: &Path,
    values: &Arc<Vec<(String, String)>>,
    objects: &mut Vec<Object>,
) -> Result<()> {
    let place = Place::parse(location).map_err(|error| {
        DataFusionError::Execution(format!("HIVE_FILESYSTEM_ERROR: the table's location: {error}"))
    })?;
    if !root.join(&place.bucket).is_dir() {
        return Err(DataFusionError::Execution(format!(
            "HIVE_METASTORE_ERROR: the bucket `{}` of the table's location does not exist (Service: Amazon S3; Status \
             Code: 404; Error Code: NoSuchBucket)",
            place.bucket
        )));
    }
    walk(&place.on_disk(root), &place.url(), values, objects)
}

fn walk(
    folder: &Path,
    url: &str,
    values: &Arc<Vec<(String, String)>>,
    objects: &mut Vec<Object>,
) -> Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // S3 has no folders that could be missing.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(url, &error)),
    };
    let mut entries: Vec<_> = entries.collect::<Result<_, _>>().map_err(|error| failed(url, &error))?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with(['_', '.']) {
            continue;
        }
        let kind = entry.file_type().map_err(|error| failed(url, &error))?;
        if kind.is_dir() {
            walk(&entry.path(), &format!("{url}{name}/"), values, objects)?;
        } else {
            objects.push(Object {
                path: entry.path(),
                url: format!("{url}{name}"),
                partition: values.clone(),
            });
        }
    }
    Ok(())
}

fn failed(url: &str, error: &std::io::Error) -> DataFusionError {
    DataFusionError::Execution(format!("HIVE_CANNOT_OPEN_SPLIT: Error opening Hive split {url}: {error}"))
}
