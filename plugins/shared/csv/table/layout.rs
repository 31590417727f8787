//! The layout of rows: columns and their types, inferred or declared once. Rows that
//! match it are added to a table, others are rejected.

use std::sync::Arc;

use anyhow::Error;
use bytes::Bytes;
use runner_core::{ABSENT_CELL, Body, Column, ColumnType, Origin, Record, Reject, Row, Table, TableHeader};

use crate::shared::csv::dialect::{CellTexts, Dialect};
use crate::shared::csv::header::{Header, HeaderRow, is_row_count, without_marks};
use crate::shared::csv::rows::{NonRow, RowError, split};
use crate::shared::csv::types::{converted, fits, narrowest, without_blanks};
use crate::shared::values::{TypeName, ValueType};

/// The columns of a file and their types.
#[derive(Clone, Debug)]
pub(crate) struct RowLayout {
    header: Arc<TableHeader>,
    dialect: Arc<Dialect>,
    /// What the pipeline file declares for a column.
    declared: Box<[Option<ValueType>]>,
    /// The columns that do not accept arbitrary text.
    checked: Box<[(usize, ColumnType)]>,
    /// For each cell the index of its column; `None` if cells and columns are in the same order.
    order: Option<CellOrder>,
    /// Whether most cells are taken as they are.
    is_plain: bool,
    header_row: HeaderRow,
    /// Whether a line that is not a row may have cells of all types.
    accepts_non_rows: bool,
}

/// Where the cells of a row belong whose file has other columns, or the same ones in another order.
#[derive(Clone, Debug)]
struct CellOrder {
    n_cells: usize,
    /// For each column the index of its cell.
    cell_of: Box<[Option<usize>]>,
}

impl RowLayout {
    /// A layout with these columns; types that the options declare take precedence. For a file that has other columns, or
    /// has them in another order, `column_of` gives for each cell of its rows the index of the column. Columns without a
    /// cell are null.
    pub(crate) fn new(
        columns: impl IntoIterator<Item = (String, ColumnType)>,
        column_of: Option<&[usize]>,
        header: &Header,
        dialect: &Arc<Dialect>,
    ) -> Self {
        let column = |(name, inferred): (String, ColumnType)| {
            let declared = dialect.types.of(&name);
            let nullable = declared != Some(TypeName::String);
            Column { kind: declared.map_or(inferred, TypeName::column_type), nullable, name: name.into() }
        };
        let columns: Vec<Column> = columns.into_iter().map(column).collect();
        let kinds = columns.iter().map(|column| column.kind).enumerate();
        let checked: Box<[(usize, ColumnType)]> =
            kinds.filter(|&(_, kind)| kind != ColumnType::String).collect();
        let declared = |column: &Column| Some(dialect.types.declaration_of(&column.name)?.value_type.clone());
        let declared: Box<[Option<ValueType>]> = columns.iter().map(declared).collect();
        let has_times = declared.iter().flatten().any(|declared| declared.name().is_time());
        let order =
            column_of.filter(|column_of| !column_of.iter().copied().eq(0..columns.len())).map(|column_of| {
                let mut cell_of = vec![None; columns.len()];
                column_of.iter().enumerate().for_each(|(cell, &column)| cell_of[column] = Some(cell));
                CellOrder { n_cells: column_of.len(), cell_of: cell_of.into() }
            });
        let header_row = HeaderRow::new(header, dialect);
        let header = header_of(columns, dialect, dialect.fills_missing_cells || order.is_some());
        let is_plain =
            dialect.grammar.is_plain() && dialect.numbers.is_plain() && !has_times && order.is_none();
        let accepts_header = |&(index, kind): &(usize, ColumnType)| {
            header_row.cell(index).is_some_and(|cell| fits(cell, kind) || header.is_null(cell))
        };
        let accepts_non_rows = checked.is_empty() || checked.iter().all(accepts_header);
        RowLayout {
            header: header.into(),
            dialect: Arc::clone(dialect),
            declared,
            checked,
            order,
            is_plain,
            header_row,
            accepts_non_rows,
        }
    }

    /// What the rows of a table share.
    pub(crate) fn header(&self) -> &Arc<TableHeader> {
        &self.header
    }

    pub(crate) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    pub(crate) fn has_columns(&self, names: &[String]) -> bool {
        self.order.is_none() && self.columns().iter().map(|column| &*column.name).eq(names)
    }

    /// How many cells a row has.
    pub(crate) fn n_cells(&self) -> usize {
        self.order.as_ref().map_or(self.columns().len(), |order| order.n_cells)
    }

    /// The column of a cell, if the row has not more cells than there are columns.
    pub(crate) fn column_of_cell(&self, cell: usize) -> Option<&Column> {
        let index = match &self.order {
            None => cell,
            Some(order) => order.cell_of.iter().position(|&of| of == Some(cell))?,
        };
        self.columns().get(index)
    }

