//! Updating the catalogue: tables that a crawl has found are made, or what is there is brought up to them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use datafusion::arrow::datatypes::{Field, Fields};

use super::Outcome;
use super::grouping::{Found, FoundPartition};
use super::shape::{Format, Shape};
use crate::Fault;
use crate::catalogue::{
    Catalogue, Column, Crawler, Database, Partition, Place, SerDe, Storage, Table, hive, now,
};

/// The parameter that says which crawler a table is kept by.
const KEPT_BY: &str = "UPDATED_BY_CRAWLER";

pub(super) fn apply(catalogue: &Catalogue, crawler: &Crawler, found: Vec<Found>) -> Result<Outcome, Fault> {
    let database = crawler.database_name.clone().unwrap_or_else(|| "default".into());
    let prefix = crawler.table_prefix.as_deref().unwrap_or_default();
    let policy = |name: &str| crawler.schema_change_policy.get(name).map(String::as_str).unwrap_or_default();
    let updates = policy("UpdateBehavior") != "LOG";
    let mut outcome = Outcome { status: "SUCCEEDED", ..Outcome::default() };
    catalogue.change(|shelf| {
        let database = shelf.databases.entry(database.clone()).or_insert_with(|| Database::new(&database));
        let mut seen = Vec::new();
        for found in found {
            let name = name_of(database, prefix, &found.place);
            seen.push(name.clone());
            match database.tables.get_mut(&name) {
                Some(table) if updates => {
                    update(table, found, crawler);
                    outcome.updated.push(name);
                }
                Some(table) => add_partitions(table, found.partitions),
                None => {
                    let table = create(&name, &database.name, found, crawler);
                    database.tables.insert(name.clone(), table);
                    outcome.created.push(name);
                }
            }
        }
        let is_gone = |table: &Table| {
            table.parameters.get(KEPT_BY) == Some(&crawler.name) && !seen.contains(&table.name)
        };
        let gone: Vec<String> =
            database.tables.values().filter(|it| is_gone(it)).map(|it| it.name.clone()).collect();
        for name in gone {
            if policy("DeleteBehavior") == "DELETE_FROM_DATABASE" {
                database.tables.remove(&name);
                outcome.deleted.push(name);
            } else if policy("DeleteBehavior") == "DEPRECATE_IN_DATABASE"
                && let Some(table) = database.tables.get_mut(&name)
            {
                let since = format!("{:.0}", now() * 1000.0);
                table.parameters.entry("DEPRECATED_BY_CRAWLER".into()).or_insert(since);
            }
        }
        Ok(outcome)
    })
}

/// The last folder, in the letters that SQL takes; a namesake elsewhere keeps its name.
fn name_of(database: &Database, prefix: &str, place: &Place) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '_' { letter } else { '_' };
    let name: String = format!("{prefix}{}", place.name()).to_lowercase().chars().map(plain).collect();
    let is_free = |name: &str| {
        let taken = database.tables.get(name);
        taken.is_none_or(|table| table.location().is_none_or(|location| location == place.url()))
    };
    if is_free(&name) {
        return name;
    }
    let mut hasher = DefaultHasher::new();
    place.url().hash(&mut hasher);
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
    let Found { place, mut shape, partitions, .. } = found;
    let keys: Vec<&str> = table.partition_keys.iter().map(|key| key.name.as_str()).collect();
    let known: Fields = table
        .storage_descriptor
        .columns
        .iter()
        .map(|column| Field::new(&column.name, hive::parse(&column.kind), true))
        .collect();
    // A sample may not have shown what an earlier one did.
    shape.fields = hive::merge_fields(&known, &shape.fields);
    let columns = shape.fields.iter().filter(|field| !keys.contains(&field.name().as_str()));
    let columns = columns.map(|field| Column::new(field.name(), &hive::name(field.data_type()))).collect();
    let mut parameters = parameters(&shape, crawler);
    if !table.partition_keys.is_empty() {
        parameters.insert("partition_filtering.enabled".into(), "true".into());
    }
    table.storage_descriptor = storage(&shape, columns, &place, &parameters);
    table.parameters.remove("DEPRECATED_BY_CRAWLER");
    table.parameters.extend(parameters);
    table.update_time = now();
    add_partitions(table, partitions);
}

fn add_partitions(table: &mut Table, partitions: Vec<FoundPartition>) {
    let n_keys = table.partition_keys.len();
    for FoundPartition { values, place } in partitions.into_iter().filter(|it| it.values.len() == n_keys) {
        let storage_descriptor = Storage { location: Some(place.url()), ..table.storage_descriptor.clone() };
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
    let classification = if shape.format == Format::Json { "json" } else { "csv" };
    let mut parameters: BTreeMap<String, String> = [
        ("CrawlerSchemaDeserializerVersion", "1.0".to_owned()),
        ("CrawlerSchemaSerializerVersion", "1.0".to_owned()),
        (KEPT_BY, crawler.name.clone()),
        ("averageRecordSize", (shape.n_bytes / shape.n_records.max(1)).to_string()),
        ("classification", classification.to_owned()),
        ("compressionType", "none".to_owned()),
        ("objectCount", shape.n_objects.to_string()),
        ("recordCount", shape.n_records.to_string()),
        ("sizeKey", shape.n_bytes.to_string()),
        ("typeOfData", "file".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into();
    if let Format::Csv { delimiter, has_header, .. } = shape.format {
        parameters.insert("delimiter".into(), char::from(delimiter).to_string());
        parameters.insert("columnsOrdered".into(), "true".into());
        parameters.insert("areColumnsQuoted".into(), "false".into());
        if has_header {
            parameters.insert("skip.header.line.count".into(), "1".into());
        }
    }
    parameters
}

fn storage(
    shape: &Shape,
    columns: Vec<Column>,
    place: &Place,
    parameters: &BTreeMap<String, String>,
) -> Storage {
    let (library, serde) = match shape.format {
        Format::Json => {
            let names =
                shape.fields.iter().map(|field| shape.originals.get(field.name()).unwrap_or(field.name()));
            let paths = names.map(String::as_str).collect::<Vec<_>>().join(",");
            ("org.openx.data.jsonserde.JsonSerDe", ("paths", paths))
        }
        Format::Csv { delimiter, is_quoted: true, .. } => (
            "org.apache.hadoop.hive.serde2.OpenCSVSerde",
            ("separatorChar", char::from(delimiter).to_string()),
        ),
        Format::Csv { delimiter, .. } => (
            "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
            ("field.delim", char::from(delimiter).to_string()),
        ),
    };
    Storage {
        columns,
        location: Some(place.url()),
        input_format: Some("org.apache.hadoop.mapred.TextInputFormat".into()),
        output_format: Some("org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat".into()),
        number_of_buckets: -1,
        serde_info: Some(SerDe {
            serialization_library: Some(library.into()),
            parameters: [(serde.0.to_owned(), serde.1)].into(),
            ..SerDe::default()
        }),
        parameters: parameters.clone(),
        ..Storage::default()
    }
}
