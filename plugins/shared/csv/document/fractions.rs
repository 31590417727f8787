//! Rows with fractions in columns whose type was inferred as integer from the texts before.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runner_core::Row;

use super::in_table;
use crate::shared::csv::rows::{RowLocation, ScannedRow};
use crate::shared::csv::table::{RowLayout, TableBuilder};
use crate::shared::values::TypeName;

/// Reads such rows, each with floats in the columns where it has fractions: an integer stays one, as before.
#[derive(Debug)]
pub(super) struct Fractions {
    /// By the columns of fractions.
    layouts: HashMap<Vec<usize>, Arc<RowLayout>>,
    /// Whether the warning was given.
    has_warned: Arc<AtomicBool>,
}

impl Fractions {
    pub(super) fn new(has_warned: &Arc<AtomicBool>) -> Self {
        Fractions { layouts: HashMap::new(), has_warned: Arc::clone(has_warned) }
    }

    /// A row that does not match the layout; `None` if anything but a fraction is wrong with it.
    pub(super) fn read(
        &mut self,
        row: ScannedRow<'_>,
        layout: &RowLayout,
        location: RowLocation,
    ) -> Option<Row> {
        let columns = layout.fractions_in(row.bytes, row.quoted);
        let &first = columns.first()?;
        let wider =
            self.layouts.entry(columns).or_insert_with_key(|columns| layout.with_floats(columns).into());
        let mut table = TableBuilder::new(Arc::clone(wider), 1, row.bytes.len());
        table.push(row.bytes, row.quoted).ok()?;
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            let (dialect, name) = (layout.dialect(), &layout.header().columns()[first].name);
            let RowLocation { source, line } = location;
            let advice = dialect.types.toml_line(name, TypeName::Float, None);
            let message = anyhow::anyhow!(
                "{source}:{line}: column `{name}` is an integer (inferred from its first rows), and this cell is a fraction; it \
                 is delivered as it is, and so are later ones. To make all numbers of the column floats set {advice}"
            );
            tracing::warn!("{}", in_table(dialect, message));
        }
        table.finish().next()
    }
}
