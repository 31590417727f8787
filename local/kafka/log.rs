//! A log: where the batches of one partition begin.

use tansu_sans_io::record::deflated::Batch;

/// The index of one partition.
#[derive(Debug, Default)]
pub(super) struct Log {
    batches: Vec<Start>,
    /// The offset behind the last batch.
    end: i64,
}

#[derive(Debug)]
struct Start {
    offset: i64,
    /// The latest timestamp in the batch, in milliseconds since 1970.
    latest: i64,
}

impl Log {
    /// Takes note of a batch that was stored at `offset`.
    pub(super) fn append(&mut self, offset: i64, n_records: i64, latest: i64) {
        // What was stored in between are the markers that end transactions, one record each.
        for offset in self.end..offset {
            self.batches.push(Start { offset, latest: i64::MIN });
        }
        self.batches.push(Start { offset, latest });
        self.end = offset + n_records;
    }

    /// Where the batch with this offset begins.
    pub(super) fn floor(&self, offset: i64) -> i64 {
        if offset >= self.end {
            return offset;
        }
        let n_begun = self.batches.partition_point(|batch| batch.offset <= offset);
        n_begun.checked_sub(1).map_or(offset, |last| self.batches[last].offset)
    }

    /// The offset and timestamp of the first batch with a record as late as `timestamp`.
    pub(super) fn since(&self, timestamp: i64) -> Option<(i64, i64)> {
        let batch = self.batches.iter().find(|batch| batch.latest >= timestamp)?;
        Some((batch.offset, batch.latest))
    }
}

/// How many offsets a batch takes.
pub(super) fn n_offsets(batch: &Batch) -> i64 {
    i64::from(batch.last_offset_delta) + 1
}

#[cfg(test)]
mod tests {
    use super::Log;

    fn log() -> Log {
        let mut log = Log::default();
        log.append(0, 10, 1_000);
        log.append(10, 1, 3_000);
        log.append(13, 7, 2_000);
        log
    }

    #[test]
    fn an_offset_is_floored_to_its_own_batch() {
        let log = log();
        let floors = [0, 9, 10, 11, 12, 13, 19].map(|offset| log.floor(offset));
        assert_eq!(floors, [0, 0, 10, 11, 12, 13, 13]);
    }

    #[test]
    fn an_offset_at_the_end_stays_where_it_is() {
        assert_eq!(log().floor(20), 20);
        assert_eq!(Log::default().floor(0), 0);
    }

    #[test]
    fn a_time_finds_the_first_batch_that_reaches_it() {
        let log = log();
        assert_eq!(log.since(0), Some((0, 1_000)));
        assert_eq!(log.since(1_001), Some((10, 3_000)));
        assert_eq!(log.since(3_001), None);
    }
}
