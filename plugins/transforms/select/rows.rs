//! Selects from rows: the cells of a table go into a table with other columns, without any JSON.

use std::sync::Arc;

use runner_core::{Body, Column, ColumnType, Error, Record, Row, Table, TableHeader};

use super::field::{Absent, Constant, Field, Source, Taken};
use crate::shared::json_paths::columns_of;
use crate::shared::values::{TypeName, ValueType};

/// A table begins anew at this size, since 32 bits must hold the ends of its cells.
const MAX_TABLE_BYTES: usize = 64 << 20;

/// Selects from rows.
pub(super) struct RowSelection {
    fields: Vec<Field>,
    keeps_rest: bool,
    /// The plan for the last header.
    plan: Option<Plan>,
    /// The size of the last table, to allocate the next one.
    capacity: usize,
}

/// How the rows of one header become rows of another.
struct Plan {
    from: Arc<TableHeader>,
    /// Why no row of this header has all fields.
    missing: Option<String>,
    to: Arc<TableHeader>,
    columns: Vec<ColumnPlan>,
}

/// Where the cells of a column come from.
enum ColumnPlan {
    /// The same text for every row.
    Constant(String),
    /// The cells of this column.
    Copied(usize),
    /// The cells of this column, each as a value of a type. Nulls become empty.
    Converted { column: usize, kind: ValueType, null_values: Vec<Box<str>>, field: usize },
}

impl RowSelection {
    pub(super) fn new(fields: Vec<Field>, keeps_rest: bool) -> Self {
        RowSelection { fields, keeps_rest, plan: None, capacity: 0 }
    }

    /// Replaces the rows among the records, and adds those that do not fit to `rejects`.
    pub(super) fn apply(&mut self, records: &mut [Record], rejects: &mut Vec<(usize, Error)>) {
        let mut start = 0;
        while start < records.len() {
            let Body::Row(first) = &records[start].body else {
                start += 1;
                continue;
            };
            let header = Arc::clone(first.header());
            if !self.plan.as_ref().is_some_and(|plan| Arc::ptr_eq(&plan.from, &header)) {
                self.plan = Some(Plan::new(&self.fields, self.keeps_rest, header));
            }
            start = self.select(records, start, rejects);
        }
    }

    /// Selects from the rows at `start` that share the header of the plan; returns where they end.
    fn select(&mut self, records: &mut [Record], start: usize, rejects: &mut Vec<(usize, Error)>) -> usize {
        let Some(plan) = &self.plan else { return records.len() };
        let (mut cells, mut ends) = (Vec::with_capacity(self.capacity), Vec::new());
        ends.reserve((records.len() - start) * plan.columns.len());
        // The records that the rows of the new table belong to.
        let mut selected = Vec::with_capacity(records.len() - start);
        let mut end = start;
        while let Some(Record { body: Body::Row(row), .. }) = records.get(end) {
            if !Arc::ptr_eq(row.header(), &plan.from) || cells.len() > MAX_TABLE_BYTES {
                break;
            }
            let (n_bytes, n_ends) = (cells.len(), ends.len());
            match plan.write(row, &self.fields, &mut cells, &mut ends) {
                Ok(()) => selected.push(end),
                Err(reason) => {
                    cells.truncate(n_bytes);
                    ends.truncate(n_ends);
                    rejects.push((end, reason));
                }
            }
            end += 1;
        }
        self.capacity = cells.len() + cells.len() / 8;
        let table = Arc::new(Table::new(Arc::clone(&plan.to), cells, ends));
        for (row, index) in selected.into_iter().enumerate() {
            records[index].body = Body::Row(Row::new(Arc::clone(&table), row));
        }
        end
    }
}

