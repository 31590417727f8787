//! Relations: the types of what joins, set operations and subqueries put side by side.

use datafusion::arrow::datatypes::DataType;
use datafusion::logical_expr::{ExprSchemable as _, Join, JoinType, LogicalPlan, Union, Unnest};

use super::types::are_comparable;
use crate::athena::value::type_name;

/// What Trino refuses about one step of a plan, if anything.
pub(super) fn mismatch(node: &LogicalPlan) -> Option<String> {
    match node {
        LogicalPlan::Union(union) => of_union(union),
        LogicalPlan::Join(join) => of_join(join),
        LogicalPlan::Unnest(unnest) => of_unnest(unnest),
        _ => None,
    }
}

fn incompatible(at: usize, operation: &str, left: &DataType, right: &DataType) -> String {
    format!(
        "TYPE_MISMATCH: column {} in {operation} query has incompatible types: {}, {}",
        at + 1,
        type_name(left),
        type_name(right)
    )
}

fn of_union(union: &Union) -> Option<String> {
    let (first, others) = union.inputs.split_first()?;
    others.iter().find_map(|other| {
        let mut columns = first.schema().fields().iter().zip(other.schema().fields()).enumerate();
        columns.find_map(|(at, (left, right))| {
            let (left, right) = (left.data_type(), right.data_type());
            (!are_comparable(left, right)).then(|| incompatible(at, "UNION", left, right))
        })
    })
}

/// The pairs of a join come from USING, or from a set operation, which is a join that keeps one side.
fn of_join(join: &Join) -> Option<String> {
    join.on.iter().enumerate().find_map(|(at, (left, right))| {
        let left = left.get_type(join.left.schema()).ok()?;
        let right = right.get_type(join.right.schema()).ok()?;
        (!are_comparable(&left, &right)).then(|| match join.join_type {
            JoinType::LeftSemi => incompatible(at, "INTERSECT", &left, &right),
            JoinType::LeftAnti => incompatible(at, "EXCEPT", &left, &right),
            _ => format!(
                "TYPE_MISMATCH: Cannot apply operator: {} = {} (a column of USING)",
                type_name(&left),
                type_name(&right)
            ),
        })
    })
}

/// Trino makes a column of every field of a row; here the row would stay one.
fn of_unnest(unnest: &Unnest) -> Option<String> {
    let fields = unnest.input.schema().fields();
    let holds_rows = |kind: &DataType| match kind {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            matches!(item.data_type(), DataType::Struct(_))
        }
        _ => false,
    };
    let lists = unnest.list_type_columns.iter().filter_map(|(at, _)| fields.get(*at));
    let mut rows = lists.filter(|field| holds_rows(field.data_type()));
    rows.next().map(|_| {
        "NOT_SUPPORTED: the offline Athena does not UNNEST an array of rows into their fields".into()
    })
}
