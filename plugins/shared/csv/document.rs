//! Reads a whole CSV text in memory, such as the response of an API.

use std::sync::Arc;

use anyhow::{Result, bail};
use runner_core::{Body, Name, Origin, Record, Reject};

use super::header::{BYTE_ORDER_MARK, column_names, unnamed_column};
use super::layout::{Dialect, RowLayout, RowLocation, TableBuilder, reject};
use super::scan::Rows;
use super::types::{Inference, SAMPLE};

/// Reads CSV texts one after another. The types are inferred from the first one that has rows.
#[derive(Debug, Default)]
pub(crate) struct DocumentReader {
    dialect: Dialect,
    layout: Option<Arc<RowLayout>>,
}

impl DocumentReader {
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
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let mut rows = Rows::new(bytes, self.dialect.delimiter);
        let Some(first) = rows.next() else {
            bail!("{source}: the response is empty, and a header row was expected");
        };
        let location = RowLocation { source, line: first.line };
        if let Some(error) = first.error {
            return Err(location.bad_quotes(first.bytes, error));
        }
        let names = column_names(first.bytes, first.quoted, &self.dialect);
        let names = names.map_err(|error| location.error(first.bytes, &error))?;
        if self.layout.as_ref().is_none_or(|layout| !layout.has_columns(&names))
            && let Some(warning) = unnamed_column(&names)
        {
            tracing::warn!("{source}: {warning}");
        }
        let mut table = TableBuilder::new(self.layout_of(names, rows.clone()), 0, bytes.len());
        let (mut origins, mut rejects) = (Vec::new(), Vec::new());
        for (row, offset) in rows.zip(offset..) {
            let location = RowLocation { source, line: row.line };
            let origin = Origin { source, partition, offset };
            let pushed = match row.error {
                Some(error) => Err(location.bad_quotes(row.bytes, error)),
                None => table.push(row.bytes, row.quoted).map_err(|error| location.error(row.bytes, &error)),
            };
            match pushed {
                Ok(()) => origins.push(origin),
                Err(reason) => rejects.push(reject(row.bytes, reason, origin, origins.len())),
            }
        }
        let record = |(row, origin)| Record::new(Body::Row(row), origin);
        Ok((table.finish().zip(origins).map(record).collect(), rejects))
    }

    fn layout_of(&mut self, names: Vec<String>, rows: Rows<'_>) -> Arc<RowLayout> {
        if let Some(layout) = self.layout.as_ref().filter(|layout| layout.has_columns(&names)) {
            return Arc::clone(layout);
        }
        let mut inference = Inference::new(names.len());
        let whole = rows.filter(|row| row.error.is_none());
        whole.take(SAMPLE).for_each(|row| inference.observe(row.bytes, row.quoted, &self.dialect));
        let n_rows = inference.n_rows();
        let layout = Arc::new(RowLayout::new(names.into_iter().zip(inference.finish()), &self.dialect));
        if n_rows > 0 {
            self.layout = Some(Arc::clone(&layout));
        }
        layout
    }
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
    fn text_after_a_closing_quote_rejects_the_row_only() {
        let text = b"a,b\n1,\"x\n1,\"q\"\n2,\"q\"\n";
        let (records, rejects) = DocumentReader::default().read(text, Name::new("http://api"), 0, 0).unwrap();
        assert_eq!(json_of(&records), [r#"{"a":2,"b":"q"}"#]);
        let [reject] = &rejects[..] else { panic!("{rejects:?}") };
        let reason = reject.reason.to_string();
        assert!(
            reason.starts_with(
                "http://api:3:4: there is text after the closing quote of the cell that begins at 2:3"
            ),
            "{reason}"
        );
        assert_eq!(reject.record.to_bytes().unwrap(), "1,\"x\n1,\"q\"");
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
