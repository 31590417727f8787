//! `information_schema`: the catalogue as tables, in Athena's words.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::common::Result;

use super::engine::CATALOG;
use super::value::type_name;
use crate::Catalogue;
use crate::catalogue::{Shelf, hive};

pub(super) const NAME: &str = "information_schema";
pub(super) const TABLES: [&str; 3] = ["columns", "schemata", "tables"];

pub(super) struct Information {
    pub(super) catalogue: Arc<Catalogue>,
}

impl std::fmt::Debug for Information {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Information")
    }
}

#[async_trait::async_trait]
impl SchemaProvider for Information {
    fn table_names(&self) -> Vec<String> {
        TABLES.map(str::to_owned).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Some(columns) = self.catalogue.read(|shelf| table(name, shelf)) else { return Ok(None) };
        let fields = columns.iter().map(|(name, values)| Field::new(*name, values.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let arrays = columns.into_iter().map(|(_, values)| values).collect();
        let batch = RecordBatch::try_new(schema.clone(), arrays)?;
        Ok(Some(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        TABLES.contains(&name)
    }
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn table(name: &str, shelf: &Shelf) -> Option<Columns> {
    match name {
        "schemata" => Some(schemata(shelf)),
        "tables" => Some(tables(shelf)),
        "columns" => Some(columns(shelf)),
        _ => None,
    }
}

/// The columns of one of the tables.
pub(super) fn column_names(name: &str) -> Option<Vec<String>> {
    let columns = table(name, &Shelf::default())?;
    Some(columns.into_iter().map(|(name, _)| name.to_owned()).collect())
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<StringArray>())
}

fn schemata(shelf: &Shelf) -> Columns {
    let names: Vec<&str> = shelf.databases.keys().map(String::as_str).chain([NAME]).collect();
    vec![
        ("catalog_name", texts(names.iter().map(|_| CATALOG))),
        ("schema_name", texts(names.iter().copied())),
    ]
}

fn tables(shelf: &Shelf) -> Columns {
    let tables = || shelf.databases.values().flat_map(|database| database.tables.values());
    vec![
        ("table_catalog", texts(tables().map(|_| CATALOG))),
        ("table_schema", texts(tables().map(|it| it.database_name.as_str()))),
        ("table_name", texts(tables().map(|it| it.name.as_str()))),
        ("table_type", texts(tables().map(|_| "BASE TABLE"))),
    ]
}

fn columns(shelf: &Shelf) -> Columns {
    let tables = shelf.databases.values().flat_map(|database| database.tables.values());
    let all: Vec<_> = tables
        .flat_map(|table| {
            let columns = table.storage_descriptor.columns.iter().chain(&table.partition_keys);
            columns.enumerate().map(move |(at, column)| (table, at, column))
        })
        .collect();
    let names: Vec<String> = all.iter().map(|(.., column)| column.name.to_lowercase()).collect();
    let kinds: Vec<String> = all.iter().map(|(.., column)| type_name(&hive::parse(&column.kind))).collect();
    vec![
        ("table_catalog", texts(all.iter().map(|_| CATALOG))),
        ("table_schema", texts(all.iter().map(|(table, ..)| table.database_name.as_str()))),
        ("table_name", texts(all.iter().map(|(table, ..)| table.name.as_str()))),
        ("column_name", texts(names.iter().map(String::as_str))),
        (
            "ordinal_position",
            Arc::new(all.iter().map(|(_, at, _)| Some(*at as i64 + 1)).collect::<Int64Array>()),
        ),
        ("column_default", Arc::new(all.iter().map(|_| None::<&str>).collect::<StringArray>())),
        ("is_nullable", texts(all.iter().map(|_| "YES"))),
        ("data_type", texts(kinds.iter().map(String::as_str))),
    ]
}
