//! Overflow: sums, differences and products of whole numbers that fail where their type has no room.

use std::sync::{Arc, LazyLock};

use datafusion::arrow::array::{ArrayRef, AsArray as _, Int64Array};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Int64Type};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DFSchema, Result};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan, Operator, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;

use super::casts::out_of_range;
use super::scalar::{Function, Kind};
use crate::athena::value::type_name;

/// A function that stands for an operator.
macro_rules! checked {
    ($name:literal, $word:literal, $sign:literal, $does:expr) => {
        LazyLock::new(|| {
            let function = Function {
                name: $name,
                takes: &[&[Kind::Any, Kind::Any]],
                gives: |given| given[0].clone(),
                does: |arrays| count(arrays, $word, $sign, $does),
            };
            Arc::new(function.udf())
        })
    };
}

static PLUS: LazyLock<Arc<ScalarUDF>> = checked!("plus$", "addition", '+', i64::checked_add);
static MINUS: LazyLock<Arc<ScalarUDF>> = checked!("minus$", "subtraction", '-', i64::checked_sub);
static TIMES: LazyLock<Arc<ScalarUDF>> = checked!("times$", "multiplication", '*', i64::checked_mul);

fn count(arrays: &[ArrayRef], word: &str, sign: char, does: fn(i64, i64) -> Option<i64>) -> Result<ArrayRef> {
    let kind = arrays[0].data_type();
    let (left, right) = (cast(&arrays[0], &DataType::Int64)?, cast(&arrays[1], &DataType::Int64)?);
    let pairs = left.as_primitive::<Int64Type>().iter().zip(right.as_primitive::<Int64Type>());
    let results = pairs.map(|(left, right)| {
        let (Some(left), Some(right)) = (left, right) else { return Ok(None) };
        does(left, right).map(Some).ok_or_else(|| {
            out_of_range(format!("{} {word} overflow: {left} {sign} {right}", type_name(kind)))
        })
    });
    let results = results.collect::<Result<Int64Array>>()?;
    let options = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(&results, kind, &options)
        .map_err(|error| out_of_range(format!("{} {word} overflow: {error}", type_name(kind))))
}

/// Puts the functions in the place of the operators, when the types of both sides are settled.
#[derive(Debug)]
pub(in crate::athena) struct Checked;

impl AnalyzerRule for Checked {
    fn name(&self) -> &'static str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let schema = merge_schema(&node.inputs());
            let names = NamePreserver::new(&node);
            let changed = node.map_expressions(|expr| {
                let name = names.save(&expr);
                let changed = expr.transform_up(|expr| Ok(replaced(expr, &schema)))?;
                Ok(changed.update_data(|expr| name.restore(expr)))
            })?;
            changed.map_data(LogicalPlan::recompute_schema)
        })
        .map(|it| it.data)
    }
}

fn replaced(expr: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let Expr::BinaryExpr(binary) = &expr else { return Transformed::no(expr) };
    let function = match binary.op {
        Operator::Plus => &PLUS,
        Operator::Minus => &MINUS,
        Operator::Multiply => &TIMES,
        _ => return Transformed::no(expr),
    };
    let kind = |expr: &Expr| expr.get_type(schema).ok().filter(DataType::is_signed_integer);
    let (left, right) = (kind(&binary.left), kind(&binary.right));
    if left.is_none() || left != right {
        return Transformed::no(expr);
    }
    let args = vec![(*binary.left).clone(), (*binary.right).clone()];
    Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf((*function).clone(), args)))
}
