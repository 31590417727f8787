//! Entries: databases, tables, partitions and crawlers, with the field names of Glue's JSON.

use std::collections::BTreeMap;

use chrono::Utc;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Seconds since the epoch: how JSON 1.1 writes a time.
pub(crate) fn now() -> f64 {
    Utc::now().timestamp_millis() as f64 / 1000.0
}

/// Fields of a request that are only stored and returned.
type Rest = Map<String, Value>;
pub(crate) type Parameters = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) create_time: f64,
    #[serde(flatten)]
    pub(crate) rest: Rest,
    pub(crate) tables: BTreeMap<String, Table>,
}

impl Database {
    pub(crate) fn new(name: &str) -> Database {
        Database { name: name.to_lowercase(), create_time: now(), ..Database::default() }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) database_name: String,
    pub(crate) create_time: f64,
    pub(crate) update_time: f64,
    pub(crate) storage_descriptor: Storage,
    pub(crate) partition_keys: Vec<Column>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) table_type: Option<String>,
    pub(crate) parameters: Parameters,
    #[serde(flatten)]
    pub(crate) rest: Rest,
    /// By their values, joined with `/`.
    pub(crate) partitions: BTreeMap<String, Partition>,
}

impl Table {
    /// The folder with the objects, as `s3://bucket/folder/`, with a `/` at the end.
    pub(crate) fn location(&self) -> Option<String> {
        let location = self.storage_descriptor.location.as_deref()?;
        Some(format!("{}/", location.trim_end_matches('/')))
    }

    /// The columns and, after them, the partition keys.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Column> {
        self.storage_descriptor.columns.iter().chain(&self.partition_keys)
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Storage {
    pub(crate) columns: Vec<Column>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) serde_info: Option<SerDe>,
    pub(crate) parameters: Parameters,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct SerDe {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) serialization_library: Option<String>,
    pub(crate) parameters: Parameters,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Column {
    pub(crate) name: String,
    #[serde(rename = "Type")]
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) comment: Option<String>,
}

impl Column {
    pub(crate) fn new(name: &str, kind: &str) -> Column {
        Column { name: name.to_owned(), kind: kind.to_owned(), comment: None }
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Partition {
    pub(crate) values: Vec<String>,
    pub(crate) database_name: String,
    pub(crate) table_name: String,
    pub(crate) creation_time: f64,
    pub(crate) storage_descriptor: Storage,
    pub(crate) parameters: Parameters,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Crawler {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) targets: Targets,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) database_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) table_prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) schedule: Option<Schedule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) configuration: Option<String>,
    pub(crate) schema_change_policy: BTreeMap<String, String>,
    pub(crate) creation_time: f64,
    pub(crate) last_updated: f64,
    pub(crate) version: i64,
    #[serde(flatten)]
    pub(crate) rest: Rest,
    /// The newest crawl last.
    pub(crate) crawls: Vec<Crawl>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Targets {
    #[serde(rename = "S3Targets")]
    pub(crate) s3: Vec<Target>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Target {
    pub(crate) path: String,
    /// How many objects of each folder are read; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample_size: Option<usize>,
    #[serde(flatten)]
    pub(crate) rest: Rest,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Schedule {
    pub(crate) schedule_expression: String,
    /// `SCHEDULED` or `NOT_SCHEDULED`.
    pub(crate) state: String,
}

/// One crawl that has ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Crawl {
    pub(crate) id: String,
    /// `SUCCEEDED`, `FAILED` or `CANCELLED`.
    pub(crate) status: String,
    pub(crate) error_message: Option<String>,
    pub(crate) start_time: f64,
    pub(crate) end_time: f64,
}
