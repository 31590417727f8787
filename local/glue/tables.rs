//! Tables of the catalogue: create, get, update, delete.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{GLUE, exists};
use crate::Fault;
use crate::catalogue::{Catalogue, Table, now};
use crate::request::Page;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    database_name: String,
    table_input: Table,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TableName {
    database_name: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    database_name: String,
    #[serde(flatten)]
    page: Page,
}

pub(super) fn call(catalogue: &Catalogue, operation: &str, input: Value) -> Result<Value, Fault> {
    match operation {
        "CreateTable" => create(catalogue, GLUE.read(input)?),
        "GetTable" => {
            let TableName { database_name, name } = GLUE.read(input)?;
            catalogue.read(|entries| Ok(json!({ "Table": show(entries.table(&database_name, &name)?) })))
        }
        "DeleteTable" => {
            let TableName { database_name, name } = GLUE.read(input)?;
            catalogue.change(|entries| {
                entries.table(&database_name, &name)?;
                entries.database_mut(&database_name)?.tables.remove(&name.to_lowercase());
                Ok(json!({}))
            })
        }
        _ => {
            let input: List = GLUE.read(input)?;
            catalogue.read(|entries| {
                let tables = entries.database(&input.database_name)?.tables.values();
                GLUE.cut(&input.page, "TableList", tables, show)
            })
        }
    }
}

fn create(catalogue: &Catalogue, input: Input) -> Result<Value, Fault> {
    let table = named(input.table_input, &input.database_name)?;
    catalogue.change(|entries| {
        let tables = &mut entries.database_mut(&input.database_name)?.tables;
        if tables.contains_key(&table.name) {
            return Err(exists(format!("Table {} already exists.", table.name)));
        }
        tables.insert(table.name.clone(), table);
        Ok(json!({}))
    })
}

/// Glue lowers the case of the names of tables and columns.
fn named(mut table: Table, database: &str) -> Result<Table, Fault> {
    table.name = table.name.to_lowercase();
    if table.name.is_empty() {
        return Err(GLUE.invalid("a table needs a name"));
    }
    for column in table.storage_descriptor.columns.iter_mut().chain(&mut table.partition_keys) {
        column.name = column.name.to_lowercase();
    }
    table.database_name = database.to_lowercase();
    table.create_time = now();
    table.update_time = table.create_time;
    Ok(table)
}

fn show(table: &Table) -> Value {
    let mut shown = json!(table);
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("Partitions");
    }
    shown["CatalogId"] = json!(super::ACCOUNT);
    shown
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Partitions {
    database_name: String,
    table_name: String,
    expression: Option<String>,
    #[serde(flatten)]
    page: Page,
}

/// The partitions of a table.
pub(super) fn partitions(catalogue: &Catalogue, input: Value) -> Result<Value, Fault> {
    let input: Partitions = GLUE.read(input)?;
    if input.expression.is_some_and(|it| !it.trim().is_empty()) {
        return Err(
            GLUE.invalid("the offline Glue has no Expression for partitions: select from the whole list")
        );
    }
    catalogue.read(|entries| {
        let table = entries.table(&input.database_name, &input.table_name)?;
        GLUE.cut(&input.page, "Partitions", table.partitions.values(), |it| json!(it))
    })
}
