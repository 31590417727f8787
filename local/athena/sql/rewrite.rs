//! Rewriting: calls of Trino's functions as expressions of `DataFusion`.

use std::ops::ControlFlow;

use datafusion::common::{Result, plan_err};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    ObjectName, Statement, Value, visit_expressions_mut,
};

use super::expression;
use crate::athena::functions::{TRY, is_ours};

/// A function of Trino, its number of arguments, and the expression that computes the same.
const REWRITTEN: &[(&str, usize, &str)] = &[
    ("any_value", 1, "first_value($1) FILTER (WHERE $1 IS NOT NULL)"),
    ("approx_percentile", 2, "approx_percentile_cont($2) WITHIN GROUP (ORDER BY $1)"),
    ("arbitrary", 1, "first_value($1) FILTER (WHERE $1 IS NOT NULL)"),
    ("array_join", 2, "array_to_string($1, $2)"),
    ("contains", 2, "array_has($1, $2)"),
    ("count_if", 1, "count(*) FILTER (WHERE $1)"),
    ("date", 1, "CAST($1 AS date)"),
    ("day", 1, "CAST(date_part('day', $1) AS bigint)"),
    ("day_of_week", 1, "CAST(date_part('isodow', $1) AS bigint)"),
    ("day_of_year", 1, "CAST(date_part('doy', $1) AS bigint)"),
    ("element_at", 2, "array_element($1, $2)"),
    ("from_iso8601_date", 1, "CAST($1 AS date)"),
    ("from_iso8601_timestamp", 1, "CAST($1 AS timestamp)"),
    ("from_unixtime", 1, "to_timestamp_millis(CAST($1 * 1000 AS bigint))"),
    ("hour", 1, "CAST(date_part('hour', $1) AS bigint)"),
    ("if", 2, "(CASE WHEN $1 THEN $2 END)"),
    ("if", 3, "(CASE WHEN $1 THEN $2 ELSE $3 END)"),
    ("infinity", 0, "CAST('Infinity' AS double)"),
    ("is_finite", 1, "(abs(CAST($1 AS double)) < CAST('Infinity' AS double))"),
    ("is_infinite", 1, "(abs(CAST($1 AS double)) = CAST('Infinity' AS double))"),
    ("is_nan", 1, "isnan(CAST($1 AS double))"),
    ("json_parse", 1, "$1"),
    ("localtimestamp", 0, "now()"),
    ("max_by", 2, "first_value($1 ORDER BY $2 DESC NULLS LAST) FILTER (WHERE $2 IS NOT NULL)"),
    ("min_by", 2, "first_value($1 ORDER BY $2 ASC NULLS LAST) FILTER (WHERE $2 IS NOT NULL)"),
    ("minute", 1, "CAST(date_part('minute', $1) AS bigint)"),
    ("mod", 2, "($1 % $2)"),
    ("month", 1, "CAST(date_part('month', $1) AS bigint)"),
    ("nan", 0, "CAST('NaN' AS double)"),
    ("quarter", 1, "CAST(date_part('quarter', $1) AS bigint)"),
    // The whole match becomes the first group.
    ("regexp_extract", 2, "array_element(regexp_match($1, concat('(', $2, ')')), 1)"),
    ("regexp_extract", 3, "array_element(regexp_match($1, concat('(', $2, ')')), $3 + 1)"),
    ("regexp_replace", 2, "regexp_replace($1, $2, '', 'g')"),
    ("regexp_replace", 3, "regexp_replace($1, $2, $3, 'g')"),
    ("second", 1, "CAST(date_part('second', $1) AS bigint)"),
    ("sequence", 2, "generate_series($1, $2)"),
    ("sequence", 3, "generate_series($1, $2, $3)"),
    ("split", 2, "string_to_array($1, $2)"),
    // A negative start counts from the end.
    ("substr", 2, "(CASE WHEN $2 < 0 THEN right($1, -($2)) ELSE substr($1, $2) END)"),
    ("substr", 3, "(CASE WHEN $2 < 0 THEN left(right($1, -($2)), $3) ELSE substr($1, $2, $3) END)"),
    ("to_unixtime", 1, "(CAST(CAST($1 AS timestamp(3)) AS bigint) / 1000e0)"),
    ("variance", 1, "var_samp($1)"),
    ("week", 1, "CAST(date_part('week', $1) AS bigint)"),
    ("year", 1, "CAST(date_part('year', $1) AS bigint)"),
];

pub(super) fn functions(ast: &mut Statement) -> Result<()> {
    let visited = visit_expressions_mut(ast, |expr| {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        match rewrite(function) {
            Ok(Some(rewritten)) => *expr = rewritten,
            Ok(None) => {}
            Err(error) => return ControlFlow::Break(error),
        }
        ControlFlow::Continue(())
    });
    visited.break_value().map_or(Ok(()), Err)
}

fn rewrite(function: &Function) -> Result<Option<Expr>> {
    let name = function.name.to_string().to_lowercase();
    let args = args(function);
    if name == "try"
        && let [arg] = &*args
    {
        return Ok(Some(lenient(arg.clone())));
    }
    let template = REWRITTEN.iter().find(|(known, n_args, _)| *known == name && *n_args == args.len());
    // DataFusion would find its own function in the template again: the name is the same, the arguments are not.
    let Some((_, _, template)) = template else { return Ok(None) };
    let mut rewritten = expression(template)?;
    let _ = visit_expressions_mut(&mut rewritten, |expr| {
        if let Expr::Value(value) = expr
            && let Value::Placeholder(place) = &value.value
            && let Some(arg) = place[1..].parse::<usize>().ok().and_then(|at| args.get(at - 1))
        {
            *expr = Expr::Nested(Box::new(arg.clone()));
        }
        ControlFlow::<()>::Continue(())
    });
    match &mut rewritten {
        Expr::Function(new) => {
            new.over.clone_from(&function.over);
            new.filter = match (new.filter.take(), function.filter.clone()) {
                (Some(new), Some(old)) => Some(Box::new(Expr::BinaryOp {
                    left: Box::new(Expr::Nested(new)),
                    op: BinaryOperator::And,
                    right: Box::new(Expr::Nested(old)),
                })),
                (new, old) => new.or(old),
            };
        }
        _ if function.over.is_some() || function.filter.is_some() => {
            return plan_err!("{name} is not an aggregate function");
        }
        _ => {}
    }
    Ok(Some(rewritten))
}

fn args(function: &Function) -> Vec<Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let args = list.args.iter().filter_map(|arg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    });
    args.collect()
}

/// The expression with NULL for what would fail: casts, divisions by zero, and the functions of `functions`.
fn lenient(mut expr: Expr) -> Expr {
    let _ = visit_expressions_mut(&mut expr, |expr| {
        match expr {
            Expr::Cast { kind, .. } => *kind = CastKind::TryCast,
            Expr::Function(function) => {
                let name = function.name.to_string().to_lowercase();
                if is_ours(&name) {
                    function.name = ObjectName::from(vec![Ident::with_quote('"', format!("{TRY}{name}"))]);
                }
            }
            Expr::BinaryOp { op: BinaryOperator::Divide | BinaryOperator::Modulo, right, .. } => {
                if let Ok(safe) = expression(&format!("nullif({right}, 0)")) {
                    **right = safe;
                }
            }
            _ => {}
        }
        ControlFlow::<()>::Continue(())
    });
    expr
}
