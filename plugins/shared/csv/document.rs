//! Reads a whole CSV text in memory, such as the response of an API.

use std::sync::Arc;

use anyhow::{Result, bail};
use runner_core::{Body, Name, Origin, Record, Reject};

use super::dialect::Dialect;
use super::header::{BYTE_ORDER_MARK, column_names};
use super::header_warnings::{Header, wider_rows};
use super::inference::{Inference, SAMPLE};
use super::layout::{RowLayout, TableBuilder, reject};
use super::report_lines::{END_OF_TEXT, is_rule};
use super::row_error::{RowError, RowLocation};
use super::scan::{Rows, ScannedRow, cells};

/// Reads CSV texts one after another. The types are inferred from the first one that has rows.
#[derive(Debug, Default)]
pub(crate) struct DocumentReader {
    dialect: Arc<Dialect>,
    layout: Option<Arc<RowLayout>>,
}

impl DocumentReader {
    /// A reader of texts in this dialect.
    pub(crate) fn new(dialect: Dialect) -> Self {
        DocumentReader { dialect: Arc::new(dialect), layout: None }
    }

    /// Returns the valid rows as records and the others as rejects. Offsets start at `offset`
    /// and count every row, rejected or not.
    ///
    /// A text without a header is an error. Types are inferred again when the columns change.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        source: Name,
        partition: i32,
        offset: u64,
    ) -> Result<(Vec<Record>, Vec<Reject>)> {
        let dialect = Arc::clone(&self.dialect);
        let (bytes, line) = after_skipped_lines(without_marks(bytes), dialect.skip_lines);
        let mut rows = Rows::new(bytes, &dialect.grammar, line);
        let (names, written, line) = if dialect.has_header {
            let Some(first) = rows.next() else {
                bail!("{source}: the response is empty, and a header row was expected");
            };
            (self.names_of(first, source)?, first.bytes, first.line)
        } else {
            (dialect.columns.clone(), &[][..], line)
        };
        let mut after_rule = rows.clone();
        if dialect.has_header && after_rule.next().is_some_and(|row| is_rule_row(row, &dialect)) {
            rows = after_rule;
        }
        let header = Header { names: &names, written, line };
        let layout = self.layout_of(header, rows.clone(), source)?;
        let mut table = TableBuilder::new(Arc::clone(&layout), 0, bytes.len());
        let (mut origins, mut rejects) = (Vec::new(), Vec::new());
        let mut offset = offset;
        for row in rows {
            let location = RowLocation { source, line: row.line };
            let origin = Origin { source, partition, offset };
            let pushed = match row.error {
                Some(error) => Err(location.bad_quotes(row.bytes, error)),
                None => match table.push(row.bytes, row.quoted) {
                    Err(RowError { line: Some(_), .. }) => continue,
                    pushed => pushed.map_err(|error| location.error(row.bytes, &error)),
                },
            };
            offset += 1;
            match pushed {
                Ok(()) => origins.push(origin),
                Err(reason) => rejects.push(reject(row.bytes, reason, origin, origins.len())),
            }
        }
        let record = |(row, origin)| Record::new(Body::Row(row), origin);
        Ok((table.finish().zip(origins).map(record).collect(), rejects))
    }

    fn names_of(&self, first: ScannedRow<'_>, source: Name) -> Result<Vec<String>> {
        let location = RowLocation { source, line: first.line };
        if let Some(error) = first.error {
            return Err(location.bad_quotes(first.bytes, error));
        }
        let names = column_names(first.bytes, first.quoted, &self.dialect);
        names.map_err(|error| location.error(first.bytes, &error))
    }

    fn layout_of(&mut self, header: Header<'_>, rows: Rows<'_>, source: Name) -> Result<Arc<RowLayout>> {
        let Header { names, written, line } = header;
        if let Some(layout) = self.layout.as_ref().filter(|layout| layout.has_columns(names)) {
            return Ok(Arc::clone(layout));
        }
        let mut inference = Inference::new(names.len());
        inference.set_header(written, &self.dialect);
        let columns: Vec<usize> = (0..names.len()).collect();
        let first_row = rows.clone().next().map(|row| row.line);
        let whole = rows.filter(|row| row.error.is_none());
        whole.take(SAMPLE).for_each(|row| inference.observe(row.bytes, row.quoted, &columns, &self.dialect));
        if let Some(width) = inference.width_above_header()
            && self.dialect.has_header
            && !self.dialect.drops_extra_cells
        {
            bail!("{source}:{line}: {}", wider_rows(names, width, line, &self.dialect));
        }
        for warning in header.warnings(&self.dialect) {
            tracing::warn!("{source}: {warning}");
        }
        for (line, warning) in header.warnings_about_rows(&inference, first_row, &self.dialect) {
            tracing::warn!("{source}:{}: {warning}", line.unwrap_or(header.line));
        }
        let n_rows = inference.n_rows();
        let columns = names.iter().cloned().zip(inference.finish());
        let layout = Arc::new(RowLayout::new(columns, written, &self.dialect));
        if n_rows > 0 {
            self.layout = Some(Arc::clone(&layout));
        }
        Ok(layout)
    }
}

