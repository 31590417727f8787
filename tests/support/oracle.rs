//! The oracle knows the expected records, observes acknowledgements, and checks the result.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use super::kafka::StoredRecord;

/// The value of the header `runner-source` of these records.
const SOURCE: &str = "producer/stocks";

/// The expected records by entry number, and the acknowledgements observed during the run.
pub struct Oracle {
    records: Vec<String>,
    commits: Vec<Commits>,
    checkpoints: Vec<Checkpoint>,
}

/// The offsets that a group had committed, and the records that were stored a moment later.
struct Commits {
    offsets: Vec<Option<i64>>,
    is_stored: Vec<bool>,
}

/// The next entry of a checkpoint, and the end offsets of the partitions a moment later.
struct Checkpoint {
    next_entry: usize,
    ends: Vec<i64>,
}

/// A broken guarantee.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// This entry is missing.
    Lost(usize),
    /// This entry is present more often than allowed.
    Duplicated(usize),
    /// This object or record of an entry has other content.
    Altered(String),
    /// This object or record belongs to no entry.
    Unknown(String),
    /// This entry was acknowledged before it was stored.
    AckedTooEarly(usize),
    /// The committed offset of this partition went back.
    WentBack(usize),
    /// The report is wrong.
    WrongReport(String),
}

/// All violations that were found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict(pub Vec<Violation>);

impl Oracle {
    /// Expects these records, with the entry numbers from 0 on.
    pub fn new(records: Vec<String>) -> Oracle {
        Oracle { records, commits: Vec::new(), checkpoints: Vec::new() }
    }

    pub fn n_records(&self) -> usize {
        self.records.len()
    }

    pub fn records(&self) -> &[String] {
        &self.records
    }

    /// The object key of an entry.
    pub fn key(entry: usize) -> String {
        format!("stockmarket_project/stock_market_{entry}.json")
    }

    /// The entry of an object key.
    pub fn entry_of(&self, key: &str) -> Option<usize> {
        let number = key.strip_prefix("stockmarket_project/stock_market_")?.strip_suffix(".json")?;
        let entry = number.parse().ok()?;
        (entry < self.records.len() && Oracle::key(entry) == key).then_some(entry)
    }

    /// Observes committed offsets. `keys` must have been listed after `offsets`.
    pub fn observe_commits(&mut self, offsets: Vec<Option<i64>>, keys: &[String]) {
        let mut is_stored = vec![false; self.records.len()];
        for entry in keys.iter().filter_map(|key| self.entry_of(key)) {
            is_stored[entry] = true;
        }
        self.commits.push(Commits { offsets, is_stored });
    }

    /// Observes a checkpoint. `ends` must have been read after `next_entry`.
    pub fn observe_checkpoint(&mut self, next_entry: usize, ends: Vec<i64>) {
        self.checkpoints.push(Checkpoint { next_entry, ends });
    }

    /// Checks that every record is one object, and that there is no other object.
    pub fn judge_objects(&self, objects: &[(String, String)]) -> Verdict {
        let mut violations = Vec::new();
        let mut n_seen = vec![0; self.records.len()];
        let by_content: HashMap<&str, usize> =
            self.records.iter().enumerate().map(|(entry, content)| (content.as_str(), entry)).collect();
        for (key, content) in objects {
            match (self.entry_of(key), by_content.get(content.as_str())) {
                (Some(entry), _) if self.records[entry] == *content => n_seen[entry] += 1,
                (Some(entry), _) => {
                    n_seen[entry] += 1;
                    violations.push(Violation::Altered(key.clone()));
                }
                (None, Some(&entry)) => n_seen[entry] += 1,
                (None, None) => violations.push(Violation::Unknown(key.clone())),
            }
        }
        count(&n_seen, 1, &mut violations);
        Verdict::of(violations)
    }

    /// Checks that every record is in the topic, that its copies are equal, and that nothing was acknowledged too early.
    pub fn judge_topic(&self, stored: &[StoredRecord], at_most_copies: usize) -> Verdict {
        let mut violations = Vec::new();
        let mut n_seen = vec![0; self.records.len()];
        for it in stored {
            let place = || format!("{}/{}", it.partition, it.offset);
            let is_ours = it.header("runner-source") == Some(SOURCE);
            match self.entry_in(it).filter(|_| is_ours) {
                Some(entry) => {
                    n_seen[entry] += 1;
                    if it.text() != self.records[entry] {
                        violations.push(Violation::Altered(place()));
                    }
                }
                None => violations.push(Violation::Unknown(place())),
            }
        }
        count(&n_seen, at_most_copies, &mut violations);
        self.judge_commits(stored, &mut violations);
        self.judge_checkpoints(stored, &mut violations);
        Verdict::of(violations)
    }

    fn entry_in(&self, stored: &StoredRecord) -> Option<usize> {
        let entry: usize = stored.header("runner-entry")?.parse().ok()?;
        (entry < self.records.len()).then_some(entry)
    }

