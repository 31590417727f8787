//! Unnesting: `FROM t CROSS JOIN UNNEST(t.list) AS u(item)`, which `DataFusion` supports only in a SELECT.

use std::ops::ControlFlow;

use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, Select, SetExpr, Statement, TableFactor, VisitMut,
    VisitorMut, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

/// Replaces each such join by a subquery with the columns of both sides.
pub(super) fn inline(ast: &mut Statement) -> Result<()> {
    ast.visit(&mut Inline).break_value().map_or(Ok(()), Err)
}

struct Inline;

impl VisitorMut for Inline {
    type Break = DataFusionError;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<DataFusionError> {
        let mut names = Vec::new();
        for from in &mut select.from {
            let is_unnest = |join: &Join| matches!(join.relation, TableFactor::UNNEST { .. });
            if !from.joins.iter().any(is_unnest) {
                continue;
            }
            for join in std::mem::take(&mut from.joins) {
                names.extend(name(&from.relation));
                match unnest(&from.relation, &join, &names) {
                    Ok(table) => from.relation = table,
                    Err(error) => return ControlFlow::Break(error),
                }
                names.extend(name(&join.relation));
            }
        }
        unqualify(select, &names);
        ControlFlow::Continue(())
    }
}

/// Removes the names of tables that are now inside one subquery.
fn unqualify(within: &mut impl VisitMut, tables: &[String]) {
    let _ = visit_expressions_mut(within, |expr| {
        if let Expr::CompoundIdentifier(parts) = expr
            && parts.first().is_some_and(|first| tables.contains(&first.value))
        {
            parts.remove(0);
            if let [only] = &**parts {
                *expr = Expr::Identifier(only.clone());
            }
        }
        ControlFlow::<()>::Continue(())
    });
}

/// The name of a table in the query.
fn name(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { alias: Some(alias), .. }
        | TableFactor::Derived { alias: Some(alias), .. }
        | TableFactor::UNNEST { alias: Some(alias), .. } => Some(alias.name.value.clone()),
        TableFactor::Table { name, .. } => Some(name.0.last()?.as_ident()?.value.clone()),
        _ => None,
    }
}

/// A table with the items of the lists as further columns.
fn unnest(table: &TableFactor, join: &Join, names: &[String]) -> Result<TableFactor> {
    let (
        JoinOperator::CrossJoin(JoinConstraint::None),
        TableFactor::UNNEST { alias: Some(alias), array_exprs, with_ordinality: false, .. },
    ) = (&join.join_operator, &join.relation)
    else {
        return plan_err!(
            "NOT_SUPPORTED: put other joins than CROSS JOIN UNNEST(…) AS u(item) into a subquery"
        );
    };
    if alias.columns.len() != array_exprs.len() {
        return plan_err!("an UNNEST needs a name for each of its columns, as in UNNEST(…) AS u(item)");
    }
    let items = array_exprs.iter().zip(&alias.columns).map(|(list, column)| {
        let mut list = list.clone();
        unqualify(&mut list, names);
        format!("unnest({list}) AS {}", Ident::with_quote('"', &column.name.value))
    });
    let items = items.collect::<Vec<_>>().join(", ");
    let called = Ident::with_quote('"', name(table).unwrap_or_else(|| "unnested".into()));
    let text = format!("SELECT * FROM (SELECT *, {items} FROM {table}) AS {called}");
    if let Ok(mut statements) = Parser::parse_sql(&GenericDialect {}, &text)
        && let Some(Statement::Query(query)) = statements.pop()
        && let SetExpr::Select(select) = *query.body
        && let Some(from) = select.from.into_iter().next()
    {
        return Ok(from.relation);
    }
    plan_err!("this UNNEST cannot be planned: {}", join.relation)
}
