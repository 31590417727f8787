//! The engine: `DataFusion` over the tables of the catalogue.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider as _,
};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionStateBuilder, SessionStateDefaults};
use datafusion::prelude::{SessionConfig, SessionContext};
use futures_util::StreamExt as _;

use super::execution::Execution;
use super::sql::{Query, Select};
use super::table::Scannable;
use super::value::{OutputColumn, text};
use super::yielding::YieldingJoins;
use super::{CATALOG, functions, statements};
use crate::Catalogue;

/// The memory of one query, in bytes: a join without a condition must not use up the memory of the machine.
const MEMORY: usize = 512 << 20;

pub(super) struct Engine {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) objects_root: PathBuf,
    pub(super) memory: usize,
}

impl Engine {
    pub(super) fn new(catalogue: Arc<Catalogue>, objects_root: PathBuf) -> Engine {
        Engine { catalogue, objects_root, memory: MEMORY }
    }

    /// Runs one query and returns the columns of its result; the error is the reason that the client gets.
    pub(super) async fn run(
        self: Arc<Self>,
        query: Query,
        execution: Execution,
    ) -> Result<Vec<OutputColumn>, String> {
        match query {
            Query::Select(select) => self.select(*select, &execution).await,
            Query::Statement(statement) => {
                let (name, lines) = statements::run(&self.catalogue, &statement, &execution.database)?;
                let mut writer = execution.output.create()?;
                for line in lines {
                    writer.row([Some(line)].into_iter())?;
                }
                writer.finish()?;
                Ok(vec![OutputColumn { name: name.into(), kind: "string".into(), digits: (0, 0) }])
            }
        }
    }

    async fn select(&self, select: Select, execution: &Execution) -> Result<Vec<OutputColumn>, String> {
        let failed = |error: DataFusionError| as_athena_says(&error.strip_backtrace());
        let context = self.session(&select, execution).map_err(failed)?;
        let plan = select.plan(&context).await.map_err(failed)?;
        let columns: Vec<_> = plan.schema().fields().iter().map(|field| OutputColumn::of(field)).collect();
        let frame = Box::pin(context.execute_logical_plan(plan)).await.map_err(failed)?;
        let mut batches = frame.execute_stream().await.map_err(failed)?;
        let mut writer = execution.output.create()?;
        writer.row(columns.iter().map(|column| Some(column.name.clone())))?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(failed)?;
            for row in 0..batch.num_rows() {
                writer.row(batch.columns().iter().map(|column| text(column, row)))?;
            }
        }
        writer.finish()?;
        Ok(columns)
    }

    fn session(&self, select: &Select, execution: &Execution) -> Result<SessionContext> {
        let mut config = SessionConfig::new()
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, &execution.database);
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
            // The other defaults, such as the file formats, would only make the program 2 MB larger.
            .with_expr_planners(SessionStateDefaults::default_expr_planners())
            .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
            .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
            .with_window_functions(SessionStateDefaults::default_window_functions())
            .with_physical_optimizer_rule(Arc::new(YieldingJoins))
            .build();
        let context = SessionContext::new_with_state(state);
        context.register_catalog(CATALOG, self.databases(select.has_path, &execution.n_scanned)?);
        functions::register(&context);
        Ok(context)
    }

    /// The databases of the catalogue for `DataFusion`.
    fn databases(&self, has_path: bool, n_scanned: &Arc<AtomicU64>) -> Result<Arc<dyn CatalogProvider>> {
        let databases = MemoryCatalogProvider::new();
        self.catalogue.read(|entries| {
            for (name, database) in &entries.databases {
                let tables = MemorySchemaProvider::new();
                for (name, table) in &database.tables {
                    let table =
                        Scannable::new(table.clone(), &self.objects_root, has_path, n_scanned.clone());
                    tables.register_table(name.clone(), Arc::new(table))?;
                }
                databases.register_schema(name, Arc::new(tables))?;
            }
            Ok(Arc::new(databases) as _)
        })
    }
}

/// An error without what `DataFusion` puts in front of a code of Athena, if it has one.
fn as_athena_says(error: &str) -> String {
    let is_code = |start: usize| {
        let name = error[start..].split(':').next().unwrap_or_default();
        let is_start = start == 0 || error[..start].ends_with(' ');
        is_start && name.len() > 5 && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let start = error.char_indices().map(|(at, _)| at).find(|at| is_code(*at));
    error[start.unwrap_or_default()..].to_owned()
}
