//! A table: the objects in its folder as rows.

mod objects;
mod row;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::json::ReaderBuilder;
use datafusion::catalog::memory::MemorySourceConfig;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result, exec_err};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use serde_json::{Map, Value};

use self::objects::Object;
use crate::catalogue::{Table, hive};

/// The hidden column with the object of a row.
pub(super) const PATH: &str = "$path";
/// The number of rows in a batch.
const ROWS: usize = 8192;

/// A table of the catalogue that can be scanned.
#[derive(Debug)]
pub(super) struct Scannable {
    table: Arc<Table>,
    schema: SchemaRef,
    /// Why no query can read the table.
    invalid: Option<String>,
    root: PathBuf,
    n_scanned: Arc<AtomicU64>,
}

impl Scannable {
    /// `has_path` adds the hidden column.
    pub(super) fn new(table: Table, root: &Path, has_path: bool, n_scanned: Arc<AtomicU64>) -> Scannable {
        let field = |name: &str, kind| Field::new(name, kind, true);
        let mut fields: Vec<Field> = Vec::new();
        let mut invalid = None;
        for column in table.all_columns() {
            let field = field(&column.name, hive::parse(&column.kind));
            if !hive::is_valid(&column.kind) {
                invalid = Some(format!(
                    "Glue table '{}.{}' column '{}' has invalid data type: {}",
                    table.database, table.name, column.name, column.kind
                ));
            }
            if fields.iter().any(|other| other.name() == field.name()) {
                invalid = Some(format!(
                    "Hive metadata for table {} is invalid: Table descriptor contains duplicate columns",
                    table.name
                ));
            } else {
                fields.push(field);
            }
        }
        fields.extend(has_path.then(|| field(PATH, DataType::Utf8)));
        let schema = Arc::new(Schema::new(fields));
        Scannable { table: Arc::new(table), schema, invalid, root: root.to_owned(), n_scanned }
    }
}

#[async_trait::async_trait]
impl TableProvider for Scannable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(reason) = &self.invalid {
            return exec_err!("HIVE_INVALID_METADATA: {reason}");
        }
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let (table, root, n_scanned) = (self.table.clone(), self.root.clone(), self.n_scanned.clone());
        let mut rows =
            Rows { schema: schema.clone(), table: table.clone(), records: Vec::new(), batches: Vec::new() };
        // Every scan lists the objects, so that new ones are read.
        let read = tokio::task::spawn_blocking(move || {
            for object in objects::of(&table, &root)? {
                rows.read(object, &n_scanned)?;
            }
            rows.finish()
        });
        let batches = read.await.map_err(|error| DataFusionError::Execution(error.to_string()))??;
        Ok(MemorySourceConfig::try_new_exec(&[batches], schema, None)?)
    }
}

/// The rows of the objects that have been read.
struct Rows {
    schema: SchemaRef,
    table: Arc<Table>,
    /// The records of the next batch, with their objects.
    records: Vec<(Map<String, Value>, Arc<Object>)>,
    batches: Vec<RecordBatch>,
}

impl Rows {
    fn read(&mut self, object: Object, n_scanned: &AtomicU64) -> Result<()> {
        let Some(bytes) = object.read(n_scanned)? else { return Ok(()) };
        let object = Arc::new(object);
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
        for line in lines {
            let record = match row::read(line) {
                Ok(record) => record,
                Err(error) => {
                    let url = &object.url;
                    return exec_err!(
                        "HIVE_CURSOR_ERROR: Row is not a valid JSON Object - JSONException: {error} ({url})"
                    );
                }
            };
            self.check(&record, &object)?;
            self.records.push((record, object.clone()));
            if self.records.len() == ROWS {
                self.decode()?;
            }
        }
        Ok(())
    }

    /// Fails on a value that its column cannot hold, among the columns of the query.
    fn check(&self, record: &Map<String, Value>, object: &Object) -> Result<()> {
        let Some((index, value)) = row::bad_value(record, &self.schema.fields) else { return Ok(()) };
        let name = self.schema.field(index).name();
        let place = self.table.all_columns().position(|column| column.name == *name);
        let (place, url) = (place.unwrap_or(index), &object.url);
        exec_err!(
            "HIVE_BAD_DATA: Error parsing field value '{value}' for field {place}: For input string: \"{value}\" (column `{name}` of {url})"
        )
    }

    fn finish(mut self) -> Result<Vec<RecordBatch>> {
        self.decode()?;
        Ok(self.batches)
    }

    fn decode(&mut self) -> Result<()> {
        let records = std::mem::take(&mut self.records);
        if self.schema.fields().is_empty() {
            let options = RecordBatchOptions::new().with_row_count(Some(records.len()));
            self.batches.push(RecordBatch::try_new_with_options(self.schema.clone(), Vec::new(), &options)?);
            return Ok(());
        }
        let complete = records.into_iter().map(|(mut record, object)| {
            row::write_as_text(&mut record, &self.schema.fields);
            record.extend(object.partition.iter().map(|(key, value)| (key.clone(), value.as_str().into())));
            record.insert(PATH.into(), object.url.as_str().into());
            record
        });
        let reader =
            ReaderBuilder::new(self.schema.clone()).with_batch_size(ROWS).with_coerce_primitive(true);
        let mut decoder = reader.build_decoder()?;
        decoder.serialize(&complete.collect::<Vec<_>>())?;
        self.batches.extend(decoder.flush()?);
        Ok(())
    }
}
