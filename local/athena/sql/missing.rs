//! Names that do not exist: tables, columns and functions, with the errors of Athena.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, SchemaError};
use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Statement, Visit as _, Visitor};
use datafusion::sql::sqlparser::tokenizer::Location;

use super::mismatch::{groups, trino_type};
use crate::Catalogue;
use crate::athena::CATALOG;

/// The error of Athena for an error of `DataFusion` about a name that it does not find.
pub(super) fn explain(
    error: DataFusionError,
    ast: &Statement,
    catalogue: &Catalogue,
    database: &str,
) -> DataFusionError {
    let root = error.find_root();
    let explained = match root {
        DataFusionError::SchemaError(it, _) => {
            let SchemaError::FieldNotFound { field, .. } = &**it else { return error };
            let at = Names::find(ast, Kind::Column, &field.name);
            at.map(|(at, shown)| format!("COLUMN_NOT_FOUND: {at}: Column '{shown}' cannot be resolved"))
        }
        DataFusionError::Plan(text) => {
            if let Some([name]) = groups("table '(.*?)' not found", text) {
                table_not_found(name, ast, catalogue, database)
            } else if let Some([name]) = groups("Invalid function '(.*?)'", text) {
                let at = Names::find(ast, Kind::Function, name);
                at.map(|(at, shown)| format!("FUNCTION_NOT_FOUND: {at}: Function '{shown}' not registered"))
            } else {
                None
            }
        }
        _ => None,
    };
    let explained = explained.or_else(|| unexpected_parameters(&error.strip_backtrace(), ast));
    explained.map_or(error, DataFusionError::Plan)
}

/// The error of a function with values of types that it does not take.
fn unexpected_parameters(text: &str, ast: &Statement) -> Option<String> {
    let [function, given] =
        groups(r"the given name and argument types '(\w+)\((.*)\)'\. You might need", text)?;
    // Some functions have another name in `DataFusion`.
    let function = function.trim_end_matches("_cont");
    let at = Names::find(ast, Kind::Function, function).map(|(at, _)| format!("{at}: "));
    let given = given.split(", ").map(trino_type).collect::<Vec<_>>().join(", ");
    let at = at.unwrap_or_default();
    Some(format!("FUNCTION_NOT_FOUND: {at}Unexpected parameters ({given}) for function {function}"))
}

fn table_not_found(name: &str, ast: &Statement, catalogue: &Catalogue, database: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let (at, _) = Names::find(ast, Kind::Table, parts.last()?)?;
    let schema = parts.iter().rev().nth(1).copied().unwrap_or(database);
    let catalog = parts.iter().rev().nth(2).copied().unwrap_or(CATALOG);
    let has_schema = catalogue.read(|entries| entries.databases.contains_key(schema));
    Some(if has_schema || schema == "information_schema" {
        format!("TABLE_NOT_FOUND: {at}: Table '{catalog}.{schema}.{}' does not exist", parts.last()?)
    } else {
        format!("SCHEMA_NOT_FOUND: {at}: Schema '{schema}' does not exist")
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Table,
    Column,
    Function,
}

/// Looks for the first use of a name.
struct Names<'a> {
    kind: Kind,
    name: &'a str,
}

impl Names<'_> {
    /// Its place, and its text with the names before it.
    fn find(ast: &Statement, kind: Kind, name: &str) -> Option<(String, String)> {
        match ast.visit(&mut Names { kind, name }) {
            ControlFlow::Break((at, shown)) => Some((format!("line {}:{}", at.line, at.column), shown)),
            ControlFlow::Continue(()) => None,
        }
    }

    fn see(&self, kind: Kind, parts: &[&Ident]) -> ControlFlow<(Location, String)> {
        let is_it =
            kind == self.kind && parts.last().is_some_and(|it| it.value.eq_ignore_ascii_case(self.name));
        if !is_it {
            return ControlFlow::Continue(());
        }
        let shown: Vec<String> = parts.iter().map(|part| part.value.to_lowercase()).collect();
        ControlFlow::Break((parts[0].span.start, shown.join(".")))
    }

    fn see_name(&self, kind: Kind, name: &ObjectName) -> ControlFlow<(Location, String)> {
        let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        if parts.is_empty() { ControlFlow::Continue(()) } else { self.see(kind, &parts) }
    }
}

impl Visitor for Names<'_> {
    type Break = (Location, String);

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<Self::Break> {
        self.see_name(Kind::Table, relation)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match expr {
            Expr::Identifier(ident) => self.see(Kind::Column, &[ident]),
            Expr::CompoundIdentifier(parts) => self.see(Kind::Column, &parts.iter().collect::<Vec<_>>()),
            Expr::Function(function) => self.see_name(Kind::Function, &function.name),
            _ => ControlFlow::Continue(()),
        }
    }
}
