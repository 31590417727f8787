//! The engine: `DataFusion` over the tables of the catalogue.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::catalog::{CatalogProvider, SchemaProvider, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures_util::StreamExt as _;

use super::execution::QueryResult;
use super::output::Output;
use super::sql::mismatch::explain_cast;
use super::sql::{Query, Select};
use super::table::Scannable;
use super::value::{OutputColumn, text};
use super::yielding::YieldingJoins;
use super::{CATALOG, functions, statements};
use crate::Catalogue;

/// The memory of one query, in bytes: a join without a condition must not use up the memory of the machine.
pub(super) const MEMORY: usize = 512 << 20;

pub(super) struct Engine {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) objects_root: PathBuf,
    pub(super) memory: usize,
}

/// One query to run.
pub(super) struct Job {
    pub(super) database: String,
    pub(super) n_scanned: Arc<AtomicU64>,
    pub(super) query: Query,
    pub(super) output: Output,
}

impl Engine {
    pub(super) fn new(catalogue: Arc<Catalogue>, objects_root: PathBuf) -> Engine {
        Engine { catalogue, objects_root, memory: MEMORY }
    }

    /// Runs one query; the error is the reason that the client gets.
    pub(super) async fn run(self: Arc<Self>, job: Job) -> Result<QueryResult, String> {
        match &job.query {
            Query::Select(select) => self.select(select, &job).await,
            Query::Statement(statement) => {
                let lines = statements::run(&self.catalogue, statement, &job.database)?;
                let mut writer = job.output.create()?;
                for line in lines.lines {
                    writer.row([Some(line)].into_iter())?;
                }
                writer.finish()?;
                let columns = vec![OutputColumn { name: lines.name.into(), kind: "string".into() }];
                Ok(QueryResult { columns, file: job.output.path() })
            }
        }
    }

    async fn select(&self, select: &Select, job: &Job) -> Result<QueryResult, String> {
        let failed = |error: DataFusionError| as_athena_says(&error.strip_backtrace());
        let context = self.session(select, job).map_err(failed)?;
        let plan = select.plan(&context, &self.catalogue, &job.database).await.map_err(failed)?;
        let columns: Vec<_> = plan.schema().fields().iter().map(|field| OutputColumn::of(field)).collect();
        let frame = Box::pin(context.execute_logical_plan(plan)).await.map_err(failed)?;
        let mut batches = frame.execute_stream().await.map_err(failed)?;
        let mut writer = job.output.create()?;
        writer.row(columns.iter().map(|column| Some(column.name.clone())))?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(failed)?;
            for row in 0..batch.num_rows() {
                writer.row(batch.columns().iter().map(|column| text(column, row)))?;
            }
        }
        writer.finish()?;
        Ok(QueryResult { columns, file: job.output.path() })
    }

    fn session(&self, select: &Select, job: &Job) -> Result<SessionContext> {
        let mut config = SessionConfig::new()
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, &job.database);
        let parser = &mut config.options_mut().sql_parser;
        parser.map_string_types_to_utf8view = false;
        // Trino puts NULL last in both directions.
        parser.default_null_ordering = "nulls_last".into();
        // Without spill files: a query that needs more memory fails at once.
        let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
        let runtime =
            RuntimeEnvBuilder::new().with_memory_limit(self.memory, 1.0).with_disk_manager_builder(disk);
        let state = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime.build_arc()?)
            .with_default_features()
            .with_physical_optimizer_rule(Arc::new(YieldingJoins))
            .build();
        let context = SessionContext::new_with_state(state);
        let databases = Databases {
            catalogue: self.catalogue.clone(),
            objects_root: self.objects_root.clone(),
            has_path: select.has_path,
            n_scanned: job.n_scanned.clone(),
        };
        context.register_catalog(CATALOG, Arc::new(databases));
        functions::register(&context);
        Ok(context)
    }
}

/// An error with the code of Athena, without what `DataFusion` puts in front of it.
fn as_athena_says(error: &str) -> String {
    if let Some(explained) = explain_cast(error) {
        return explained;
    }
    let is_code = |start: usize| {
        let name = error[start..].split(':').next().unwrap_or_default();
        let is_start = start == 0 || error[..start].ends_with(' ');
        is_start && name.len() > 5 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let start = error.char_indices().map(|(at, _)| at).find(|at| is_code(*at));
    error[start.unwrap_or_default()..].to_owned()
}

/// The databases of the catalogue for `DataFusion`.
#[derive(Clone)]
struct Databases {
    catalogue: Arc<Catalogue>,
    objects_root: PathBuf,
    has_path: bool,
    n_scanned: Arc<AtomicU64>,
}

impl std::fmt::Debug for Databases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Databases")
    }
}

impl CatalogProvider for Databases {
    fn schema_names(&self) -> Vec<String> {
        self.catalogue.read(|entries| entries.databases.keys().cloned().collect())
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let is_known = self.catalogue.read(|entries| entries.databases.contains_key(name));
        is_known.then(|| Arc::new(Tables { database: name.to_owned(), databases: self.clone() }) as _)
    }
}

#[derive(Debug)]
struct Tables {
    database: String,
    databases: Databases,
}

#[async_trait::async_trait]
impl SchemaProvider for Tables {
    fn table_names(&self) -> Vec<String> {
        self.databases.catalogue.read(|entries| {
            let database = entries.database(&self.database);
            database.map(|it| it.tables.keys().cloned().collect()).unwrap_or_default()
        })
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let Databases { catalogue, objects_root, has_path, n_scanned } = &self.databases;
        let table = catalogue.read(|entries| entries.table(&self.database, name).cloned());
        let scannable = |table| Scannable::new(table, objects_root, *has_path, n_scanned.clone());
        Ok(table.ok().map(|table| Arc::new(scannable(table)) as Arc<dyn TableProvider>))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.databases.catalogue.read(|entries| entries.table(&self.database, name).is_ok())
    }
}