    /// Checks that every record before a committed offset was stored by then, and that no offset went back.
    fn judge_commits(&self, stored: &[StoredRecord], violations: &mut Vec<Violation>) {
        for Commits { offsets, is_stored } in &self.commits {
            let committed = |it: &&StoredRecord| {
                let offset = offsets.get(it.partition as usize).copied().flatten();
                offset.is_some_and(|offset| it.offset < offset)
            };
            let entries = stored.iter().filter(committed).filter_map(|it| self.entry_in(it));
            violations.extend(entries.filter(|&entry| !is_stored[entry]).map(Violation::AckedTooEarly));
        }
        self.judge_order(violations);
    }

    /// Checks that no committed offset went back.
    fn judge_order(&self, violations: &mut Vec<Violation>) {
        let mut furthest: Vec<Option<i64>> = Vec::new();
        for Commits { offsets, .. } in &self.commits {
            furthest.resize(furthest.len().max(offsets.len()), None);
            for (partition, furthest) in furthest.iter_mut().enumerate() {
                let offset = offsets.get(partition).copied().flatten();
                if offset < *furthest {
                    violations.push(Violation::WentBack(partition));
                }
                *furthest = offset.max(*furthest);
            }
        }
    }

    /// Checks that every entry before the next entry of a checkpoint was in the topic by then.
    fn judge_checkpoints(&self, stored: &[StoredRecord], violations: &mut Vec<Violation>) {
        for Checkpoint { next_entry, ends } in &self.checkpoints {
            let mut is_there = vec![false; (*next_entry).min(self.records.len())];
            for it in stored.iter().filter(|it| it.offset < ends[it.partition as usize]) {
                if let Some(seen) = self.entry_in(it).and_then(|entry| is_there.get_mut(entry)) {
                    *seen = true;
                }
            }
            violations.extend(
                is_there
                    .iter()
                    .enumerate()
                    .filter(|(_, seen)| !*seen)
                    .map(|it| Violation::AckedTooEarly(it.0)),
            );
        }
    }

    /// Checks the status of the first pipeline, that its counts add up, and how many records were stored.
    pub fn judge_report(&self, report: &Value, status: &str, n_records: usize) -> Verdict {
        let mut violations = Vec::new();
        let pipeline = &report["pipelines"][0];
        if pipeline["status"] != status {
            violations.push(Violation::WrongReport(format!("status {}, not {status}", pipeline["status"])));
        }
        let Verdict(untrue) = self.judge_sums(report);
        violations.extend(untrue);
        // What a component before the last one has received and not delivered, it has released.
        let last = components(report).last().cloned().unwrap_or_default();
        for counter in ["records_in", "records_out"] {
            if last[counter] != n_records {
                let message = format!("{} {counter} {}, not {n_records}", last["name"], last[counter]);
                violations.push(Violation::WrongReport(message));
            }
        }
        Verdict::of(violations)
    }

    /// Checks that the counts of the first pipeline add up, whatever its status: each
    /// component passed, filtered, rejected or released its input, and its input is the output of the one before.
    pub fn judge_sums(&self, report: &Value) -> Verdict {
        let mut violations = Vec::new();
        // After an abort some records were sent and never received.
        let is_aborted = report["pipelines"][0]["reason"] == "aborted";
        let mut sent: Option<u64> = None;
        let n = |component: &Value, counter: &str| {
            component[counter].as_u64().unwrap_or_else(|| panic!("no {counter} in {component}"))
        };
        for it in components(report) {
            let [n_in, n_out, n_filtered, n_rejected, n_released] =
                ["records_in", "records_out", "filtered", "rejected", "released"]
                    .map(|counter| n(it, counter));
            if n_in != n_out + n_filtered + n_rejected + n_released
                || sent.is_some_and(|sent| sent < n_in || (sent > n_in && !is_aborted))
            {
                violations.push(Violation::WrongReport(format!("{it} behind {sent:?}")));
            }
            sent = Some(n_out);
        }
        if sent.is_none() {
            violations.push(Violation::WrongReport("no components".into()));
        }
        Verdict::of(violations)
    }
}

/// The components of the first pipeline, which is linear.
fn components(report: &Value) -> &[Value] {
    report["pipelines"][0]["components"].as_array().map_or(&[], Vec::as_slice)
}

/// Reports missing and duplicated entries.
fn count(n_seen: &[usize], at_most: usize, violations: &mut Vec<Violation>) {
    for (entry, &n) in n_seen.iter().enumerate() {
        if n == 0 {
            violations.push(Violation::Lost(entry));
        } else if n > at_most {
            violations.push(Violation::Duplicated(entry));
        }
    }
}

impl Verdict {
    fn of(mut violations: Vec<Violation>) -> Verdict {
        violations.sort_unstable();
        violations.dedup();
        Verdict(violations)
    }

    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.0.is_empty(), "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |is: fn(&Violation) -> bool| self.0.iter().filter(|it| is(it)).count();
        write!(
            f,
            "{} lost, {} duplicated, {} wrong",
            n(|it| matches!(it, Violation::Lost(_))),
            n(|it| matches!(it, Violation::Duplicated(_))),
            n(|it| !matches!(it, Violation::Lost(_) | Violation::Duplicated(_))),
        )?;
        self.0.iter().take(20).try_for_each(|violations| write!(f, "\n  {violations:?}"))
    }
}
