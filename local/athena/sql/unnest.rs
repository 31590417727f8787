//! Unnesting: `FROM t CROSS JOIN UNNEST(t.list) AS u(item)`, which `DataFusion` knows in a SELECT only.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, JoinConstraint, JoinOperator, Select, SetExpr, Statement, TableFactor, TableWithJoins,
    VisitMut, VisitorMut, visit_expressions_mut,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use crate::athena::functions::ORDINALS;

/// Turns each such join into a table of its own, which holds the columns of both.
pub(super) fn inline(ast: &mut Statement) -> Result<(), String> {
    match ast.visit(&mut Inline) {
        ControlFlow::Break(message) => Err(format!("NOT_SUPPORTED: the offline Athena {message}")),
        ControlFlow::Continue(()) => Ok(()),
    }
}

struct Inline;

impl VisitorMut for Inline {
    type Break = String;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<String> {
        let is_unnest = |factor: &TableFactor| matches!(factor, TableFactor::UNNEST { .. });
        let n_unnests = select
            .from
            .iter()
            .flat_map(|from| [&from.relation].into_iter().chain(from.joins.iter().map(|join| &join.relation)))
            .filter(|factor| is_unnest(factor))
            .count();
        if n_unnests == 0 {
            return ControlFlow::Continue(());
        }
        match whole(&select.from) {
            Err(message) => return ControlFlow::Break(message),
            Ok((table, gone)) => {
                select.from = vec![TableWithJoins { relation: table, joins: Vec::new() }];
                // The columns of both are in one table now: what stood before their names is gone.
                bare(select, &gone);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Takes the names of tables away from before those of columns.
fn bare(within: &mut impl VisitMut, gone: &[String]) {
    let _ = visit_expressions_mut(within, |expr| {
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
}

/// The table that stands for all that is read from, and the names that were in it.
fn whole(from: &[TableWithJoins]) -> Result<(TableFactor, Vec<String>), String> {
    let (first, others) = from.split_first().ok_or("reads from nothing here")?;
    let mut factors = Vec::new();
    for from in std::iter::once(first).chain(others) {
        factors.push(&from.relation);
        for join in &from.joins {
            if !matches!(join.join_operator, JoinOperator::CrossJoin(JoinConstraint::None)) {
                return Err("unnests with CROSS JOIN UNNEST(…) beside one table only: put other joins into a subquery, \
                            and write no LEFT JOIN UNNEST"
                    .into());
            }
            factors.push(&join.relation);
        }
    }
    let (table, unnests) = factors.split_first().ok_or("reads from nothing here")?;
    let (mut whole, mut gone) = match table {
        TableFactor::UNNEST { .. } => (one(None, table, &[])?, Vec::new()),
        other => ((*other).clone(), vec![name(other)]),
    };
    gone.extend(alias(table).into_iter().map(|(name, _)| name));
    for unnest in unnests {
        if !matches!(unnest, TableFactor::UNNEST { .. }) {
            return Err("unnests beside one table only: put the join of the others into a subquery".into());
        }
        whole = one(Some(&whole), unnest, &gone)?;
        gone.extend(alias(unnest).into_iter().map(|(name, _)| name));
    }
    Ok((whole, gone))
}

/// What a table is called in the query.
fn name(factor: &TableFactor) -> String {
    match factor {
        TableFactor::Table { alias: Some(alias), .. } | TableFactor::Derived { alias: Some(alias), .. } => {
            alias.name.value.clone()
        }
        TableFactor::Table { name, .. } => {
            name.0.last().and_then(|it| it.as_ident()).map(|it| it.value.clone()).unwrap_or_default()
        }
        _ => "from$".into(),
    }
}

/// What an UNNEST is called, and its columns.
fn alias(factor: &TableFactor) -> Option<(String, Vec<String>)> {
    let TableFactor::UNNEST { alias: Some(alias), .. } = factor else { return None };
    Some((alias.name.value.clone(), alias.columns.iter().map(|column| column.name.value.clone()).collect()))
}

/// A table with the items of the lists beside its columns.
fn one(table: Option<&TableFactor>, unnest: &TableFactor, gone: &[String]) -> Result<TableFactor, String> {
    let TableFactor::UNNEST { array_exprs, with_ordinality, .. } = unnest else {
        return Err("unnests UNNEST(…) only".into());
    };
    let columns = alias(unnest).map(|(_, columns)| columns).unwrap_or_default();
    let n_columns = array_exprs.len() + usize::from(*with_ordinality);
    if columns.len() != n_columns {
        return Err(format!(
            "wants a name for each column of an UNNEST, as in UNNEST(…) AS u(item): here are {n_columns}, and named are \
             {} (an array of rows is not unnested into its fields)",
            columns.len()
        ));
    }
    let mut lists = array_exprs.clone();
    for list in &mut lists {
        bare(list, gone);
    }
    let mut items: Vec<String> = lists.iter().map(|list| format!("unnest({list})")).collect();
    if *with_ordinality {
        let lengths: Vec<String> =
            lists.iter().map(|list| format!("coalesce(cardinality({list}), 0)")).collect();
        items.push(format!("unnest(\"{ORDINALS}\"(greatest({})))", lengths.join(", ")));
    }
    let named = items
        .iter()
        .zip(&columns)
        .map(|(item, column)| format!("{item} AS {}", Ident::with_quote('"', column)))
        .collect::<Vec<_>>()
        .join(", ");
    let called = Ident::with_quote('"', table.map_or_else(|| "from$".to_owned(), name));
    let text = match table {
        Some(table) => format!("SELECT * FROM (SELECT *, {named} FROM {table}) AS {called}"),
        None => format!("SELECT * FROM (SELECT {named}) AS {called}"),
    };
    let wrong = |error: String| format!("cannot unnest this: {error}");
    let mut statements =
        Parser::parse_sql(&GenericDialect {}, &text).map_err(|error| wrong(error.to_string()))?;
    if let Some(Statement::Query(query)) = statements.pop()
        && let SetExpr::Select(select) = *query.body
        && let Some(from) = select.from.into_iter().next()
    {
        return Ok(from.relation);
    }
    Err(wrong(text))
}
