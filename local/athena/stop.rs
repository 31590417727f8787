//! Stopping: a query that was cancelled ends even in a join that gives no rows and so would never pause.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{DataFusionError, Result};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use tokio_util::sync::CancellationToken;

/// Joins make many rows out of few, in one go: they pause between batches, and their conditions look whether to go on.
#[derive(Debug)]
pub(super) struct Stoppable {
    pub(super) cancel: CancellationToken,
}

impl PhysicalOptimizerRule for Stoppable {
    fn name(&self) -> &'static str {
        "stoppable"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|plan| {
            let node: &dyn ExecutionPlan = plan.as_ref();
            if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
                let filter = join.filter().map(|filter| self.watched(filter));
                let (left, right) = (join.left().clone(), join.right().clone());
                let join = NestedLoopJoinExecBuilder::new(left, right, *join.join_type())
                    .with_projection_ref(join.projection().clone())
                    .with_filter(filter)
                    .build()?;
                return Ok(Transformed::yes(pausing(Arc::new(join))));
            }
            if let Some(join) = node.downcast_ref::<HashJoinExec>()
                && let Some(filter) = join.filter()
            {
                let join = join.builder().with_filter(Some(self.watched(filter))).build()?;
                return Ok(Transformed::yes(pausing(Arc::new(join))));
            }
            if node.downcast_ref::<CrossJoinExec>().is_some() || node.downcast_ref::<HashJoinExec>().is_some()
            {
                return Ok(Transformed::yes(pausing(plan)));
            }
            Ok(Transformed::no(plan))
        })
        .map(|it| it.data)
    }
}

fn pausing(join: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    Arc::new(CooperativeExec::new(join))
}

impl Stoppable {
    fn watched(&self, filter: &JoinFilter) -> JoinFilter {
        let watched = Watched { condition: filter.expression().clone(), cancel: self.cancel.clone() };
        JoinFilter::new(Arc::new(watched), filter.column_indices().to_vec(), filter.schema().clone())
    }
}

/// A condition that fails once its query is cancelled.
#[derive(Clone, Debug)]
struct Watched {
    condition: Arc<dyn PhysicalExpr>,
    cancel: CancellationToken,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

// All within one plan watch the same query.
impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl PhysicalExpr for Watched {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.condition.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.condition.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.cancel.is_cancelled() {
            return Err(DataFusionError::Execution("Query cancelled by user".into()));
        }
        self.condition.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let condition = children.into_iter().next().unwrap_or_else(|| self.condition.clone());
        Ok(Arc::new(Watched { condition, cancel: self.cancel.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}
