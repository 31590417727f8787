//! A table: the objects below its folder, read as rows of its columns.

mod csv;
mod fit;
mod json;
mod objects;
mod prune;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use tokio::sync::mpsc::Sender;

use self::objects::Object;
pub(crate) use self::prune::wanted as wanted_partitions;
use crate::catalogue::{Table, hive};

/// The hidden column with the object that a row comes from.
pub(super) const PATH: &str = "$path";
/// How many rows go on together.
const ROWS: usize = 8192;

/// A table of the catalogue that can be scanned.
#[derive(Debug)]
pub(super) struct Scannable {
    table: Arc<Table>,
    schema: SchemaRef,
    root: PathBuf,
    n_scanned: Arc<AtomicU64>,
}

/// How the objects of a table are written.
#[derive(Clone, Debug)]
enum Format {
    Json,
    Csv { delimiter: u8, n_skipped: usize, is_strict: bool },
}

impl Scannable {
    /// `with_path`: with the hidden column, which `*` must not show.
    pub(super) fn new(table: Table, root: &Path, with_path: bool, n_scanned: Arc<AtomicU64>) -> Scannable {
        let columns = table.storage_descriptor.columns.iter().chain(&table.partition_keys);
        let fields =
            columns.map(|column| Field::new(column.name.to_lowercase(), hive::parse(&column.kind), true));
        let path = with_path.then(|| Field::new(PATH, DataType::Utf8, true));
        let fields: Vec<Field> = fields.chain(path).collect();
        let schema = Arc::new(Schema::new(fields));
        Scannable { table: Arc::new(table), schema, root: root.to_owned(), n_scanned }
    }

    fn format(&self) -> Result<Format> {
        let serde = self.table.storage_descriptor.serde_info.clone().unwrap_or_default();
        let library = serde.serialization_library.unwrap_or_default().to_lowercase();
        let first = |name: &str| serde.parameters.get(name).and_then(|text| text.bytes().next());
        if library.contains("json") {
            return Ok(Format::Json);
        }
        let is_strict = library.contains("opencsv");
        if is_strict || library.contains("lazysimple") {
            let delimiter = if is_strict { first("separatorChar") } else { first("field.delim") };
            let skipped = self.table.parameters.get("skip.header.line.count").and_then(|it| it.parse().ok());
            let n_skipped = skipped.unwrap_or_default();
            return Ok(Format::Csv { delimiter: delimiter.unwrap_or(b','), n_skipped, is_strict });
        }
        Err(DataFusionError::Execution(format!(
            "HIVE_UNSUPPORTED_FORMAT: the offline Athena reads JSON and CSV, and table {} has the SerDe `{library}`",
            self.table.name
        )))
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

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let verdict = |filter: &&Expr| {
            if prune::is_about_keys(filter, &self.table) {
                TableProviderFilterPushDown::Inexact
            } else {
                TableProviderFilterPushDown::Unsupported
            }
        };
        Ok(filters.iter().map(verdict).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let format = self.format()?;
        let (table, root) = (self.table.clone(), self.root.clone());
        let partitions = prune::wanted(&table, filters, state)?;
        // New objects are seen at every scan: nobody tells of them.
        let objects = tokio::task::spawn_blocking(move || objects::of(&table, &partitions, &root)).await;
        let objects = objects.map_err(|error| DataFusionError::Execution(error.to_string()))??;
        let schema = match projection {
            Some(columns) => Arc::new(self.schema.project(columns)?),
            None => self.schema.clone(),
        };
        let n_parts = state.config().target_partitions().clamp(1, objects.len().max(1));
        let size = objects.len().div_ceil(n_parts).max(1);
        let part = |objects: &[Object]| -> Arc<dyn PartitionStream> {
            Arc::new(Part {
                objects: objects.to_vec(),
                schema: schema.clone(),
                columns: self
                    .table
                    .storage_descriptor
                    .columns
                    .iter()
                    .map(|column| column.name.to_lowercase())
                    .collect(),
                format: format.clone(),
                n_scanned: self.n_scanned.clone(),
            })
        };
        let parts =
            if objects.is_empty() { vec![part(&[])] } else { objects.chunks(size).map(part).collect() };
        Ok(Arc::new(StreamingTableExec::try_new(schema, parts, None, None, false, limit)?))
    }
}

/// A share of the objects, read on a thread of its own.
#[derive(Clone, Debug)]
struct Part {
    objects: Vec<Object>,
    /// The columns that are asked for.
    schema: SchemaRef,
    /// All columns of the objects, in their order.
    columns: Vec<String>,
    format: Format,
    n_scanned: Arc<AtomicU64>,
}

impl PartitionStream for Part {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema.clone(), 2);
        let (part, rows) = (self.clone(), stream.tx());
        stream.spawn_blocking(move || part.read(&Rows { rows }));
        stream.build()
    }
}

impl Part {
    fn read(&self, rows: &Rows) -> Result<()> {
        match self.format {
            Format::Json => json::read(self, rows),
            Format::Csv { delimiter, n_skipped, is_strict } => {
                csv::read(self, delimiter, n_skipped, is_strict, rows)
            }
        }
    }

    /// Whether only the number of rows is asked for.
    fn counts_only(&self) -> bool {
        self.schema.fields().is_empty()
    }
}

/// Where rows go on to.
struct Rows {
    rows: Sender<Result<RecordBatch>>,
}

impl Rows {
    /// Says no more when nobody takes rows any longer.
    fn send(&self, batch: RecordBatch) -> bool {
        self.rows.blocking_send(Ok(batch)).is_ok()
    }

    fn send_count(&self, schema: &SchemaRef, n: usize) -> Result<bool> {
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        Ok(self.send(RecordBatch::try_new_with_options(schema.clone(), Vec::new(), &options)?))
    }
}
