//! The delimiters of the CSV lines in one file.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use runner_core::{Body, Record};

/// The delimiters of the rows that one run has written.
#[derive(Default)]
pub(super) struct Delimiters {
    /// That of the first row; 0 before it.
    first: AtomicU8,
    is_warned: AtomicBool,
}

impl Delimiters {
    /// A warning about the first row whose delimiter is not that of the rows before it.
    pub(super) fn warning_about(&self, records: &[Record]) -> Option<String> {
        let delimiters = records.iter().filter_map(|record| match &record.body {
            Body::Row(row) => Some(row.header().delimiter()),
            _ => None,
        });
        let (mut first, mut other) = (self.first.load(Ordering::Relaxed), None);
        for delimiter in delimiters {
            if first == 0 {
                first = delimiter;
                self.first.store(first, Ordering::Relaxed);
            } else if delimiter != first {
                other = Some(delimiter);
                break;
            }
        }
        let other = other.filter(|_| !self.is_warned.swap(true, Ordering::Relaxed))?;
        Some(format!(
            "lines with the delimiter `{}` and lines with `{}` are in one file, so a reader cannot tell their cells apart: \
             add a `to_json` before this sink, or write to two files",
            first.escape_ascii(),
            other.escape_ascii()
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use runner_core::testing::record;
    use runner_core::{Column, ColumnType, Row, Table, TableHeader};

    use super::*;

    fn row(delimiter: u8) -> Record {
        let column = Column { name: "a".into(), kind: ColumnType::String, nullable: true };
        let header = Arc::new(TableHeader::new(vec![column], delimiter, Vec::new()));
        let table = Arc::new(Table::new(header, b"x".to_vec(), vec![1]));
        let mut record = record("", 0);
        record.body = Body::Row(Row::new(table, 0));
        record
    }

    #[test]
    fn rows_with_two_delimiters_are_warned_of_once() {
        let delimiters = Delimiters::default();
        assert_eq!(delimiters.warning_about(&[record("{}", 0), row(b','), row(b',')]), None);
        assert_eq!(delimiters.warning_about(&[record("{}", 0), row(b',')]), None);
        let warning = delimiters.warning_about(&[row(b','), row(b'\t')]).unwrap();
        assert!(warning.contains("`,`") && warning.contains("`\\t`"), "{warning}");
        assert_eq!(delimiters.warning_about(&[row(b';')]), None);
    }
}