/// The text without the marks that some systems put at its beginning and its end.
fn without_marks(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    bytes.strip_suffix(&[END_OF_TEXT]).unwrap_or(bytes)
}

/// The text after `n_lines` lines, and the number of its first line.
fn after_skipped_lines(mut bytes: &[u8], n_lines: u64) -> (&[u8], u64) {
    let mut line = 1;
    while line <= n_lines && !bytes.is_empty() {
        let end = memchr::memchr2(b'\n', b'\r', bytes).unwrap_or(bytes.len());
        let n_end = if bytes[end..].starts_with(b"\r\n") { 2 } else { 1 };
        bytes = bytes.get(end + n_end..).unwrap_or_default();
        line += 1;
    }
    (bytes, line)
}

fn is_rule_row(row: ScannedRow<'_>, dialect: &Dialect) -> bool {
    row.error.is_none() && is_rule(cells(row.bytes, &dialect.grammar).map(|cell| &row.bytes[cell]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: &mut DocumentReader, text: &str) -> Result<Vec<Record>> {
        reader.read(text.as_bytes(), Name::new("http://api/prices"), 0, 10).map(|(records, _)| records)
    }

    fn json_of(records: &[Record]) -> Vec<String> {
        let value = |record: &Record| record.clone().value().unwrap().to_string();
        records.iter().map(value).collect()
    }

    #[test]
    fn document_rows_become_typed_records() {
        let text = "\u{feff}Index,Close,ok\r\nNYA,528.690002,true\r\n\r\n\"N,225\",1,\r\n";
        let records = read(&mut DocumentReader::default(), text).unwrap();
        assert_eq!(
            json_of(&records),
            [r#"{"Index":"NYA","Close":528.690002,"ok":true}"#, r#"{"Index":"N,225","Close":1.0,"ok":null}"#]
        );
        assert_eq!(records[1].origin.offset, 11);
    }

    #[test]
    fn first_document_with_rows_determines_the_types() {
        let mut reader = DocumentReader::default();
        drop(read(&mut reader, "n\n").unwrap());
        drop(read(&mut reader, "n\n1.5\n").unwrap());
        assert_eq!(json_of(&read(&mut reader, "n\n2\n").unwrap()), [r#"{"n":2.0}"#]);
    }

    #[test]
    fn open_quote_rejects_its_line_only() {
        let text = b"a,b\n1,\"x\n1,\"q\"\n2,\"q\"\n";
        let (records, rejects) = DocumentReader::default().read(text, Name::new("http://api"), 0, 0).unwrap();
        assert_eq!(json_of(&records), [r#"{"a":1,"b":"q"}"#, r#"{"a":2,"b":"q"}"#]);
        let [reject] = &rejects[..] else { panic!("{rejects:?}") };
        let reason = reject.reason.to_string();
        assert!(reason.starts_with("http://api:2:3: the quote that opens here is never closed"), "{reason}");
        assert_eq!(reject.record.to_bytes().unwrap(), "1,\"x");
    }

    #[test]
    fn document_is_read_in_its_dialect() {
        let options =
            r##"{ "delimiter": ";", "decimal": ",", "comment": "#", "skip_lines": 1, "trim": true }"##;
        let options: super::super::DialectOptions = serde_json::from_str(options).unwrap();
        let mut reader = DocumentReader::new(options.dialect("csv.").unwrap());
        let text = "Title; of the report\r\n# made today\r\na ; b\r\n--;---\r\n1,5 ; x\r\n# a pause\r\n2;y\r\n(2 rows)\r\n\u{1a}";
        assert_eq!(
            json_of(&read(&mut reader, text).unwrap()),
            [r#"{"a":1.5,"b":"x"}"#, r#"{"a":2.0,"b":"y"}"#]
        );
    }

    #[test]
    fn title_before_the_header_is_an_error_that_asks_for_it() {
        let error = read(&mut DocumentReader::default(), "Prices\na,b\n1,2\n").unwrap_err().to_string();
        assert!(error.contains("is this line the header?") && error.contains("skip_lines = 1"), "{error}");
    }

    #[test]
    fn document_without_a_header_is_an_error() {
        for (text, message) in [
            ("", "http://api/prices: the response is empty, and a header row was expected"),
            ("\n\"a\n", "http://api/prices:2:1: the quote that opens here is never closed"),
            ("a,b,a\n", "http://api/prices:1:5: columns 1 and 3 are both called `a`"),
        ] {
            let error = read(&mut DocumentReader::default(), text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
