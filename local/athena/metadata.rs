//! Metadata: the catalogue as Athena shows it.

use serde::Deserialize;
use serde_json::{Value, json};

use super::ATHENA;
use crate::Fault;
use crate::catalogue::{Catalogue, Column, Database, Table};
use crate::request::Page;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    #[serde(default)]
    database_name: String,
    #[serde(default)]
    table_name: String,
    #[serde(default)]
    expression: Option<String>,
    #[serde(flatten)]
    page: Page,
}

pub(super) fn call(catalogue: &Catalogue, operation: &str, input: Value) -> Result<Value, Fault> {
    let input: Input = ATHENA.read(input)?;
    let wanted = ATHENA.pattern(input.expression.as_deref())?;
    let missing = |fault: Fault| Fault::new("MetadataException", fault.message);
    catalogue.read(|shelf| match operation {
        "ListDatabases" => ATHENA.cut(&input.page, "DatabaseList", shelf.databases.values(), database),
        "GetDatabase" => {
            Ok(json!({ "Database": database(shelf.database(&input.database_name).map_err(missing)?) }))
        }
        "ListTableMetadata" => {
            let tables = shelf.database(&input.database_name).map_err(missing)?.tables.values();
            let tables = tables.filter(|table| wanted.as_ref().is_none_or(|it| it.is_match(&table.name)));
            ATHENA.cut(&input.page, "TableMetadataList", tables, table)
        }
        "GetTableMetadata" => {
            let found = shelf.table(&input.database_name, &input.table_name).map_err(missing)?;
            Ok(json!({ "TableMetadata": table(found) }))
        }
        "GetDataCatalog" => Ok(json!({ "DataCatalog": { "Name": "AwsDataCatalog", "Type": "GLUE" } })),
        _ => Ok(json!({ "DataCatalogsSummary": [{ "CatalogName": "AwsDataCatalog", "Type": "GLUE" }] })),
    })
}

fn database(database: &Database) -> Value {
    let mut shown = json!({ "Name": database.name });
    if let Some(description) = database.rest.get("Description") {
        shown["Description"] = description.clone();
    }
    shown
}

fn table(table: &Table) -> Value {
    let columns = |columns: &[Column]| -> Vec<Value> { columns.iter().map(|column| json!(column)).collect() };
    let mut parameters = table.parameters.clone();
    parameters
        .extend(table.storage_descriptor.location.clone().map(|location| ("location".into(), location)));
    json!({
        "Name": table.name, "CreateTime": table.create_time, "TableType": table.table_type, "Parameters": parameters,
        "Columns": columns(&table.storage_descriptor.columns), "PartitionKeys": columns(&table.partition_keys),
    })
}
