//! Strict: what `DataFusion` works out in a way of its own, and so is refused, and conditions that are none.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::WindowFunctionDefinition;
use datafusion::logical_expr::{Expr, Operator};

use super::arrays;
use crate::athena::functions::{TO_TEXT, TRY};
use crate::athena::value::type_name;

const DAY_NANOSECONDS: i64 = 86_400_000_000_000;

/// What is refused about one step of an expression, whatever its sides have to do with each other.
pub(super) fn mismatch(expr: &Expr, kind: impl Fn(&Expr) -> Option<DataType>) -> Option<String> {
    let no_condition = |expr: &Expr, what: &str| {
        let found = kind(expr)?;
        (found != DataType::Boolean && !found.is_null()).then(|| {
            format!("TYPE_MISMATCH: {what} must evaluate to a boolean (actual: {})", type_name(&found))
        })
    };
    match expr {
        Expr::BinaryExpr(binary) => {
            let sides = [&*binary.left, &*binary.right];
            match binary.op {
                Operator::Divide => {
                    let (left, right) = (kind(sides[0])?, kind(sides[1])?);
                    let is_exact = !left.is_floating() && !right.is_floating();
                    (is_exact && (left.is_decimal() || right.is_decimal())).then(|| decimals("division"))
                }
                Operator::Minus if sides.iter().all(|it| kind(it).is_some_and(|it| is_when(&it))) => {
                    let (left, right) = (kind(sides[0])?, kind(sides[1])?);
                    Some(format!(
                        "NOT_SUPPORTED: the offline Athena has no intervals as values, which {} - {} would be: write \
                         date_diff('second', b, a) for a - b",
                        type_name(&left),
                        type_name(&right)
                    ))
                }
                Operator::Plus | Operator::Minus => {
                    let is_date = sides.iter().any(|it| kind(it) == Some(DataType::Date32));
                    (is_date && sides.into_iter().any(has_hours)).then(|| {
                        "INVALID_FUNCTION_ARGUMENT: Cannot add hour, minutes or seconds to a date: write \
                         CAST(x AS timestamp)"
                            .into()
                    })
                }
                _ => None,
            }
        }
        Expr::Case(case) if case.expr.is_none() => {
            case.when_then_expr.iter().find_map(|(when, _)| no_condition(when, "CASE WHEN clause"))
        }
        Expr::AggregateFunction(aggregate) => {
            let filter = aggregate.params.filter.as_deref();
            filter
                .and_then(|it| no_condition(it, "FILTER expression"))
                .or_else(|| average(aggregate.func.name(), aggregate.params.args.first().and_then(&kind)))
        }
        Expr::WindowFunction(window) => match &window.fun {
            WindowFunctionDefinition::AggregateUDF(function) => {
                average(function.name(), window.params.args.first().and_then(&kind))
            }
            WindowFunctionDefinition::WindowUDF(_) => None,
        },
        Expr::ScalarFunction(function) if function.name().trim_start_matches(TRY) == TO_TEXT => {
            no_span(&kind(function.args.first()?)?)
        }
        _ => None,
    }
}

/// Spans of time are added to days and times, and are no values by themselves here.
pub(super) fn no_span(kind: &DataType) -> Option<String> {
    let kind = arrays::item(kind).unwrap_or(kind);
    matches!(kind, DataType::Interval(_) | DataType::Duration(_)).then(|| {
        "NOT_SUPPORTED: the offline Athena has no intervals as values: write date_diff(unit, a, b)".into()
    })
}

fn is_when(kind: &DataType) -> bool {
    matches!(kind, DataType::Date32 | DataType::Timestamp(..))
}

fn has_hours(expr: &Expr) -> bool {
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(span)), _) = expr else { return false };
    span.nanoseconds % DAY_NANOSECONDS != 0
}

fn average(name: &str, kind: Option<DataType>) -> Option<String> {
    (name == "avg" && kind?.is_decimal()).then(|| decimals("avg"))
}

fn decimals(what: &str) -> String {
    format!(
        "NOT_SUPPORTED: the offline Athena has no {what} of decimals, whose places would not be those of Athena: write \
         CAST(x AS double)"
    )
}