    /// The columns whose type was inferred as integer and in which this row has a fraction.
    pub(crate) fn fractions_in(&self, row: &[u8], quoted: bool) -> Vec<usize> {
        let mut texts = CellTexts::default();
        texts.read(row, quoted, &self.dialect);
        let (mut columns, mut scratch) = (Vec::new(), Vec::new());
        for (index, text) in texts.iter().enumerate() {
            if let Some(column) = self.column_of_cell(index)
                && column.kind == ColumnType::Integer
                && self.dialect.types.of(&column.name).is_none()
                && narrowest(without_blanks(text), self.dialect.numbers, &mut scratch) == ColumnType::Float
            {
                columns.extend(self.columns().iter().position(|other| other.name == column.name));
            }
        }
        columns
    }

    /// This layout with the type float for some columns.
    pub(crate) fn with_floats(&self, floats: &[usize]) -> RowLayout {
        let mut columns = self.columns().to_vec();
        for &index in floats {
            columns[index].kind = ColumnType::Float;
        }
        let checked = |&(index, kind): &(usize, ColumnType)| {
            (index, if floats.contains(&index) { ColumnType::Float } else { kind })
        };
        let has_absent_cells = self.dialect.fills_missing_cells || self.order.is_some();
        RowLayout {
            header: header_of(columns, &self.dialect, has_absent_cells).into(),
            checked: self.checked.iter().map(checked).collect(),
            ..self.clone()
        }
    }

    fn columns(&self) -> &[Column] {
        self.header.columns()
    }

    /// What stands for a cell that the row does not have.
    fn absent_text(&self, column: usize) -> &str {
        let nulls = &self.dialect.null_values;
        if self.header.own_null_values(column).is_some() {
            return ABSENT_CELL;
        }
        let empty = nulls.iter().find(|null| null.is_empty());
        empty.or(nulls.first()).map_or(ABSENT_CELL, |null| null)
    }

    /// Appends the text of a cell as the table stores it; `false` if it does not match the type of its column.
    fn write_cell(&self, index: usize, text: &[u8], out: &mut Vec<u8>, scratch: &mut Vec<u8>) -> bool {
        let column = &self.columns()[index];
        if self.header.is_null_in(index, text) {
            out.extend_from_slice(text);
            return true;
        }
        let declared = self.declared[index].as_ref();
        if column.kind == ColumnType::String && !declared.is_some_and(|declared| declared.name().is_time()) {
            out.extend_from_slice(text);
            return true;
        }
        let text = without_blanks(text);
        if self.header.is_null_in(index, text) {
            out.extend_from_slice(text);
            return true;
        }
        let written = converted(text, column.kind, declared, self.dialect.numbers, scratch);
        written.map(|written| out.extend_from_slice(written)).is_some()
    }
}

/// A header for rows, some of which may not have all cells.
fn header_of(columns: Vec<Column>, dialect: &Dialect, has_absent_cells: bool) -> TableHeader {
    let every_text: Vec<usize> = (0..columns.len()).filter(|&index| !columns[index].nullable).collect();
    let mut nulls = dialect.null_values.clone();
    if has_absent_cells && nulls.is_empty() {
        nulls.push(ABSENT_CELL.into());
    }
    let header = TableHeader::new(columns, dialect.grammar.delimiter, nulls);
    let every_text = every_text.into_iter().filter(|_| has_absent_cells);
    every_text.fold(header, |header, column| header.with_null_values(column, vec![ABSENT_CELL.into()]))
}

/// A reject with the bytes of the row as they were read.
pub(crate) fn reject(row: &[u8], reason: Error, origin: Origin, n_before: usize) -> Reject {
    Reject { record: Record::new(Body::Bytes(Bytes::copy_from_slice(row)), origin), reason, n_before }
}

/// A table under construction.
pub(crate) struct TableBuilder {
    layout: Arc<RowLayout>,
    cells: Vec<u8>,
    ends: Vec<u32>,
    texts: CellTexts,
    scratch: Vec<u8>,
}

impl TableBuilder {
    /// An empty table, with room for about `n_bytes` of cells in `n_rows` rows.
    pub(crate) fn new(layout: Arc<RowLayout>, n_rows: usize, n_bytes: usize) -> Self {
        let ends = Vec::with_capacity(n_rows * layout.columns().len());
        TableBuilder {
            cells: Vec::with_capacity(n_bytes),
            ends,
            layout,
            texts: CellTexts::default(),
            scratch: Vec::new(),
        }
    }

    /// Appends a row. On an error the table stays unchanged.
    pub(crate) fn push(&mut self, row: &[u8], quoted: bool) -> Result<(), RowError> {
        let text = without_marks(row);
        let n_marks = row.len() - text.len();
        self.push_text(text, quoted || n_marks > 0)
            .map_err(|error| RowError { at: error.at + n_marks, ..error })
    }

