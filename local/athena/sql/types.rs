//! Types: what `DataFusion` would turn into one another and Trino refuses to compare.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::WindowFunctionDefinition;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, Operator};
use datafusion::sql::sqlparser::ast::Statement;

use super::locate::{self, Source, place};
use super::{arrays, relations, strict};
use crate::athena::value::type_name;

pub(super) fn check(plan: &LogicalPlan, ast: &Statement, source: &Source) -> Result<(), String> {
    let mut found = None;
    let visited = plan.apply_with_subqueries(|node| {
        found = relations::mismatch(node);
        if found.is_some() {
            return Ok(TreeNodeRecursion::Stop);
        }
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found = mismatch(expr, &schema, ast, source);
                Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    });
    match found {
        Some(message) => Err(message),
        None => visited.map(drop).map_err(|error| error.to_string()),
    }
}

/// What of several values that become one is unlike the first.
fn unlike(values: &[&Expr], schema: &DFSchema) -> Option<(String, String)> {
    let kinds: Vec<(&Expr, DataType)> =
        values.iter().filter_map(|value| Some((*value, value.get_type(schema).ok()?))).collect();
    let (first, kind) = kinds.iter().find(|(_, kind)| !kind.is_null())?;
    let (other, wrong) = kinds.iter().find(|(_, other)| !are_comparable(kind, other))?;
    Some((shown(first, kind), shown(other, wrong)))
}

