//! Reads a whole CSV text in memory, such as the response of an API.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::{Error, Result, anyhow, bail};
use bytes::Bytes;
use runner_core::{Name, Row};

use super::cells::CellTexts;
use super::dialect::Dialect;
use super::header::{BYTE_ORDER_MARK, column_names};
use super::header_warnings::Header;
use super::inference::{Inference, SAMPLE};
use super::layout::{RowLayout, TableBuilder};
use super::report_lines::{END_OF_TEXT, check_separator, is_rule, separator_line};
use super::row_error::{RowError, RowLocation};
use super::scan::{QuoteError, Rows, ScannedRow, cells};
use super::wide_rows::wider_rows;

/// How many rows, and how many bytes of them, are read at once.
const CHUNK_ROWS: usize = 1024;
const CHUNK_BYTES: usize = 256 << 10;

/// Reads CSV texts one after another. The types are inferred from the first one that has rows.
#[derive(Debug, Default)]
pub(crate) struct DocumentReader {
    dialect: Arc<Dialect>,
    layout: Option<Arc<RowLayout>>,
}

/// The rows of a text that were not taken. They are read in chunks, since a row takes more memory than its text.
#[derive(Debug)]
pub(crate) struct Document {
    /// What was not read, and the physical line that it begins on.
    rest: Bytes,
    line: u64,
    source: Name,
    layout: Arc<RowLayout>,
    chunk: VecDeque<Result<Row, BadRow>>,
    n_left: usize,
    is_cut: bool,
}

/// A row that is not valid.
#[derive(Debug)]
pub(crate) struct BadRow {
    /// The row without its line end.
    pub(crate) bytes: Bytes,
    pub(crate) reason: Error,
}

impl DocumentReader {
    /// A reader of texts in this dialect.
    pub(crate) fn new(dialect: Dialect) -> Self {
        DocumentReader { dialect: Arc::new(dialect), layout: None }
    }

    /// Reads the header of a text from `source`, and counts its rows.
    ///
    /// A text without a header is an error. Types are inferred again when the columns change.
    pub(crate) fn open(&mut self, bytes: &Bytes, source: Name) -> Result<Document> {
        let dialect = Arc::clone(&self.dialect);
        let text = without_marks(bytes);
        let mut n_skipped = dialect.skip_lines;
        if let (0, Some(named)) = (n_skipped, separator_line(text)) {
            let at = RowLocation { source, line: 1 };
            check_separator(named, &dialect).map_err(|error| in_table(&dialect, at.error(text, &error)))?;
            n_skipped = 1;
        }
        let (text, line) = after_skipped_lines(text, n_skipped);
        let mut rows = Rows::new(text, &dialect.grammar, line);
        let (names, written, line) = if dialect.has_header {
            let Some(first) = rows.next() else {
                bail!("{source}: the response is empty, and a header row was expected");
            };
            (self.names_of(first, source)?, first.bytes, first.line)
        } else {
            (dialect.columns.clone(), &[][..], line)
        };
        let mut after_rule = rows.clone();
        let has_rule = dialect.has_header && after_rule.next().is_some_and(|row| is_rule_row(row, &dialect));
        if has_rule {
            rows = after_rule;
        }
        let header = Header { names: &names, written, line };
        let layout = self.layout_of(header, has_rule, rows.clone(), source)?;
        let (mut n_left, mut has_open_quote, mut last) = (0, false, None);
        let mut texts = CellTexts::default();
        for row in rows.clone() {
            if row.error.is_none() && layout.is_another_line(row.bytes, row.quoted, &mut texts) {
                continue;
            }
            n_left += 1;
            has_open_quote |= matches!(row.error, Some(QuoteError::Unclosed(_)));
            last = Some(row);
        }
        let is_short = |row: ScannedRow<'_>| {
            !dialect.fills_missing_cells && cells(row.bytes, &dialect.grammar).count() < layout.n_cells()
        };
        let has_line_end = matches!(text.last(), Some(b'\n' | b'\r'));
        let is_cut = has_open_quote || !has_line_end && last.is_some_and(is_short);
        let (rest, line) = (bytes.slice_ref(rows.rest()), rows.line());
        Ok(Document { rest, line, source, layout, chunk: VecDeque::new(), n_left, is_cut })
    }

    fn names_of(&self, first: ScannedRow<'_>, source: Name) -> Result<Vec<String>> {
        let location = RowLocation { source, line: first.line };
        if let Some(error) = first.error {
            return Err(in_table(&self.dialect, location.bad_quotes(first.bytes, error)));
        }
        let names = column_names(first.bytes, first.quoted, &self.dialect);
        names.map_err(|error| in_table(&self.dialect, location.error(first.bytes, &error)))
    }

    fn layout_of(
        &mut self,
        header: Header<'_>,
        has_rule: bool,
        rows: Rows<'_>,
        source: Name,
    ) -> Result<Arc<RowLayout>> {
        let Header { names, written, line } = header;
        if let Some(layout) = self.layout.as_ref().filter(|layout| layout.has_columns(names)) {
            return Ok(Arc::clone(layout));
        }
        let mut inference = Inference::new(0);
        inference.add_columns(names, &self.dialect);
        inference.set_header(written, &self.dialect);
        inference.set_rule(has_rule);
        let columns: Vec<usize> = (0..names.len()).collect();
        let whole = rows.filter(|row| row.error.is_none());
        for row in whole.take(SAMPLE) {
            inference.set_line(row.line);
            inference.observe(row.bytes, row.quoted, &columns, &self.dialect);
        }
        if let Some(wide) = inference.wider_than_header()
            && self.dialect.has_header
            && !self.dialect.drops_extra_cells
        {
            let error = anyhow!("{source}:{line}: {}", wider_rows(names, wide, line, &self.dialect));
            return Err(in_table(&self.dialect, error));
        }
        for warning in header.warnings(&self.dialect) {
            tracing::warn!("{}", in_table(&self.dialect, anyhow!("{source}: {warning}")));
        }
        for (line, warning) in header.warnings_about_rows(&inference, &self.dialect) {
            let line = line.unwrap_or(header.line);
            tracing::warn!("{}", in_table(&self.dialect, anyhow!("{source}:{line}: {warning}")));
        }
        let n_rows = inference.n_rows();
        let columns = names.iter().cloned().zip(inference.finish());
        let layout = Arc::new(RowLayout::new(columns, written, &self.dialect).under_rule(has_rule));
        if n_rows > 0 {
            self.layout = Some(Arc::clone(&layout));
        }
        Ok(layout)
    }
}

