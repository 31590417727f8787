//! A whole answer in memory, as an API gives it: header and rows at once.

use std::sync::Arc;

use anyhow::{Result, bail};
use runner_core::{Body, Name, Origin, Record, Reject};

use super::header::{BYTE_ORDER_MARK, column_names, nameless};
use super::layout::{Dialect, Layout, Place, TableBuilder, reject};
use super::scan::Rows;
use super::types::{Inference, SAMPLE};

/// Reads answers one after the other; the first one with rows settles the types.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    dialect: Dialect,
    layout: Option<(Vec<String>, Arc<Layout>)>,
}

impl Answers {
    /// The rows of an answer as records, and as rejects those at fault, apart so that
    /// batches can be cut from them. Offsets are counted on from `offset`, one a row,
    /// rejected or not.
    ///
    /// An answer without a header is an error; one with other columns than those
    /// before it settles its types anew.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        stream: Name,
        lane: i32,
        offset: u64,
    ) -> Result<(Vec<Record>, Vec<Reject>)> {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let mut rows = Rows::new(bytes, self.dialect.delimiter);
        let Some(first) = rows.next() else {
            bail!("{stream}: the answer is empty, and a header row was expected");
        };
        let place = Place { stream, line: first.line };
        if let Some(slip) = first.slip {
            return Err(place.misquoted(first.row, slip));
        }
        let names = column_names(first.row, first.quoted, &self.dialect);
        let names = names.map_err(|fault| place.error(first.row, &fault))?;
        if self.layout.as_ref().is_none_or(|(known, _)| *known != names)
            && let Some(doubt) = nameless(&names)
        {
            tracing::warn!("{stream}: {doubt}");
        }
        let mut table = TableBuilder::new(self.layout_for(names, rows.clone()), 0, bytes.len());
        let (mut origins, mut rejects) = (Vec::new(), Vec::new());
        for (found, offset) in rows.zip(offset..) {
            let place = Place { stream, line: found.line };
            let origin = Origin { source: stream, partition: lane, offset };
            let pushed = match found.slip {
                Some(slip) => Err(place.misquoted(found.row, slip)),
                None => table.push(found.row, found.quoted).map_err(|fault| place.error(found.row, &fault)),
            };
            match pushed {
                Ok(()) => origins.push(origin),
                Err(reason) => rejects.push(reject(found.row, reason, origin, origins.len())),
            }
        }
        let record = |(row, origin)| Record::new(Body::Row(row), origin);
        Ok((table.finish().zip(origins).map(record).collect(), rejects))
    }

    fn layout_for(&mut self, names: Vec<String>, rows: Rows<'_>) -> Arc<Layout> {
        if let Some((known, layout)) = &self.layout
            && *known == names
        {
            return Arc::clone(layout);
        }
        let mut inference = Inference::new(names.len());
        let whole = rows.filter(|found| found.slip.is_none());
        whole.take(SAMPLE).for_each(|found| inference.see_row(found.row, found.quoted, &self.dialect));
        let n_rows = inference.n_rows();
        let layout = Arc::new(Layout::new(names.iter().cloned().zip(inference.settle()), &self.dialect));
        if n_rows > 0 {
            self.layout = Some((names, Arc::clone(&layout)));
        }
        layout
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answers: &mut Answers, text: &str) -> Result<Vec<Record>> {
        answers.read(text.as_bytes(), Name::new("http://api/prices"), 0, 10).map(|(records, _)| records)
    }

    fn json_of(records: &[Record]) -> Vec<String> {
        let value = |record: &Record| record.clone().value().unwrap().to_string();
        records.iter().map(value).collect()
    }

    #[test]
    fn the_rows_of_an_answer_become_typed_records() {
        let answer = "\u{feff}Index,Close,ok\r\nNYA,528.690002,true\r\n\r\n\"N,225\",1,\r\n";
        let records = read(&mut Answers::default(), answer).unwrap();
        assert_eq!(
            json_of(&records),
            [r#"{"Index":"NYA","Close":528.690002,"ok":true}"#, r#"{"Index":"N,225","Close":1.0,"ok":null}"#]
        );
        assert_eq!(records[1].origin.offset, 11);
    }

    #[test]
    fn the_first_answer_settles_the_types_of_all() {
        let mut answers = Answers::default();
        drop(read(&mut answers, "n\n").unwrap());
        drop(read(&mut answers, "n\n1.5\n").unwrap());
        assert_eq!(json_of(&read(&mut answers, "n\n2\n").unwrap()), [r#"{"n":2.0}"#]);
    }

    #[test]
    fn text_behind_a_closing_quote_is_a_reject_and_the_next_line_is_read() {
        let answer = b"a,b\n1,\"x\n1,\"q\"\n2,\"q\"\n";
        let (records, rejects) = Answers::default().read(answer, Name::new("http://api"), 0, 0).unwrap();
        assert_eq!(json_of(&records), [r#"{"a":2,"b":"q"}"#]);
        let [reject] = &rejects[..] else { panic!("{rejects:?}") };
        let reason = reject.reason.to_string();
        assert!(
            reason.starts_with(
                "http://api:3:4: there is text behind the quote that closes the cell begun at 2:3"
            ),
            "{reason}"
        );
        assert_eq!(reject.record.to_bytes().unwrap(), "1,\"x\n1,\"q\"");
    }

    #[test]
    fn an_answer_without_a_header_is_an_error() {
        for (answer, message) in [
            ("", "http://api/prices: the answer is empty, and a header row was expected"),
            ("\n\"a\n", "http://api/prices:2:1: the quote that opens here is never closed"),
            ("a,b,a\n", "http://api/prices:1:5: columns 1 and 3 are both called `a`"),
        ] {
            let error = read(&mut Answers::default(), answer).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
