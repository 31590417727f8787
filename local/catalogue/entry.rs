//! Entries: databases, tables, partitions and crawlers.

use std::collections::BTreeMap;

use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Location;

/// Seconds since the epoch: how JSON 1.1 writes a time.
pub(crate) fn now() -> f64 {
    Utc::now().timestamp_millis() as f64 / 1000.0
}

/// The fields of a request that has described an entry, with Glue's names.
pub(crate) type Description = Map<String, Value>;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) description: Description,
    pub(crate) created: f64,
    pub(crate) tables: BTreeMap<String, Table>,
}

impl Database {
    pub(crate) fn new(name: &str, description: Description) -> Database {
        Database { name: name.to_lowercase(), description, created: now(), tables: BTreeMap::new() }
    }
}

/// A table over JSON lines.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) database: String,
    /// The crawler that has changed it last.
    pub(crate) crawler: String,
    pub(crate) location: Location,
    pub(crate) columns: Vec<Column>,
    pub(crate) partition_keys: Vec<Column>,
    /// By their values, joined with `/`.
    pub(crate) partitions: BTreeMap<String, Partition>,
    pub(crate) created: f64,
    pub(crate) updated: f64,
}

impl Table {
    /// The columns and, after them, the partition keys.
    pub(crate) fn all_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().chain(&self.partition_keys)
    }
}

/// A column, with the field names of Glue's JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The Hive type.
    #[serde(rename = "Type")]
    pub(crate) kind: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Partition {
    pub(crate) values: Vec<String>,
    pub(crate) location: Location,
    pub(crate) created: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Crawler {
    pub(crate) name: String,
    pub(crate) description: Description,
    pub(crate) created: f64,
    pub(crate) updated: f64,
    pub(crate) version: u64,
    /// The last crawl that has ended, as answers show it.
    pub(crate) last_crawl: Option<Value>,
}

/// A folder that a crawler reads.
pub(crate) struct Target {
    pub(crate) location: Location,
    /// How many objects of each folder are read.
    pub(crate) sample_size: usize,
}

impl Crawler {
    /// A field of the description that is a text.
    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.description.get(field)?.as_str()
    }

    pub(crate) fn targets(&self) -> Result<Vec<Target>, String> {
        let targets = self.description.get("Targets").and_then(|it| it["S3Targets"].as_array());
        let target = |target: &Value| {
            let location = Location::parse(target["Path"].as_str().unwrap_or_default())?;
            let sample_size = target["SampleSize"].as_u64().and_then(|size| usize::try_from(size).ok());
            Ok(Target { location, sample_size: sample_size.unwrap_or(usize::MAX) })
        };
        targets.into_iter().flatten().map(target).collect()
    }
}