impl Iterator for Document {
    type Item = Result<Row, BadRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.chunk.is_empty() {
            self.read_chunk();
        }
        let row = self.chunk.pop_front()?;
        self.n_left -= 1;
        Some(row)
    }
}

impl Document {
    /// How many rows remain.
    pub(crate) fn len(&self) -> usize {
        self.n_left
    }

    /// Whether the text seems to end inside a row: a quote is not closed, or the last row has no line end and not
    /// all cells.
    pub(crate) fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The texts of the rows that were not read, as they are written. For a document none of whose rows was taken.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let rows = Rows::new(&self.rest, &self.layout.dialect().grammar, self.line);
        let mut texts = CellTexts::default();
        let is_row = move |row: &ScannedRow<'_>| {
            row.error.is_some() || !self.layout.is_another_line(row.bytes, row.quoted, &mut texts)
        };
        rows.filter(is_row).map(|row| row.bytes)
    }

    fn read_chunk(&mut self) {
        let layout = Arc::clone(&self.layout);
        let mut rows = Rows::new(&self.rest, &layout.dialect().grammar, self.line);
        let mut table = TableBuilder::new(
            Arc::clone(&layout),
            CHUNK_ROWS.min(self.n_left),
            CHUNK_BYTES.min(self.rest.len()),
        );
        // For each row why it is not valid, if it is not.
        let mut read: Vec<Option<BadRow>> = Vec::new();
        while read.len() < CHUNK_ROWS
            && table.n_bytes() < CHUNK_BYTES
            && let Some(row) = rows.next()
        {
            let location = RowLocation { source: self.source, line: row.line };
            let pushed = match row.error {
                Some(error) => Err(location.bad_quotes(row.bytes, error)),
                None => match table.push(row.bytes, row.quoted) {
                    Err(RowError { line: Some(_), .. }) => continue,
                    pushed => pushed.map_err(|error| location.error(row.bytes, &error)),
                },
            };
            let pushed = pushed.map_err(|error| in_table(layout.dialect(), error));
            read.push(pushed.err().map(|reason| BadRow { bytes: self.rest.slice_ref(row.bytes), reason }));
        }
        let (rest, line) = (self.rest.slice_ref(rows.rest()), rows.line());
        let mut valid = table.finish();
        self.chunk = read
            .into_iter()
            .filter_map(|bad| bad.map_or_else(|| valid.next().map(Ok), |bad| Some(Err(bad))))
            .collect();
        (self.rest, self.line) = (rest, line);
    }
}

