//! Tables of the catalogue: made, shown, changed, taken away.

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
struct Named {
    database_name: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Many {
    database_name: String,
    #[serde(default)]
    expression: Option<String>,
    #[serde(default)]
    tables_to_delete: Vec<String>,
    #[serde(flatten)]
    page: Page,
}

pub(super) fn call(catalogue: &Catalogue, operation: &str, input: Value) -> Result<Value, Fault> {
    match operation {
        "CreateTable" => create(catalogue, GLUE.read(input)?),
        "UpdateTable" => update(catalogue, GLUE.read(input)?),
        "GetTable" => {
            let Named { database_name, name } = GLUE.read(input)?;
            catalogue.read(|shelf| Ok(json!({ "Table": show(shelf.table(&database_name, &name)?) })))
        }
        "DeleteTable" => {
            let Named { database_name, name } = GLUE.read(input)?;
            catalogue.change(|shelf| {
                shelf.table(&database_name, &name)?;
                shelf.database_mut(&database_name)?.tables.remove(&name.to_lowercase());
                Ok(json!({}))
            })
        }
        "BatchDeleteTable" => delete_many(catalogue, GLUE.read(input)?),
        _ => list(catalogue, GLUE.read(input)?),
    }
}

fn create(catalogue: &Catalogue, input: Input) -> Result<Value, Fault> {
    let table = named(input.table_input, &input.database_name)?;
    catalogue.change(|shelf| {
        let tables = &mut shelf.database_mut(&input.database_name)?.tables;
        if tables.contains_key(&table.name) {
            return Err(exists(format!("Table {} already exists.", table.name)));
        }
        tables.insert(table.name.clone(), table);
        Ok(json!({}))
    })
}

fn update(catalogue: &Catalogue, input: Input) -> Result<Value, Fault> {
    let table = named(input.table_input, &input.database_name)?;
    catalogue.change(|shelf| {
        let old = shelf.table_mut(&input.database_name, &table.name)?;
        let (create_time, partitions) = (old.create_time, std::mem::take(&mut old.partitions));
        *old = Table { create_time, partitions, ..table };
        Ok(json!({}))
    })
}

/// Names of tables and columns are kept in lower case, whatever they were written in.
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

fn delete_many(catalogue: &Catalogue, input: Many) -> Result<Value, Fault> {
    catalogue.change(|shelf| {
        let tables = &mut shelf.database_mut(&input.database_name)?.tables;
        let missing: Vec<Value> = input
            .tables_to_delete
            .iter()
            .filter(|name| tables.remove(&name.to_lowercase()).is_none())
            .map(|name| {
                json!({ "TableName": name, "ErrorDetail": {
                    "ErrorCode": "EntityNotFoundException", "ErrorMessage": format!("Table {name} not found."),
                }})
            })
            .collect();
        Ok(json!({ "Errors": missing }))
    })
}

fn list(catalogue: &Catalogue, input: Many) -> Result<Value, Fault> {
    let wanted = GLUE.pattern(input.expression.as_deref())?;
    catalogue.read(|shelf| {
        let tables = shelf.database(&input.database_name)?.tables.values();
        let tables = tables.filter(|table| wanted.as_ref().is_none_or(|wanted| wanted.is_match(&table.name)));
        GLUE.cut(&input.page, "TableList", tables, show)
    })
}

fn show(table: &Table) -> Value {
    let mut shown = json!(table);
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("Partitions");
    }
    shown["CatalogId"] = json!(super::ACCOUNT);
    shown
}
