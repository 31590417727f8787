//! Tables that a crawl finds: which folders are a table, and which ones are its partitions.

use datafusion::arrow::datatypes::Fields;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Halt, columns};
use crate::catalogue::{Folder, Location, hive};

/// A table that a crawl has found.
pub(super) struct Found {
    pub(super) location: Location,
    pub(super) columns: Fields,
    pub(super) keys: Vec<String>,
    /// The values and the folder of each partition.
    pub(super) partitions: Vec<(Vec<String>, Location)>,
}

/// The level of tables in the configuration of a crawler; the bucket is 1.
pub(super) fn table_level(configuration: Option<&str>) -> Option<usize> {
    let configuration: Value = serde_json::from_str(configuration?).ok()?;
    usize::try_from(configuration["Grouping"]["TableLevelConfiguration"].as_u64()?).ok()
}

/// The tables in a folder: the folder itself, or the folders at the level of tables.
pub(super) fn tables(
    folder: Folder,
    level: usize,
    sample: usize,
    stop: &CancellationToken,
) -> Result<Vec<Found>, Halt> {
    if folder.location.depth() < level {
        let mut found = Vec::new();
        for below in folder.folders {
            found.extend(tables(below, level, sample, stop)?);
        }
        return Ok(found);
    }
    let mut leaves = Vec::new();
    gather(&folder, sample, stop, &mut leaves)?;
    Ok(table(folder.location, leaves).into_iter().collect())
}

/// A folder with objects of its own.
struct Leaf {
    location: Location,
    columns: Fields,
}

fn gather(
    folder: &Folder,
    sample: usize,
    stop: &CancellationToken,
    leaves: &mut Vec<Leaf>,
) -> Result<(), Halt> {
    let columns = columns::of(&folder.files, sample, stop)?;
    if !columns.is_empty() {
        leaves.push(Leaf { location: folder.location.clone(), columns });
    }
    folder.folders.iter().try_for_each(|below| gather(below, sample, stop, leaves))
}

fn table(location: Location, leaves: Vec<Leaf>) -> Option<Found> {
    let at = location.folders.len();
    let names = |leaf: &Leaf| leaf.location.folders[at..].to_vec();
    let first = names(leaves.first()?);
    // Partitions are all at the same level.
    let is_even = leaves.iter().all(|leaf| names(leaf).len() == first.len());
    let keys = first.iter().enumerate().filter(|_| is_even);
    let keys: Vec<String> = keys.map(|(at, name)| key(at, name)).collect();
    let mut partitions = Vec::new();
    let mut columns = Fields::empty();
    for leaf in leaves {
        columns = hive::merge_fields(&columns, &leaf.columns);
        if !keys.is_empty() {
            partitions.push((names(&leaf).iter().map(|name| value(name)).collect(), leaf.location));
        }
    }
    Some(Found { location, columns, keys, partitions })
}

/// `year=2024` is the partition column `year`; other folders get Glue's generated names.
fn key(at: usize, name: &str) -> String {
    match name.split_once('=') {
        Some((key, _)) if !key.is_empty() => key.to_lowercase(),
        _ => format!("partition_{at}"),
    }
}

fn value(name: &str) -> String {
    name.split_once('=').map_or(name, |(_, value)| value).to_owned()
}