/// The error, and the table that its options go into.
fn in_table(dialect: &Dialect, error: Error) -> Error {
    match dialect.prefix.strip_suffix('.') {
        Some(table) => anyhow!("{error:#} (options of rows go into the table `{table}`)"),
        None => error,
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
    row.error.is_none() && is_rule(row.bytes, &dialect.grammar)
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner_core::{Body, Origin, Record};

    fn open(text: &'static str) -> Document {
        let text = Bytes::from_static(text.as_bytes());
        DocumentReader::default().open(&text, Name::new("http://api")).unwrap()
    }

    fn read(reader: &mut DocumentReader, text: &str) -> Result<Vec<Row>> {
        let rows = reader.open(&Bytes::copy_from_slice(text.as_bytes()), Name::new("http://api/prices"))?;
        Ok(rows.filter_map(Result::ok).collect())
    }

    fn json_of(rows: &[Row]) -> Vec<String> {
        let origin = Origin { source: Name::new("http://api"), partition: 0, offset: 0 };
        let record = |row: &Row| Record::new(Body::Row(row.clone()), origin);
        rows.iter().map(|row| record(row).value().unwrap().to_string()).collect()
    }

    #[test]
    fn document_rows_become_typed_records() {
        let text = "\u{feff}Index,Close,ok\r\nNYA,528.690002,true\r\n\r\n\"N,225\",1,\r\n";
        let records = read(&mut DocumentReader::default(), text).unwrap();
        assert_eq!(
            json_of(&records),
            [r#"{"Index":"NYA","Close":528.690002,"ok":true}"#, r#"{"Index":"N,225","Close":1.0,"ok":null}"#]
        );
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
        let mut rows = open("a,b\n1,\"x\n1,\"q\"\n2,\"q\"\n");
        assert_eq!(rows.len(), 3);
        let bad = rows.next().unwrap().unwrap_err();
        let reason = bad.reason.to_string();
        assert!(reason.starts_with("http://api:2:3: the quote that opens here is never closed"), "{reason}");
        assert_eq!(bad.bytes, "1,\"x");
        let rest: Vec<Row> = rows.map(Result::unwrap).collect();
        assert_eq!(json_of(&rest), [r#"{"a":1,"b":"q"}"#, r#"{"a":2,"b":"q"}"#]);
    }

    #[test]
    fn rows_of_many_chunks_keep_their_order_and_their_lines() {
        use std::fmt::Write as _;
        let mut text = "n,t\n".to_owned();
        for n in 0..5_000 {
            writeln!(text, "{}", if n % 1_000 == 7 { "x".into() } else { format!("{n},\"a\nb\"") }).unwrap();
        }
        let mut rows = DocumentReader::default().open(&text.clone().into(), Name::new("http://api")).unwrap();
        assert_eq!((rows.len(), rows.texts().count()), (5_000, 5_000));
        for n in 0..5_000 {
            assert_eq!(rows.len(), 5_000 - n);
            match rows.next().unwrap() {
                Ok(row) => assert_eq!(json_of(&[row]), [format!(r#"{{"n":{n},"t":"a\nb"}}"#)]),
                Err(bad) => {
                    // The rows before have two lines each, apart from the bad ones.
                    let line = 2 + 2 * n - n / 1_000;
                    let reason = bad.reason.to_string();
                    assert!(n % 1_000 == 7 && reason.starts_with(&format!("http://api:{line}:")), "{reason}");
                }
            }
        }
        assert!(rows.next().is_none());
    }

    #[test]
    fn line_that_is_not_a_row_is_not_counted() {
        let rows = open("a,b\n1,2\n\"a\",b\n3,4\n(2 rows)\n");
        assert_eq!((rows.len(), rows.texts().count()), (2, 2));
        let rows: Vec<Row> = rows.map(Result::unwrap).collect();
        assert_eq!(json_of(&rows), [r#"{"a":1,"b":2}"#, r#"{"a":3,"b":4}"#]);
    }

    #[test]
    fn text_that_ends_inside_a_row_is_noticed() {
        for (text, is_cut) in [
            ("a,b\n1,2\n3", true),
            ("a,b\n1,2\n3,\"x\ny,z\n", true),
            ("a,b\n1,2\n3,4", false),
            ("a,b\n1,2\n3\n", false),
            ("a,b\n1,2\n(1 row)", false),
            ("a,b\n", false),
        ] {
            assert_eq!(open(text).is_cut(), is_cut, "{text}");
        }
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
    fn line_that_names_the_delimiter_is_skipped() {
        let text = "sep=,\r\nn,s\r\n1,x\r\n";
        assert_eq!(json_of(&read(&mut DocumentReader::default(), text).unwrap()), [r#"{"n":1,"s":"x"}"#]);
        let error = read(&mut DocumentReader::default(), "sep=;\nn;s\n1;x\n").unwrap_err().to_string();
        assert!(error.contains(":1:1: this line says") && error.contains("delimiter = \";\""), "{error}");
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
