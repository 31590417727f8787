//! Prints the rows of a query result as a table, CSV or JSON lines.

use std::io::{self, Write};

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table};
use runner_plugins::athena::{Column, Page, rename_repeated, write_object};

use crate::arguments::RowFormat;

/// Prints each page as it arrives. A table is printed at the end, since its columns must fit every row.
pub(crate) struct Rows<W> {
    format: RowFormat,
    table: Table,
    has_header: bool,
    out: W,
}

impl<W: Write> Rows<W> {
    pub(crate) fn new(format: RowFormat, out: W) -> Self {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
        Rows { format, table, has_header: false, out }
    }

    pub(crate) fn add(&mut self, page: &Page) -> io::Result<()> {
        let is_first = !std::mem::replace(&mut self.has_header, true);
        match self.format {
            RowFormat::Table => {
                if is_first {
                    self.table.set_header(page.columns.iter().map(|column| &column.name));
                }
                for row in &page.rows {
                    self.table.add_row(
                        row.iter()
                            .zip(&page.columns)
                            .map(|(cell, column)| table_cell(cell.as_deref(), column)),
                    );
                }
            }
            RowFormat::Csv => {
                if is_first {
                    let names = page.columns.iter().map(|column| Some(&*column.name));
                    write_csv(names, &mut self.out)?;
                }
                for row in &page.rows {
                    write_csv(row.iter().map(Option::as_deref), &mut self.out)?;
                }
            }
            RowFormat::Json => {
                let (mut line, mut columns) = (Vec::new(), page.columns.clone());
                rename_repeated(&mut columns);
                for row in &page.rows {
                    line.clear();
                    write_object(&columns, row, &mut line);
                    line.push(b'\n');
                    self.out.write_all(&line)?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.format == RowFormat::Table && self.table.column_count() > 0 {
            writeln!(self.out, "{}", self.table)?;
        }
        self.out.flush()
    }
}

/// Numbers are aligned to the right; NULL is an empty cell.
fn table_cell(cell: Option<&str>, column: &Column) -> Cell {
    let cell = Cell::new(cell.unwrap_or_default());
    if column.is_number() { cell.set_alignment(CellAlignment::Right) } else { cell }
}

/// A line in Athena's own format: every value is quoted, so that NULL differs from an empty string.
fn write_csv<'a>(cells: impl Iterator<Item = Option<&'a str>>, out: &mut impl Write) -> io::Result<()> {
    for (index, cell) in cells.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        if let Some(cell) = cell {
            write!(out, "\"{}\"", cell.replace('"', "\"\""))?;
        }
    }
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(format: RowFormat) -> String {
        let columns = [("index", "varchar"), ("n", "bigint")];
        let columns = columns.map(|(name, kind)| Column { name: name.into(), kind: kind.into() });
        let page = |rows: &[(Option<&str>, Option<&str>)]| Page {
            columns: columns.to_vec(),
            rows: rows.iter().map(|(a, b)| vec![a.map(Into::into), b.map(Into::into)]).collect(),
            next: None,
        };
        let mut out = Vec::new();
        let mut rows = Rows::new(format, &mut out);
        rows.add(&page(&[(Some("NYA"), Some("13")), (Some("a \"b\""), None)])).unwrap();
        rows.add(&page(&[(Some(""), Some("2"))])).unwrap();
        rows.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn csv_rows_have_one_header_and_null_differs_from_empty_string() {
        assert_eq!(
            printed(RowFormat::Csv),
            "\"index\",\"n\"\n\"NYA\",\"13\"\n\"a \"\"b\"\"\",\n\"\",\"2\"\n"
        );
    }

    #[test]
    fn json_rows_are_one_object_per_line_with_unquoted_numbers() {
        let lines = "{\"index\":\"NYA\",\"n\":13}\n{\"index\":\"a \\\"b\\\"\",\"n\":null}\n{\"index\":\"\",\"n\":2}\n";
        assert_eq!(printed(RowFormat::Json), lines);
    }

    #[test]
    fn table_rows_include_every_page() {
        let table = printed(RowFormat::Table);
        assert_eq!(table.matches("index").count(), 1);
        assert!(table.contains("│ NYA   ┆ 13 │") && table.contains("│       ┆  2 │"), "{table}");
    }
}