impl Plan {
    fn new(fields: &[Field], keeps_rest: bool, from: Arc<TableHeader>) -> Self {
        let mut draft = Draft { from: &from, columns: Vec::new(), header: Vec::new(), own: Vec::new() };
        let mut missing = None;
        let mut is_taken = vec![false; from.columns().len()];
        for (index, field) in fields.iter().enumerate() {
            match &field.source {
                Source::Constant(constant) => draft.constant(&field.name, constant),
                Source::Record(taken) => match (taken.path.column_of(&from), &taken.absent) {
                    (Some(column), _) => {
                        is_taken[column] = true;
                        draft.taken(index, &field.name, column, taken);
                    }
                    (None, Absent::Default(default)) => draft.constant(&field.name, default),
                    (None, Absent::Null) => draft.null(&field.name),
                    (None, Absent::Rejected) => {
                        let error = field.missing(&taken.path, &columns_of(&from, &taken.path));
                        missing.get_or_insert_with(|| error.to_string());
                        draft.null(&field.name);
                    }
                },
            }
        }
        if keeps_rest {
            for (column, it) in from.columns().iter().enumerate() {
                if !is_taken[column] && fields.iter().all(|field| *field.name != *it.name) {
                    draft.copy(&it.name, it.kind, column, &[]);
                }
            }
        }
        let Draft { columns, header, own, .. } = draft;
        let mut to = TableHeader::new(header, from.delimiter(), from.null_values().to_vec());
        for (column, null_values) in own {
            to = to.with_null_values(column, null_values);
        }
        Plan { to: Arc::new(to), columns, missing, from }
    }

    /// Appends the cells of a row.
    fn write(
        &self,
        row: &Row,
        fields: &[Field],
        cells: &mut Vec<u8>,
        ends: &mut Vec<u32>,
    ) -> Result<(), Error> {
        if let Some(missing) = &self.missing {
            return Err(Error::msg(missing.clone()));
        }
        for column in &self.columns {
            match column {
                ColumnPlan::Copied(column) => cells.extend_from_slice(row.cell(*column)),
                ColumnPlan::Constant(cell) => cells.extend_from_slice(cell.as_bytes()),
                ColumnPlan::Converted { column, kind, null_values, field } => {
                    let cell = row.cell(*column);
                    let is_null = self.from.is_null_in(*column, cell)
                        || null_values.iter().any(|null| null.as_bytes() == cell);
                    if !is_null && let Err(misfit) = kind.write_cell(cell, cells) {
                        let field = &fields[*field];
                        return Err(match &field.source {
                            Source::Record(taken) => field.misfit(&taken.path, &misfit),
                            Source::Constant(_) => Error::msg(misfit.to_string()),
                        });
                    }
                }
            }
            ends.push(u32::try_from(cells.len())?);
        }
        Ok(())
    }
}

/// The columns of a plan under construction.
struct Draft<'a> {
    from: &'a TableHeader,
    columns: Vec<ColumnPlan>,
    header: Vec<Column>,
    /// The columns with null values of their own.
    own: Vec<(usize, Vec<Box<str>>)>,
}

impl Draft<'_> {
    fn add(&mut self, name: &str, kind: ColumnType, nullable: bool, plan: ColumnPlan) {
        self.header.push(Column { name: name.into(), kind, nullable });
        self.columns.push(plan);
    }

    fn constant(&mut self, name: &str, constant: &Constant) {
        self.add(name, constant.kind, false, ColumnPlan::Constant(constant.cell.clone()));
    }

    fn null(&mut self, name: &str) {
        self.own.push((self.header.len(), vec!["".into()]));
        self.add(name, ColumnType::String, true, ColumnPlan::Constant(String::new()));
    }

    fn taken(&mut self, field: usize, name: &str, column: usize, taken: &Taken) {
        let from = &self.from.columns()[column];
        let Some(kind) = &taken.kind else {
            return self.copy(name, from.kind, column, &taken.null_values);
        };
        let fits_already = matches!(
            (kind.name(), from.kind),
            (TypeName::Integer, ColumnType::Integer)
                | (TypeName::Float, ColumnType::Integer | ColumnType::Float)
                | (TypeName::Boolean, ColumnType::Boolean)
                | (TypeName::String, _)
        );
        if fits_already {
            return self.copy(name, kind.column_type(), column, &taken.null_values);
        }
        self.own.push((self.header.len(), vec!["".into()]));
        let null_values = taken.null_values.clone();
        let plan = ColumnPlan::Converted { column, kind: kind.clone(), null_values, field };
        self.add(name, kind.column_type(), true, plan);
    }

    /// A column with the cells of another one, and with more texts that mean null.
    fn copy(&mut self, name: &str, kind: ColumnType, column: usize, null_values: &[Box<str>]) {
        let from = self.from;
        let nullable = from.columns()[column].nullable;
        let inherited = match from.own_null_values(column) {
            Some(own) => own,
            None if nullable => from.null_values(),
            None => &[],
        };
        if !null_values.is_empty() || from.own_null_values(column).is_some() {
            self.own.push((self.header.len(), [inherited, null_values].concat()));
        }
        self.add(name, kind, nullable, ColumnPlan::Copied(column));
    }
}
