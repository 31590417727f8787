//! Rows for the tests of transforms.

use std::sync::Arc;

use runner_core::testing::{batch, record};
use runner_core::{Batch, Body, Column, ColumnType, Row, Table, TableHeader};

/// A batch of rows; a cell that is `null_value` is null.
pub(crate) fn rows(columns: &[(&str, ColumnType)], null_value: &str, rows: &[&[&str]]) -> Batch {
    let column = |&(name, kind): &(&str, ColumnType)| Column { name: name.into(), kind, nullable: true };
    let columns = columns.iter().map(column).collect();
    let header = Arc::new(TableHeader::new(columns, b',', vec![null_value.into()]));
    let (mut cells, mut ends) = (Vec::new(), Vec::new());
    for cell in rows.iter().copied().flatten() {
        cells.extend_from_slice(cell.as_bytes());
        ends.push(cells.len() as u32);
    }
    let table = Arc::new(Table::new(header, cells, ends));
    let record = |index| {
        let mut record = record("", index as u64);
        record.body = Body::Row(Row::new(Arc::clone(&table), index));
        record
    };
    batch((0..rows.len()).map(record))
}