fn mismatch(expr: &Expr, schema: &DFSchema, ast: &Statement, source: &Source) -> Option<String> {
    let kind = |expr: &Expr| expr.get_type(schema).ok();
    let names = |expr: &Expr| -> Vec<String> {
        expr.column_refs().iter().map(|it| it.name.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    };
    let at = |operator: &str, left: &Expr, right: &Expr| {
        place(locate::operator(ast, source, operator, &names(left), &names(right)))
    };
    if let Some(refused) = strict::mismatch(expr, kind) {
        return Some(refused);
    }
    match expr {
        Expr::BinaryExpr(binary) => {
            let (left, right) = (kind(&binary.left)?, kind(&binary.right)?);
            let fits = match binary.op {
                Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom => are_comparable(&left, &right),
                Operator::Plus
                | Operator::Minus
                | Operator::Multiply
                | Operator::Divide
                | Operator::Modulo => are_countable(&left, &right),
                Operator::StringConcat => {
                    family(&left) == family(&right) || left.is_null() || right.is_null()
                }
                _ => true,
            };
            if fits {
                return None;
            }
            let operator = binary.op.to_string();
            let place = at(&operator, &binary.left, &binary.right);
            let (left, right) = (shown(&binary.left, &left), shown(&binary.right, &right));
            Some(match binary.op {
                Operator::StringConcat => {
                    format!(
                        "FUNCTION_NOT_FOUND: {place}Unexpected parameters ({left}, {right}) for function concat"
                    )
                }
                _ => format!("TYPE_MISMATCH: {place}Cannot apply operator: {left} {operator} {right}"),
            })
        }
        Expr::Between(between) => {
            let (value, low, high) = (kind(&between.expr)?, kind(&between.low)?, kind(&between.high)?);
            if are_comparable(&value, &low) && are_comparable(&value, &high) {
                return None;
            }
            let place = at("BETWEEN", &between.expr, &between.low);
            Some(format!(
                "TYPE_MISMATCH: {place}Cannot check if {} is BETWEEN {} and {}",
                shown(&between.expr, &value),
                shown(&between.low, &low),
                shown(&between.high, &high)
            ))
        }
        Expr::InList(list) => {
            let value = kind(&list.expr)?;
            let (other, wrong) = list.list.iter().find_map(|it| {
                let other = kind(it)?;
                (!are_comparable(&value, &other)).then_some((it, other))
            })?;
            let place = at("IN", &list.expr, other);
            Some(format!(
                "TYPE_MISMATCH: {place}IN value and list items must be the same type or coercible to a common type. \
                 Cannot find common type between {} and {}",
                shown(&list.expr, &value),
                shown(other, &wrong)
            ))
        }
        Expr::InSubquery(subquery) => {
            let value = kind(&subquery.expr)?;
            let result = subquery.subquery.subquery.schema().fields().first()?.data_type().clone();
            (!are_comparable(&value, &result)).then(|| {
                let place = at("IN", &subquery.expr, &subquery.expr);
                format!(
                    "TYPE_MISMATCH: {place}value and result of subquery must be of the same type for IN expression: {} \
                     vs {}",
                    shown(&subquery.expr, &value),
                    type_name(&result)
                )
            })
        }
        Expr::Like(like) => {
            let value = kind(&like.expr)?;
            (family(&value) != Family::Text && !value.is_null()).then(|| {
                let place = at("LIKE", &like.expr, &like.pattern);
                format!(
                    "TYPE_MISMATCH: {place}Left side of LIKE expression must evaluate to a varchar (actual: {})",
                    type_name(&value)
                )
            })
        }
        Expr::Case(case) => {
            if let Some(operand) = &case.expr {
                let value = kind(operand)?;
                let whens = case.when_then_expr.iter().map(|(when, _)| when);
                let wrong = whens.filter_map(|when| Some((when, kind(when)?)));
                let wrong = wrong.into_iter().find(|(_, other)| !are_comparable(&value, other));
                if let Some((when, other)) = wrong {
                    return Some(format!(
                        "TYPE_MISMATCH: CASE operand type does not match WHEN clause operand type: {} vs {}",
                        shown(operand, &value),
                        shown(when, &other)
                    ));
                }
            }
            let values: Vec<&Expr> = case
                .when_then_expr
                .iter()
                .map(|(_, then)| &**then)
                .chain(case.else_expr.as_deref())
                .collect();
            unlike(&values, schema).map(|(one, other)| {
                format!(
                    "TYPE_MISMATCH: All CASE results must be the same type or coercible to a common type. Cannot find \
                     common type between {one} and {other}"
                )
            })
        }
        Expr::ScalarFunction(function)
            if matches!(function.name(), "coalesce" | "nullif" | "greatest" | "least") =>
        {
            let values: Vec<&Expr> = function.args.iter().collect();
            unlike(&values, schema).map(|(one, other)| {
                let place = place(locate::function(ast, function.name()));
                format!(
                    "TYPE_MISMATCH: {place}All {} operands must be the same type or coercible to a common type. Cannot \
                     find common type between {one} and {other}",
                    function.name().to_uppercase()
                )
            })
        }
        Expr::Cast(cast) => no_cast(&kind(&cast.expr)?, cast.field.data_type()),
        Expr::TryCast(cast) => no_cast(&kind(&cast.expr)?, cast.field.data_type()),
        Expr::ScalarFunction(function) => arrays::mismatch(function, schema),
        Expr::AggregateFunction(function) => {
            let value = kind(function.params.args.first()?)?;
            not_a_number(function.func.name(), &value, ast)
        }
        Expr::WindowFunction(window) => {
            let value = kind(window.params.args.first()?)?;
            match &window.fun {
                WindowFunctionDefinition::AggregateUDF(function) => {
                    not_a_number(function.name(), &value, ast)
                }
                WindowFunctionDefinition::WindowUDF(function) => {
                    let default = kind(window.params.args.get(2)?)?;
                    let name = function.name();
                    (!are_comparable(&value, &default)).then(|| {
                        format!(
                            "FUNCTION_NOT_FOUND: {}Unexpected parameters ({}, bigint, {}) for function {name}. Expected: \
                             {name}(t, bigint, t) T",
                            place(locate::function(ast, name)),
                            type_name(&value),
                            type_name(&default)
                        )
                    })
                }
            }
        }
        _ => None,
    }
}

/// Between days and numbers there is no way, and texts in arrays would be written as `DataFusion` writes them.
fn no_cast(from: &DataType, to: &DataType) -> Option<String> {
    use Family::{Number, Text, Truth, When};
    let (left, right) = (family(from), family(to));
    let is_never = matches!((left, right), (When, Number | Truth) | (Number | Truth, When));
    let is_list = arrays::item(from)
        .zip(arrays::item(to))
        .is_some_and(|(from, to)| family(to) == Text && !matches!(family(from), Text) && !from.is_integer());
    (is_never || is_list).then(|| {
        let code = if is_never { "TYPE_MISMATCH: " } else { "NOT_SUPPORTED: the offline Athena: " };
        format!("{code}Cannot cast {} to {}", type_name(from), type_name(to))
    })
}

/// What is said of an aggregate of numbers that is given something else.
fn not_a_number(name: &str, value: &DataType, ast: &Statement) -> Option<String> {
    let numbers = ["sum", "avg", "var", "var_pop", "stddev", "stddev_pop", "approx_percentile_cont"];
    let is_wrong = numbers.contains(&name) && !matches!(family(value), Family::Number) && !value.is_null();
    is_wrong.then(|| {
        let place = place(locate::function(ast, name));
        let given = type_name(value);
        format!(
            "FUNCTION_NOT_FOUND: {place}Unexpected parameters ({given}) for function {name}. Expected: \
             {name}(double), {name}(bigint), {name}(decimal(p,s))"
        )
    })
}

/// Literals have types of their own in Trino.
pub(super) fn shown(expr: &Expr, kind: &DataType) -> String {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => format!("varchar({})", text.chars().count()),
        Expr::Literal(ScalarValue::Int64(Some(n)), _) if i32::try_from(*n).is_ok() => "integer".into(),
        _ => type_name(kind),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Number,
    Text,
    Truth,
    When,
    Span,
    Other,
}

fn family(kind: &DataType) -> Family {
    match kind {
        _ if kind.is_numeric() => Family::Number,
        _ if kind.is_string() => Family::Text,
        DataType::Boolean => Family::Truth,
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => Family::When,
        DataType::Interval(_) | DataType::Duration(_) => Family::Span,
        _ => Family::Other,
    }
}

pub(super) fn are_comparable(left: &DataType, right: &DataType) -> bool {
    match (arrays::item(left), arrays::item(right)) {
        (Some(left), Some(right)) => are_comparable(left, right),
        (None, None) => left.is_null() || right.is_null() || family(left) == family(right),
        _ => left.is_null() || right.is_null(),
    }
}

fn are_countable(left: &DataType, right: &DataType) -> bool {
    use Family::{Number, Span, When};
    left.is_null()
        || right.is_null()
        || matches!(
            (family(left), family(right)),
            (Number, Number | Span) | (When | Span, Span) | (Span, When | Number)
        )
}
