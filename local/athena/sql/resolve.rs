//! Resolving: every table that a query names has to be in the catalogue.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Statement, TableFactor,
    Visit as _, Visitor, visit_expressions,
};

use super::locate::place;
use crate::Catalogue;
use crate::athena::engine::CATALOG;
use crate::athena::information;

pub(super) fn tables(ast: &Statement, catalogue: &Catalogue, database: &str) -> Result<(), String> {
    let mut search = Search { catalogue, database, ours: BTreeSet::new() };
    match ast.visit(&mut search) {
        ControlFlow::Break(message) => Err(message),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Search<'a> {
    catalogue: &'a Catalogue,
    database: &'a str,
    /// What the query itself names in WITH.
    ours: BTreeSet<String>,
}

impl Search<'_> {
    /// The columns of all that a SELECT reads from, if these are tables of the catalogue.
    fn columns(&self, select: &Select) -> Option<BTreeSet<String>> {
        let factors = select.from.iter().flat_map(|from| {
            [&from.relation].into_iter().chain(from.joins.iter().map(|join| &join.relation))
        });
        let mut columns = BTreeSet::new();
        for factor in factors {
            let TableFactor::Table { name, .. } = factor else { return None };
            let names: Vec<String> = name
                .0
                .iter()
                .filter_map(ObjectNamePart::as_ident)
                .map(|it| it.value.to_lowercase())
                .collect();
            let (table, before) = names.split_last()?;
            if before.is_empty() && self.ours.contains(table) {
                return None;
            }
            let database = before.last().map_or(self.database, String::as_str);
            let table = self.catalogue.read(|shelf| shelf.table(database, table).cloned()).ok()?;
            let all = table.storage_descriptor.columns.iter().chain(&table.partition_keys);
            columns.extend(all.map(|column| column.name.to_lowercase()));
        }
        Some(columns)
    }
}

impl Visitor for Search<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.ours.insert(table.alias.name.value.to_lowercase());
        }
        ControlFlow::Continue(())
    }

    /// Trino groups by columns alone: an alias of the SELECT is not known there yet, nor in HAVING.
    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<String> {
        let GroupByExpr::Expressions(groups, _) = &select.group_by else { return ControlFlow::Continue(()) };
        let Some(columns) = self.columns(select) else { return ControlFlow::Continue(()) };
        let aliases: Vec<String> = select
            .projection
            .iter()
            .filter_map(|item| match item {
                SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
                _ => None,
            })
            .collect();
        let is_alias = |ident: &Ident| {
            let name = ident.value.to_lowercase();
            aliases.contains(&name) && !columns.contains(&name)
        };
        let mut named = groups.iter().filter_map(|group| match group {
            Expr::Identifier(ident) => Some(ident),
            _ => None,
        });
        let found = named.find(|ident| is_alias(ident)).cloned().or_else(|| {
            let having = visit_expressions(&select.having, |expr| match expr {
                Expr::Identifier(ident) if is_alias(ident) => ControlFlow::Break(ident.clone()),
                _ => ControlFlow::Continue(()),
            });
            having.break_value()
        });
        match found {
            Some(ident) => ControlFlow::Break(format!(
                "COLUMN_NOT_FOUND: {}Column '{}' cannot be resolved",
                place(Some(ident.span.start)),
                ident.value.to_lowercase()
            )),
            None => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<String> {
        let parts: Vec<&Ident> = relation.0.iter().filter_map(ObjectNamePart::as_ident).collect();
        let names: Vec<String> = parts.iter().map(|part| part.value.to_lowercase()).collect();
        let at = place(parts.first().map(|part| part.span.start));
        let (catalog, database, table) = match &*names {
            [table] if self.ours.contains(table) => return ControlFlow::Continue(()),
            [table] => (CATALOG, self.database, table),
            [database, table] => (CATALOG, database.as_str(), table),
            [catalog, database, table] => (catalog.as_str(), database.as_str(), table),
            _ => return ControlFlow::Break(format!("{at}Too many parts in the name of a table: {relation}")),
        };
        if catalog != CATALOG {
            return ControlFlow::Break(format!("CATALOG_NOT_FOUND: {at}Catalog '{catalog}' does not exist"));
        }
        if database == information::NAME {
            if information::TABLES.contains(&table.as_str()) {
                return ControlFlow::Continue(());
            }
            return ControlFlow::Break(format!(
                "TABLE_NOT_FOUND: {at}Table '{catalog}.{database}.{table}' does not exist: the offline Athena has {}",
                information::TABLES.join(", ")
            ));
        }
        self.catalogue.read(|shelf| match shelf.database(database) {
            Err(_) => ControlFlow::Break(format!("SCHEMA_NOT_FOUND: {at}Schema '{database}' does not exist")),
            Ok(found) if !found.tables.contains_key(table) => ControlFlow::Break(format!(
                "TABLE_NOT_FOUND: {at}Table '{catalog}.{database}.{table}' does not exist"
            )),
            Ok(_) => ControlFlow::Continue(()),
        })
    }
}
