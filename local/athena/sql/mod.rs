//! SQL as Athena takes it: what Trino would refuse is refused in its words, the rest becomes a plan.

mod arrays;
mod dialect;
mod explain;
mod known;
mod locate;
mod names;
mod relations;
mod resolve;
mod rewrite;
mod scope;
mod strict;
mod syntax;
mod tokens;
mod types;
mod unnest;

use datafusion::common::DFSchema;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement as Planned;
use datafusion::sql::sqlparser::ast::Statement as Ast;

use self::locate::Source;
use self::names::OutputNames;
use super::statements::Statement;
use crate::Catalogue;

/// What a client has sent, as far as it can be read without the catalogue.
pub(super) enum Query {
    Select(Box<Select>),
    Statement(Statement),
}

/// A query that gives rows.
pub(super) struct Select {
    ast: Ast,
    source: Source,
    names: OutputNames,
}

impl Query {
    pub(super) fn parse(sql: &str) -> Result<Query, String> {
        let sql = sql.trim_end().trim_end_matches(';');
        if sql.trim().is_empty() {
            return Err("line 1:1: mismatched input '<EOF>'. Expecting: a statement".into());
        }
        if let Some(statement) = Statement::parse(sql) {
            return Ok(Query::Statement(statement));
        }
        let ast = dialect::parse(sql)?;
        let names = OutputNames::of(&ast);
        Ok(Query::Select(Box::new(Select { ast, source: Source::new(sql), names })))
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Query::Select(_) => "DML",
            Query::Statement(statement) => statement.kind(),
        }
    }

    pub(super) fn has_rows(&self) -> bool {
        matches!(self, Query::Select(_))
    }
}

impl Select {
    pub(super) async fn plan(
        &self,
        context: &SessionContext,
        catalogue: &Catalogue,
        database: &str,
    ) -> Result<LogicalPlan, String> {
        resolve::tables(&self.ast, catalogue, database)?;
        let mut ast = self.ast.clone();
        names::lower(&mut ast);
        scope::resolve(&mut ast, catalogue, database)?;
        unnest::inline(&mut ast)?;
        rewrite::functions(&mut ast)?;
        let state = context.state();
        // On the heap: these futures hold whole statements.
        let planned = Box::pin(state.statement_to_plan(Planned::Statement(Box::new(ast)))).await;
        let plan = planned.map_err(|error| self.explain(&error))?;
        types::check(&plan, &self.ast, &self.source)?;
        let mut kinds = plan.schema().fields().iter().map(|field| field.data_type());
        match kinds.find_map(strict::no_span) {
            Some(refused) => Err(refused),
            None => Ok(plan),
        }
    }

    /// Whether the hidden column with the object of a row is asked for.
    pub(super) fn names_path(&self) -> bool {
        self.source.holds(super::table::PATH)
    }

    /// The names of the result's columns.
    pub(super) fn names(&self, schema: &DFSchema) -> Vec<String> {
        self.names.show(schema)
    }

    /// An error of `DataFusion` in Athena's words.
    pub(super) fn explain(&self, error: &datafusion::error::DataFusionError) -> String {
        explain::explain(error, &self.ast, &self.source)
    }
}
