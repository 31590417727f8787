//! A log: the first offsets of the batches of one partition.

/// The index of one partition.
#[derive(Debug, Default)]
pub(super) struct Log {
    batches: Vec<Start>,
    /// The offset after the last batch.
    end: i64,
}

#[derive(Debug)]
struct Start {
    offset: i64,
    /// The latest timestamp in the batch, in milliseconds since 1970.
    latest: i64,
}

impl Log {
    /// Records that a batch was stored at `offset`.
    pub(super) fn append(&mut self, offset: i64, n_records: i64, latest: i64) {
        // The offsets in between belong to the markers that end transactions, one record each.
        for offset in self.end..offset {
            self.batches.push(Start { offset, latest: i64::MIN });
        }
        self.batches.push(Start { offset, latest });
        self.end = offset + n_records;
    }

    /// The first offset of the batch that contains `offset`.
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

#[cfg(test)]
mod tests {
    use super::Log;

    #[test]
    fn offsets_and_times_find_their_batch() {
        let mut log = Log::default();
        assert_eq!(log.floor(0), 0);
        log.append(0, 10, 1_000);
        log.append(10, 1, 3_000);
        log.append(13, 7, 2_000);
        let floors = [0, 9, 10, 11, 12, 13, 19, 20].map(|offset| log.floor(offset));
        assert_eq!(floors, [0, 0, 10, 11, 12, 13, 13, 20]);
        let found = [0, 1_001, 3_001].map(|time| log.since(time));
        assert_eq!(found, [Some((0, 1_000)), Some((10, 3_000)), None]);
    }
}
