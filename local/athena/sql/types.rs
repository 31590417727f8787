//! Types: comparisons that `DataFusion` would answer by a conversion to text, and that Trino refuses.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, plan_err};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, Operator};

use crate::athena::value::type_name;

/// Fails if a text is compared with a value of another type, such as a date.
pub(super) fn check(plan: &LogicalPlan) -> Result<()> {
    let visited = plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        node.apply_expressions(|expr| {
            expr.apply(|expr| check_expr(expr, &schema).map(|()| TreeNodeRecursion::Continue))
        })
    });
    visited.map(drop)
}

fn check_expr(expr: &Expr, schema: &DFSchema) -> Result<()> {
    match expr {
        Expr::BinaryExpr(it) if is_comparison(it.op) => {
            compare(&it.left, &it.op.to_string(), &it.right, schema)
        }
        Expr::Between(it) => {
            compare(&it.expr, "BETWEEN", &it.low, schema)?;
            compare(&it.expr, "BETWEEN", &it.high, schema)
        }
        Expr::InList(it) => it.list.iter().try_for_each(|item| compare(&it.expr, "IN", item, schema)),
        _ => Ok(()),
    }
}

fn compare(left: &Expr, operator: &str, right: &Expr, schema: &DFSchema) -> Result<()> {
    // A type that is not known yet is checked by DataFusion.
    let (Ok(left), Ok(right)) = (left.get_type(schema), right.get_type(schema)) else { return Ok(()) };
    let is_other = |kind: &DataType| {
        kind.is_numeric() || kind.is_temporal() || matches!(kind, DataType::Boolean | DataType::Interval(_))
    };
    if (left.is_string() && is_other(&right)) || (is_other(&left) && right.is_string()) {
        return plan_err!(
            "TYPE_MISMATCH: Cannot apply operator: {} {operator} {}",
            type_name(&left),
            type_name(&right)
        );
    }
    Ok(())
}

fn is_comparison(operator: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    matches!(operator, Eq | NotEq | Lt | LtEq | Gt | GtEq)
}
