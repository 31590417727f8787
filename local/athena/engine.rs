//! The engine: `DataFusion` over the tables of the catalogue.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::execution::Given;
use super::information::{self, Information};
use super::output::{Output, Writer};
use super::sql::Query;
use super::stop::Stoppable;
use super::table::Scannable;
use super::value::{OutputColumn, column_type, text};
use super::{functions, statements};
use crate::Catalogue;

pub(super) const CATALOG: &str = "awsdatacatalog";
/// How much memory one query gets: a slip in a join must not take that of the whole machine.
pub(super) const MEMORY: usize = 512 << 20;

pub(super) struct Engine {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) objects_root: PathBuf,
    pub(super) memory: usize,
}

/// One query that is to be run.
pub(super) struct Job {
    pub(super) database: String,
    pub(super) n_scanned: Arc<AtomicU64>,
    pub(super) query: Query,
    pub(super) output: Output,
    pub(super) cancel: CancellationToken,
}

impl Engine {
    pub(super) fn new(catalogue: Arc<Catalogue>, objects_root: PathBuf) -> Engine {
        Engine { catalogue, objects_root, memory: MEMORY }
    }

    /// Runs one query; the error is what Athena would say.
    pub(super) async fn run(self: Arc<Self>, job: Job) -> Result<Given, String> {
        match &job.query {
            Query::Select(select) => {
                let context = self.session(&job).map_err(|error| select.explain(&error))?;
                let plan = select.plan(&context, &self.catalogue, &job.database).await?;
                let columns: Vec<OutputColumn> = select
                    .names(plan.schema())
                    .into_iter()
                    .zip(plan.schema().fields())
                    .map(|(name, field)| OutputColumn { name, kind: column_type(field.data_type()) })
                    .collect();
                let failed = |error: DataFusionError| select.explain(&error);
                let frame = Box::pin(context.execute_logical_plan(plan)).await.map_err(failed)?;
                let mut batches = frame.execute_stream().await.map_err(failed)?;
                let mut writer = job.output.create()?;
                writer.names(&columns)?;
                while let Some(batch) = batches.next().await {
                    let batch = batch.map_err(failed)?;
                    for row in 0..batch.num_rows() {
                        writer.row(batch.columns().iter().map(|column| text(column, row)))?;
                    }
                }
                writer.finish()?;
                Ok(Given { columns, file: job.output.path(), is_csv: true })
            }
            Query::Statement(statement) => {
                let lines = statements::run(&self.catalogue, statement, &job.database)?;
                let columns = vec![OutputColumn { name: lines.name.into(), kind: "string".into() }];
                let mut writer: Writer = job.output.create()?;
                for line in &lines.lines {
                    writer.line(line)?;
                }
                writer.finish()?;
                Ok(Given { columns, file: job.output.path(), is_csv: false })
            }
        }
    }

    fn session(&self, job: &Job) -> Result<SessionContext> {
        let mut config = SessionConfig::new()
            .with_create_default_catalog_and_schema(false)
            .with_default_catalog_and_schema(CATALOG, &job.database);
        let parser = &mut config.options_mut().sql_parser;
        parser.map_string_types_to_utf8view = false;
        // Trino puts NULL last, whatever the direction.
        parser.default_null_ordering = "nulls_last".into();
        // Without files to go on in: what does not fit is told at once.
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime =
            RuntimeEnvBuilder::new().with_memory_limit(self.memory, 1.0).with_disk_manager_builder(disk);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime.build_arc()?)
            .with_default_features()
            .with_analyzer_rule(Arc::new(functions::Checked))
            .with_physical_optimizer_rule(Arc::new(Stoppable { cancel: job.cancel.clone() }))
            .build();
        let context = SessionContext::new_with_state(state);
        let tables = Databases {
            catalogue: self.catalogue.clone(),
            objects_root: self.objects_root.clone(),
            with_path: matches!(&job.query, Query::Select(select) if select.names_path()),
            n_scanned: job.n_scanned.clone(),
        };
        context.register_catalog(CATALOG, Arc::new(tables));
        functions::register(&context);
        Ok(context)
    }
}

/// The databases of the catalogue, as `DataFusion` looks for them.
#[derive(Clone)]
struct Databases {
    catalogue: Arc<Catalogue>,
    objects_root: PathBuf,
    with_path: bool,
    n_scanned: Arc<AtomicU64>,
}

impl std::fmt::Debug for Databases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Databases")
    }
}

impl CatalogProvider for Databases {
    fn schema_names(&self) -> Vec<String> {
        self.catalogue.read(|shelf| shelf.databases.keys().cloned().collect())
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == information::NAME {
            return Some(Arc::new(Information { catalogue: self.catalogue.clone() }));
        }
        self.catalogue.read(|shelf| shelf.databases.contains_key(name)).then(|| {
            Arc::new(Tables { database: name.to_owned(), of: self.clone() }) as Arc<dyn SchemaProvider>
        })
    }
}

#[derive(Debug)]
struct Tables {
    database: String,
    of: Databases,
}

#[async_trait::async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        let names = |shelf: &crate::catalogue::Shelf| {
            shelf.database(&self.database).map(|it| it.tables.keys().cloned().collect())
        };
        self.of.catalogue.read(names).unwrap_or_default()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = self.of.catalogue.read(|shelf| shelf.table(&self.database, name).cloned());
        let root: &Path = &self.of.objects_root;
        let scannable =
            |table| Arc::new(Scannable::new(table, root, self.of.with_path, self.of.n_scanned.clone()));
        Ok(table.ok().map(|table| scannable(table) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.of.catalogue.read(|shelf| shelf.table(&self.database, name).is_ok())
    }
}
