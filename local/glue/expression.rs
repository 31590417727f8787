//! Expressions: which partitions a client asks for, in a piece of SQL about their keys.

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, Operator};
use datafusion::prelude::SessionContext;

use super::GLUE;
use crate::Fault;
use crate::athena::wanted_partitions;
use crate::catalogue::{Table, hive};

/// The names of the partitions that an expression lets through.
pub(super) fn wanted(table: &Table, expression: &str) -> Result<BTreeSet<String>, Fault> {
    let keys: Vec<Field> =
        table.partition_keys.iter().map(|key| Field::new(&key.name, hive::parse(&key.kind), true)).collect();
    let names: Vec<&str> = keys.iter().map(|key| key.name().as_str()).collect();
    let wrong = |reason: String| {
        GLUE.invalid(format!(
            "the Expression `{expression}`: {reason}; write comparisons of the partition keys ({}) with values, AND, \
             OR, NOT, IN, BETWEEN and LIKE between them",
            names.join(", ")
        ))
    };
    let schema = DFSchema::try_from(Schema::new(keys.clone())).map_err(|error| wrong(error.to_string()))?;
    let context = SessionContext::new();
    let parsed = context.parse_sql_expr(expression, &schema);
    let parsed = parsed.map_err(|error| wrong(error.strip_backtrace()))?;
    let mut unknown = parsed.column_refs().is_empty().then(|| "it names no key".to_owned());
    let _ = parsed.apply(|expr| {
        let is_text = |it: &Expr| {
            let Expr::Column(column) = it else { return false };
            keys.iter().any(|key| *key.name() == column.name && *key.data_type() == DataType::Utf8)
        };
        let is_number = |it: &Expr| matches!(it, Expr::Literal(value, _) if value.data_type().is_numeric());
        match expr {
            Expr::BinaryExpr(it) if is_known(it.op) => {
                let (left, right) = (&*it.left, &*it.right);
                if (is_text(left) && is_number(right)) || (is_text(right) && is_number(left)) {
                    unknown = Some(format!("{expr} compares a string with a number: write it in quotes"));
                }
            }
            Expr::Column(_)
            | Expr::Literal(..)
            | Expr::Between(_)
            | Expr::InList(_)
            | Expr::Like(_)
            | Expr::Not(_)
            | Expr::Negative(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::Cast(_) => {}
            other => unknown = Some(format!("the offline Glue does not know {other}")),
        }
        Ok(if unknown.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    if let Some(reason) = unknown {
        return Err(wrong(reason));
    }
    wanted_partitions(table, &[parsed], &context.state()).map_err(|error| wrong(error.strip_backtrace()))
}

fn is_known(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::And
            | Operator::Or
            | Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
    )
}
