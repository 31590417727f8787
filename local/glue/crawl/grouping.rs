//! Grouping: which folders are one table, and which folders of a table are its partitions.

use serde_json::Value;

use super::shape::Shape;
use super::walk::Folder;
use super::{Halt, Watch};
use crate::catalogue::Place;

/// A table as the folders say it is.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) shape: Shape,
    pub(super) keys: Vec<String>,
    pub(super) partitions: Vec<FoundPartition>,
}

pub(super) struct FoundPartition {
    pub(super) values: Vec<String>,
    pub(super) place: Place,
}

/// What the configuration of a crawler says about it.
pub(super) struct Grouping {
    /// The level that tables lie at; the bucket is 1.
    level: Option<usize>,
    /// Whatever the columns are, one format is one table.
    combines: bool,
}

/// How much of their columns folders share that are one table: the figure Glue's documentation gives.
const SIMILAR: f64 = 0.7;

impl Grouping {
    pub(super) fn of(configuration: Option<&str>) -> Grouping {
        let configuration: Value =
            configuration.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let grouping = &configuration["Grouping"];
        Grouping {
            level: grouping["TableLevelConfiguration"].as_u64().map(|level| level as usize),
            combines: grouping["TableGroupingPolicy"] == "CombineCompatibleSchemas",
        }
    }

    pub(super) fn tables(&self, folder: Folder, sample: usize, watch: &Watch) -> Result<Vec<Found>, Halt> {
        if self.level.is_some_and(|level| folder.place.depth() < level) {
            let mut found = Vec::new();
            for below in folder.folders {
                found.extend(self.tables(below, sample, watch)?);
            }
            return Ok(found);
        }
        let leaves = leaves(&folder, sample, watch)?;
        let is_one = self.level.is_some() || self.is_one(&folder, &leaves);
        if is_one {
            return Ok(table(folder.place, leaves).into_iter().collect());
        }
        let mut found = Vec::new();
        for below in folder.folders {
            found.extend(self.tables(below, sample, watch)?);
        }
        Ok(found)
    }

    fn is_one(&self, folder: &Folder, leaves: &[Leaf]) -> bool {
        // Objects that lie in the folder itself make it a table, and so do folders named `key=value`.
        let is_plain =
            !folder.files.is_empty() || folder.folders.iter().any(|it| it.place.name().contains('='));
        let Some((first, others)) = leaves.split_first() else { return true };
        let is_alike = |other: &Leaf| {
            first.shape.has_format_of(&other.shape)
                && (self.combines || first.shape.similarity(&other.shape) >= SIMILAR)
        };
        is_plain || others.iter().all(is_alike)
    }
}

/// A folder with objects of its own.
struct Leaf {
    place: Place,
    shape: Shape,
}

fn leaves(folder: &Folder, sample: usize, watch: &Watch) -> Result<Vec<Leaf>, Halt> {
    let mut leaves = Vec::new();
    if let Some(shape) = Shape::infer(&folder.files, sample, watch)? {
        leaves.push(Leaf { place: folder.place.clone(), shape });
    } else {
        let filled: Vec<_> = folder.files.iter().filter(|file| file.size > 0).collect();
        if let Some(first) = filled.first() {
            let name = first.path.file_name().unwrap_or_default().to_string_lossy();
            watch.cannot_read(format!("{}{name}", folder.place.url()), filled.len());
        }
    }
    for below in &folder.folders {
        leaves.extend(self::leaves(below, sample, watch)?);
    }
    Ok(leaves)
}

fn table(place: Place, leaves: Vec<Leaf>) -> Option<Found> {
    let at = place.folders.len();
    let names = |leaf: &Leaf| leaf.place.folders[at..].to_vec();
    let depth = leaves.first().map(|leaf| names(leaf).len())?;
    // Folders at different levels cannot all be partitions.
    let is_even = leaves.iter().all(|leaf| names(leaf).len() == depth);
    let keys: Vec<String> = if is_even {
        names(leaves.first()?).iter().enumerate().map(|(at, name)| key(at, name)).collect()
    } else {
        Vec::new()
    };
    let mut partitions = Vec::new();
    let mut shape: Option<Shape> = None;
    for leaf in leaves {
        if !keys.is_empty() {
            let values = names(&leaf).iter().map(|name| value(name)).collect();
            partitions.push(FoundPartition { values, place: leaf.place });
        }
        match &mut shape {
            None => shape = Some(leaf.shape),
            Some(shape) => shape.merge(leaf.shape),
        }
    }
    Some(Found { place, shape: shape?, keys, partitions })
}

/// `year=2024` is the partition column `year`; a folder without a name for its value gets one as Glue gives it.
fn key(at: usize, name: &str) -> String {
    match name.split_once('=') {
        Some((key, _)) if !key.is_empty() => key.to_lowercase(),
        _ => format!("partition_{at}"),
    }
}

fn value(name: &str) -> String {
    name.split_once('=').map_or(name, |(_, value)| value).to_owned()
}
