//! Names: matched without case even in quotes, and generated for columns that have none.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, Ident, ObjectName, ObjectNamePart, Query, Select, SelectItem, Statement,
    TableAlias, TableFactor, Value, VisitMut as _, VisitorMut,
};

use super::PATH;

/// Lowers the case of all names, names the columns of results, and hides `"$path"` from `*`.
pub(super) fn prepare(ast: &mut Statement, has_path: bool) {
    let _ = ast.visit(&mut Prepare { has_path });
}

struct Prepare {
    has_path: bool,
}

fn lower(ident: &mut Ident) {
    ident.value = ident.value.to_lowercase();
}

fn lower_alias(alias: &mut TableAlias) {
    lower(&mut alias.name);
    alias.columns.iter_mut().for_each(|column| lower(&mut column.name));
}

impl VisitorMut for Prepare {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        for table in query.with.iter_mut().flat_map(|with| &mut with.cte_tables) {
            lower_alias(&mut table.alias);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        for part in &mut relation.0 {
            if let ObjectNamePart::Identifier(it) = part {
                lower(it);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { alias: Some(it), .. }
        | TableFactor::Derived { alias: Some(it), .. }
        | TableFactor::UNNEST { alias: Some(it), .. }
        | TableFactor::NestedJoin { alias: Some(it), .. } = factor
        {
            lower_alias(it);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let is_table = |factor: &TableFactor| matches!(factor, TableFactor::Table { .. });
        let hides = self.has_path && select.from.iter().any(|it| is_table(&it.relation));
        let mut is_numbered = true;
        for (at, item) in select.projection.iter_mut().enumerate() {
            match item {
                SelectItem::ExprWithAlias { alias, .. } => lower(alias),
                SelectItem::UnnamedExpr(Expr::Identifier(_) | Expr::CompoundIdentifier(_)) => {}
                SelectItem::UnnamedExpr(expr) if is_numbered => {
                    let expr = std::mem::replace(expr, Expr::value(Value::Null));
                    let alias = Ident::with_quote('"', format!("_col{at}"));
                    *item = SelectItem::ExprWithAlias { expr, alias };
                }
                SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) => {
                    // The number of a column after a wildcard is not known here.
                    is_numbered = false;
                    if hides {
                        let path = ObjectName::from(vec![Ident::with_quote('"', PATH)]);
                        options.opt_exclude = Some(ExcludeSelectItem::Single(path));
                    }
                }
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(it) => lower(it),
            Expr::CompoundIdentifier(parts) => parts.iter_mut().for_each(lower),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
