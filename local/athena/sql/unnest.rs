//! Unnesting: `FROM t CROSS JOIN UNNEST(t.list) AS u(item)`, which `DataFusion` knows in a SELECT only.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinOperator, Select, SetExpr, Statement, TableFactor, TableWithJoins, VisitMut as _,
    VisitorMut, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// Turns each such join into a table of its own, which holds the columns of both.
pub(super) fn inline(ast: &mut Statement) {
    let _ = ast.visit(&mut Inline);
}

struct Inline;

impl VisitorMut for Inline {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let [from] = &mut *select.from else { return ControlFlow::Continue(()) };
        let Some((table, gone)) = derived(from) else { return ControlFlow::Continue(()) };
        *from = TableWithJoins { relation: table, joins: Vec::new() };
        // The columns of both are in one table now: what stood before their names is gone.
        let _ = visit_expressions_mut(select, |expr| {
            if let Expr::CompoundIdentifier(parts) = expr
                && parts.first().is_some_and(|first| gone.contains(&first.value))
            {
                parts.remove(0);
                if let [only] = &**parts {
                    *expr = Expr::Identifier(only.clone());
                }
            }
            ControlFlow::<()>::Continue(())
        });
        ControlFlow::Continue(())
    }
}

/// The table that stands for a join, and the names of the two that it joins.
fn derived(from: &TableWithJoins) -> Option<(TableFactor, Vec<String>)> {
    let [join] = &*from.joins else { return None };
    if !matches!(join.join_operator, JoinOperator::CrossJoin(_)) {
        return None;
    }
    let TableFactor::UNNEST { alias: Some(alias), array_exprs, with_ordinality: false, .. } = &join.relation
    else {
        return None;
    };
    let outer = match &from.relation {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            alias.name.value.clone()
        }
        TableFactor::Table { name, .. } => name.0.last()?.as_ident()?.value.clone(),
        _ => return None,
    };
    let items: Vec<String> = array_exprs
        .iter()
        .zip(&alias.columns)
        .map(|(list, column)| format!("unnest({list}) AS {}", Ident::with_quote('"', &column.name.value)))
        .collect();
    if items.len() != array_exprs.len() {
        return None;
    }
    let text =
        format!("SELECT * FROM (SELECT *, {} FROM {}) AS \"{outer}\"", items.join(", "), from.relation);
    let Statement::Query(query) = Parser::parse_sql(&GenericDialect {}, &text).ok()?.pop()? else {
        return None;
    };
    let SetExpr::Select(select) = *query.body else { return None };
    let table = select.from.into_iter().next()?.relation;
    Some((table, vec![outer, alias.name.value.clone()]))
}
