//! Tables and partitions of the catalogue: get, delete.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ACCOUNT, GLUE};
use crate::Fault;
use crate::catalogue::{Catalogue, Location, Partition, Table};
use crate::request::Page;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TableName {
    database_name: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tables {
    database_name: String,
    #[serde(flatten)]
    page: Page,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Partitions {
    database_name: String,
    table_name: String,
    expression: Option<String>,
    #[serde(flatten)]
    page: Page,
}

pub(super) fn get(catalogue: &Catalogue, of: &TableName) -> Result<Value, Fault> {
    catalogue.read(|entries| Ok(json!({ "Table": show(entries.table(&of.database_name, &of.name)?) })))
}

pub(super) fn list(catalogue: &Catalogue, input: &Tables) -> Result<Value, Fault> {
    catalogue.read(|entries| {
        let tables = entries.database(&input.database_name)?.tables.values();
        GLUE.cut(&input.page, "TableList", tables, show)
    })
}

pub(super) fn delete(catalogue: &Catalogue, of: &TableName) -> Result<Value, Fault> {
    catalogue.change(|entries| {
        let (database, name) = (of.database_name.to_lowercase(), of.name.to_lowercase());
        entries.table(&of.database_name, &of.name)?;
        entries.databases.get_mut(&database).and_then(|it| it.tables.remove(&name));
        Ok(json!({}))
    })
}

pub(super) fn partitions(catalogue: &Catalogue, input: &Partitions) -> Result<Value, Fault> {
    if input.expression.as_ref().is_some_and(|it| !it.trim().is_empty()) {
        let message = "the offline Glue has no Expression for partitions: select from the whole list";
        return Err(GLUE.invalid(message));
    }
    catalogue.read(|entries| {
        let table = entries.table(&input.database_name, &input.table_name)?;
        GLUE.cut(&input.page, "Partitions", table.partitions.values(), |it| show_partition(table, it))
    })
}

fn show(table: &Table) -> Value {
    json!({
        "Name": table.name, "DatabaseName": table.database, "CatalogId": ACCOUNT, "Owner": "owner",
        "CreateTime": table.created, "UpdateTime": table.updated, "Retention": 0,
        "StorageDescriptor": storage(table, &table.location), "PartitionKeys": table.partition_keys,
        "TableType": "EXTERNAL_TABLE", "Parameters": parameters(table),
    })
}

fn show_partition(table: &Table, partition: &Partition) -> Value {
    json!({
        "Values": partition.values, "DatabaseName": table.database, "TableName": table.name,
        "CatalogId": ACCOUNT, "CreationTime": partition.created,
        "StorageDescriptor": storage(table, &partition.location), "Parameters": parameters(table),
    })
}

/// What a crawler of Glue says of JSON lines in a folder.
fn storage(table: &Table, location: &Location) -> Value {
    let names: Vec<&str> = table.columns.iter().map(|column| &*column.name).collect();
    json!({
        "Columns": table.columns, "Location": location.url(), "Compressed": false, "NumberOfBuckets": -1,
        "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "SerdeInfo": {
            "SerializationLibrary": "org.openx.data.jsonserde.JsonSerDe",
            "Parameters": { "paths": names.join(",") },
        },
        "Parameters": parameters(table),
    })
}

fn parameters(table: &Table) -> Value {
    json!({
        "UPDATED_BY_CRAWLER": table.crawler, "classification": "json", "compressionType": "none",
        "typeOfData": "file",
    })
}
