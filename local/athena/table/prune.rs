//! Pruning: partitions that a query cannot want are not read.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::Expr;

use crate::catalogue::{Partition, Table, hive};

/// Whether a filter looks at nothing but the keys of partitions.
pub(super) fn is_about_keys(filter: &Expr, table: &Table) -> bool {
    let keys: BTreeSet<&str> = table.partition_keys.iter().map(|key| key.name.as_str()).collect();
    let columns = filter.column_refs();
    !columns.is_empty() && columns.iter().all(|column| keys.contains(column.name.as_str()))
}

/// The partitions that every such filter lets through.
pub(crate) fn wanted(table: &Table, filters: &[Expr], state: &dyn Session) -> Result<BTreeSet<String>> {
    let partitions: Vec<(&String, &Partition)> = table.partitions.iter().collect();
    let mut wanted: BTreeSet<String> = table.partitions.keys().cloned().collect();
    let filters: Vec<&Expr> = filters.iter().filter(|filter| is_about_keys(filter, table)).collect();
    if filters.is_empty() || partitions.is_empty() {
        return Ok(wanted);
    }
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (at, key) in table.partition_keys.iter().enumerate() {
        let values: StringArray = partitions.iter().map(|(_, it)| it.values.get(at)).collect();
        let kind = hive::parse(&key.kind);
        columns.push(cast(&values, &kind)?);
        fields.push(Field::new(&key.name, kind, true));
    }
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let schema = DFSchema::try_from(rows.schema())?;
    for filter in filters {
        let judge = state.create_physical_expr(filter.clone(), &schema)?;
        let verdicts = judge.evaluate(&rows)?.into_array(rows.num_rows())?;
        let verdicts = verdicts.as_boolean();
        for (row, (name, _)) in partitions.iter().enumerate() {
            if verdicts.is_null(row) || !verdicts.value(row) {
                wanted.remove(*name);
            }
        }
    }
    Ok(wanted)
}
