//! Updating the catalogue: creates and updates the tables of a crawl.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use datafusion::arrow::datatypes::{Field, Fields};
use serde_json::json;

use super::Outcome;
use super::found::{Found, FoundPartition};
use super::shape::Shape;
use crate::Fault;
use crate::catalogue::{
    Catalogue, Column, Crawler, Database, Location, Partition, SerDe, Storage, Table, hive, now,
};

/// The parameter with the crawler of a table.
const UPDATED_BY: &str = "UPDATED_BY_CRAWLER";

pub(super) fn apply(catalogue: &Catalogue, crawler: &Crawler, found: Vec<Found>) -> Result<Outcome, Fault> {
    let database = crawler.database_name.clone().unwrap_or_else(|| "default".into());
    let prefix = crawler.table_prefix.as_deref().unwrap_or_default();
    let mut outcome = Outcome { status: "SUCCEEDED", ..Outcome::default() };
    catalogue.change(|entries| {
        let database = entries.databases.entry(database.clone()).or_insert_with(|| Database::new(&database));
        for found in found {
            let name = name_of(database, prefix, &found.location);
            if let Some(table) = database.tables.get_mut(&name) {
                update(table, found, crawler);
                outcome.updated.push(name);
            } else {
                let table = create(&name, &database.name, found, crawler);
                database.tables.insert(name.clone(), table);
                outcome.created.push(name);
            }
        }
        Ok(outcome)
    })
}

/// The name of the last folder with the characters of SQL names, and a hash if another table has that name.
fn name_of(database: &Database, prefix: &str, location: &Location) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '_' };
    let name: String = format!("{prefix}{}", location.name()).to_lowercase().chars().map(plain).collect();
    let is_free = |name: &str| {
        let taken = database.tables.get(name);
        taken.is_none_or(|table| table.location().is_none_or(|used| used == location.url()))
    };
    if is_free(&name) {
        return name;
    }
    let mut hasher = DefaultHasher::new();
    location.url().hash(&mut hasher);
    format!("{name}_{:016x}", hasher.finish())
}

fn create(name: &str, database: &str, found: Found, crawler: &Crawler) -> Table {
    let mut table = Table {
        name: name.to_owned(),
        database_name: database.to_owned(),
        create_time: now(),
        table_type: Some("EXTERNAL_TABLE".into()),
        partition_keys: found.keys.iter().map(|key| Column::new(key, "string")).collect(),
        ..Table::default()
    };
    table.rest.insert("Owner".into(), "owner".into());
    table.rest.insert("Retention".into(), 0.into());
    update(&mut table, found, crawler);
    table
}

fn update(table: &mut Table, found: Found, crawler: &Crawler) {
    let Found { location, mut shape, partitions, .. } = found;
    let known: Fields = table
        .storage_descriptor
        .columns
        .iter()
        .map(|column| Field::new(&column.name, hive::parse(&column.kind), true))
        .collect();
    // A sample may lack columns of an earlier one.
    shape.fields = hive::merge_fields(&known, &shape.fields);
    // A field may have the name of a partition key: Glue makes both of them columns, and Athena refuses the table.
    let columns = shape.fields.iter();
    let columns = columns.map(|field| Column::new(field.name(), &hive::name(field.data_type()))).collect();
    let mut parameters = parameters(&shape, crawler);
    if !table.partition_keys.is_empty() {
        parameters.insert("partition_filtering.enabled".into(), "true".into());
    }
    table.storage_descriptor = storage(&shape, columns, &location, &parameters);
    table.parameters.extend(parameters);
    table.update_time = now();
    add_partitions(table, partitions);
}

fn add_partitions(table: &mut Table, partitions: Vec<FoundPartition>) {
    let n_keys = table.partition_keys.len();
    for FoundPartition { values, location } in partitions.into_iter().filter(|it| it.values.len() == n_keys) {
        let storage_descriptor =
            Storage { location: Some(location.url()), ..table.storage_descriptor.clone() };
        let partition = Partition {
            database_name: table.database_name.clone(),
            table_name: table.name.clone(),
            creation_time: now(),
            parameters: storage_descriptor.parameters.clone(),
            storage_descriptor,
            rest: serde_json::Map::default(),
            values,
        };
        table.partitions.insert(partition.values.join("/"), partition);
    }
}

fn parameters(shape: &Shape, crawler: &Crawler) -> BTreeMap<String, String> {
    let parameters = [
        ("CrawlerSchemaDeserializerVersion", "1.0".to_owned()),
        ("CrawlerSchemaSerializerVersion", "1.0".to_owned()),
        (UPDATED_BY, crawler.name.clone()),
        ("classification", "json".to_owned()),
        ("compressionType", "none".to_owned()),
        ("objectCount", shape.n_objects.to_string()),
        ("recordCount", shape.n_records.to_string()),
        ("typeOfData", "file".to_owned()),
    ];
    parameters.map(|(key, value)| (key.to_owned(), value)).into()
}

fn storage(
    shape: &Shape,
    columns: Vec<Column>,
    location: &Location,
    parameters: &BTreeMap<String, String>,
) -> Storage {
    let names = shape.fields.iter().map(|field| shape.originals.get(field.name()).unwrap_or(field.name()));
    let paths = names.map(String::as_str).collect::<Vec<_>>().join(",");
    let formats = json!({
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "Compressed": false,
        "NumberOfBuckets": -1,
    });
    Storage {
        columns,
        location: Some(location.url()),
        serde_info: Some(SerDe {
            serialization_library: Some("org.openx.data.jsonserde.JsonSerDe".into()),
            parameters: [("paths".to_owned(), paths)].into(),
            ..SerDe::default()
        }),
        parameters: parameters.clone(),
        rest: formats.as_object().cloned().unwrap_or_default(),
    }
}