    fn push_text(&mut self, row: &[u8], quoted: bool) -> Result<(), RowError> {
        let (n_bytes, n_ends) = (self.cells.len(), self.ends.len());
        if self.layout.is_plain {
            split(row, self.layout.dialect.grammar.delimiter, quoted, &mut self.cells, &mut self.ends);
            if self.is_valid(row, n_bytes, n_ends) {
                return Ok(());
            }
            self.cells.truncate(n_bytes);
            self.ends.truncate(n_ends);
        }
        let result = self.push_converted(row, quoted);
        if result.is_err() {
            self.cells.truncate(n_bytes);
            self.ends.truncate(n_ends);
        }
        result
    }

    /// Whether the row whose cells begin at `n_bytes` and end as `ends[n_ends..]` say is valid as it is.
    fn is_valid(&self, row: &[u8], n_bytes: usize, n_ends: usize) -> bool {
        let layout = &*self.layout;
        let ends = &self.ends[n_ends..];
        if ends.len() != layout.columns().len() || std::str::from_utf8(row).is_err() {
            return false;
        }
        for &(index, kind) in &layout.checked {
            let start = if index == 0 { n_bytes } else { ends[index - 1] as usize };
            let cell = &self.cells[start..ends[index] as usize];
            if !fits(cell, kind) && !layout.header.is_null(cell) {
                return false;
            }
        }
        !(layout.accepts_non_rows && layout.may_be_non_row(row, self.cells.len() - n_bytes))
    }

    /// Appends a row cell by cell, each in the form that its type demands.
    fn push_converted(&mut self, row: &[u8], quoted: bool) -> Result<(), RowError> {
        let layout = Arc::clone(&self.layout);
        let dialect = &*layout.dialect;
        let texts = &mut self.texts;
        texts.read(row, quoted, dialect);
        if let Some(line) = layout.non_row(row, texts) {
            return Err(RowError::of_non_row(line));
        }
        if layout.header_row.is_reordered_in(texts) {
            let message = "this line has the names of the columns in another order, as files that were joined have it: the \
                           rows behind it would be read in the order of the first header; read the files one by one, as \
                           path = \"*.csv\" does";
            return Err(RowError::new(0, message.into()));
        }
        if !dialect.accepts_width(texts.len(), layout.n_cells()) {
            return Err(layout.wrong_width(row, texts));
        }
        if std::str::from_utf8(row).is_err() {
            return Err(layout.not_utf8(row));
        }
        for index in 0..layout.columns().len() {
            let cell = layout.order.as_ref().map_or(Some(index), |order| order.cell_of[index]);
            match cell.and_then(|cell| Some((cell, texts.get(cell)?))) {
                None => self.cells.extend_from_slice(layout.absent_text(index).as_bytes()),
                Some((cell, text)) => {
                    if !layout.write_cell(index, text, &mut self.cells, &mut self.scratch) {
                        return Err(layout.wrong_type(row, cell, index, text));
                    }
                }
            }
            self.ends.push(self.cells.len() as u32);
        }
        Ok(())
    }

    /// How many rows there are.
    pub(crate) fn n_rows(&self) -> usize {
        self.ends.len() / self.layout.columns().len()
    }

    /// How many bytes the cells take.
    pub(crate) fn n_bytes(&self) -> usize {
        self.cells.len()
    }

    /// The rows, in order.
    pub(crate) fn finish(self) -> impl Iterator<Item = Row> {
        let n_rows = self.n_rows();
        let table = Arc::new(Table::new(Arc::clone(&self.layout.header), self.cells, self.ends));
        (0..n_rows).map(move |index| Row::new(Arc::clone(&table), index))
    }
}

impl RowLayout {
    /// What a line is that is not a row. In a file with one column every line is a row, unless there is a rule.
    fn non_row(&self, row: &[u8], texts: &CellTexts) -> Option<NonRow> {
        if self.header_row.is_repeated_in(texts) {
            return Some(NonRow::RepeatedHeader);
        }
        (self.header_row.may_have_row_counts(self.n_cells()) && is_row_count(row)).then_some(NonRow::RowCount)
    }

    /// Whether a line is not a row. `texts` is a buffer.
    pub(crate) fn is_non_row(&self, row: &[u8], quoted: bool, texts: &mut CellTexts) -> bool {
        let header = &self.header_row;
        // A plain cell is a part of its row as it is.
        let may_be_header = row.len() >= header.n_bytes()
            && header.cell(0).is_some_and(|cell| {
                !self.dialect.grammar.is_plain()
                    || cell.contains(&b'"')
                    || memchr::memmem::find(row, cell).is_some()
            });
        if !may_be_header && !is_row_count(row) {
            return false;
        }
        let row = without_marks(row);
        texts.read(row, quoted, &self.dialect);
        self.non_row(row, texts).is_some()
    }

    /// A cheap look at a row whose texts have `n_bytes`.
    fn may_be_non_row(&self, row: &[u8], n_bytes: usize) -> bool {
        self.header_row.may_be_in(n_bytes) || is_row_count(row)
    }
}
