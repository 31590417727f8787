//! Tables that a crawl finds: which folders are a table, and which ones are its partitions.

use datafusion::arrow::datatypes::Fields;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::{Halt, columns};
use crate::catalogue::{Folder, Location, Target, hive};

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

/// The tables in a target: its folders at the level of tables, or the location itself if it is below that level.
pub(super) fn tables(
    target: &Target,
    folders: &[Folder],
    level: usize,
    stop: &CancellationToken,
) -> Result<Vec<Found>, Halt> {
    let depth = target.location.depth().max(level);
    let mut leaves = Vec::new();
    for folder in folders.iter().filter(|folder| folder.location.depth() >= depth) {
        let columns = columns::of(&folder.files, target.sample_size, stop)?;
        if !columns.is_empty() {
            leaves.push(Leaf { location: &folder.location, columns });
        }
    }
    let is_same_table = |a: &Leaf, b: &Leaf| a.location.at(depth) == b.location.at(depth);
    Ok(leaves.chunk_by(is_same_table).map(|leaves| table(leaves[0].location.at(depth), leaves)).collect())
}

/// A folder with objects of its own.
struct Leaf<'a> {
    location: &'a Location,
    columns: Fields,
}

fn table(location: Location, leaves: &[Leaf]) -> Found {
    let names = |leaf: &Leaf| leaf.location.folders[location.folders.len()..].to_vec();
    let first = names(&leaves[0]);
    // Partitions are all at the same level.
    let is_even = leaves.iter().all(|leaf| names(leaf).len() == first.len());
    let keys = first.iter().enumerate().filter(|_| is_even);
    let keys: Vec<String> = keys.map(|(at, name)| key(at, name)).collect();
    let mut partitions = Vec::new();
    let mut columns = Fields::empty();
    for leaf in leaves {
        columns = hive::merge_fields(&columns, &leaf.columns);
        if !keys.is_empty() {
            partitions.push((names(leaf).iter().map(|name| value(name)).collect(), leaf.location.clone()));
        }
    }
    Found { location, columns, keys, partitions }
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
