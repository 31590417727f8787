//! Tables that a crawl finds: which folders are a table, and which ones are its partitions.

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Halt;
use super::shape::Shape;
use crate::catalogue::{Folder, Location};

/// A table that a crawl has found.
pub(super) struct Found {
    pub(super) location: Location,
    pub(super) shape: Shape,
    pub(super) keys: Vec<String>,
    pub(super) partitions: Vec<FoundPartition>,
}

pub(super) struct FoundPartition {
    pub(super) values: Vec<String>,
    pub(super) location: Location,
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
    shape: Shape,
}

fn gather(
    folder: &Folder,
    sample: usize,
    stop: &CancellationToken,
    leaves: &mut Vec<Leaf>,
) -> Result<(), Halt> {
    if let Some(shape) = Shape::infer(&folder.files, sample, stop)? {
        leaves.push(Leaf { location: folder.location.clone(), shape });
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
    let mut shape = Shape::default();
    for leaf in leaves {
        if !keys.is_empty() {
            let values = names(&leaf).iter().map(|name| value(name)).collect();
            partitions.push(FoundPartition { values, location: leaf.location });
        }
        shape.merge(leaf.shape);
    }
    Some(Found { location, shape, keys, partitions })
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
