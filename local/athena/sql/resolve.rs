//! Resolving: every table that a query names has to be in the catalogue.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, ObjectNamePart, Query, Statement, Visit as _, Visitor,
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

impl Visitor for Search<'_> {
    type Break = String;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<String> {
        for table in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.ours.insert(table.alias.name.value.to_lowercase());
        }
        ControlFlow::Continue(())
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
