//! The oracle issues records whose content it knows, hears what a pipeline acknowledges, and judges in the end.

use std::collections::HashMap;
use std::fmt;

use serde_json::Value;

use super::kafka::Stored;

/// Whose records these are, as the header `runner-source` says.
const SOURCE: &str = "producer/stocks";

/// The records that were issued, by their entry numbers, and what was acknowledged on the way.
pub struct Oracle {
    records: Vec<String>,
    commits: Vec<Commits>,
    checkpoints: Vec<Checkpoint>,
}

/// What a group had committed, and which records were stored when it was asked a moment later.
struct Commits {
    offsets: Vec<Option<i64>>,
    is_stored: Vec<bool>,
}

/// What a checkpoint said, and where the partitions ended a moment later.
struct Checkpoint {
    next_entry: usize,
    ends: Vec<i64>,
}

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wrong {
    /// This entry is nowhere.
    Lost(usize),
    /// This entry is there more often than it may.
    Doubled(usize),
    /// This has the name of an entry and other content.
    Altered(String),
    /// This was never issued.
    Forged(String),
    /// This entry was acknowledged before it was stored.
    Early(usize),
    /// What had been committed of this partition was taken back.
    Receded(usize),
    /// The report does not say what has happened.
    Untrue(String),
}

/// All that is wrong; nothing, it is to be hoped.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict(pub Vec<Wrong>);

impl Oracle {
    /// Issues these records; they have the entry numbers from 0 on.
    pub fn new(records: Vec<String>) -> Oracle {
        Oracle { records, commits: Vec::new(), checkpoints: Vec::new() }
    }

    pub fn n_records(&self) -> usize {
        self.records.len()
    }

    pub fn records(&self) -> &[String] {
        &self.records
    }

    /// The name of the object that an entry becomes.
    pub fn key(entry: usize) -> String {
        format!("stockmarket_project/stock_market_{entry}.json")
    }

    /// Which entry has become the object of this name.
    pub fn entry_of(&self, key: &str) -> Option<usize> {
        let number = key.strip_prefix("stockmarket_project/stock_market_")?.strip_suffix(".json")?;
        let entry = number.parse().ok()?;
        (entry < self.records.len() && Oracle::key(entry) == key).then_some(entry)
    }

    /// Hears what a group has committed. `keys` must have been looked up after `offsets`.
    pub fn hear_commits(&mut self, offsets: Vec<Option<i64>>, keys: &[String]) {
        let mut is_stored = vec![false; self.records.len()];
        for entry in keys.iter().filter_map(|key| self.entry_of(key)) {
            is_stored[entry] = true;
        }
        self.commits.push(Commits { offsets, is_stored });
    }

    /// Hears what a producer counts as delivered. `ends` must have been looked up after `next_entry`.
    pub fn hear_checkpoint(&mut self, next_entry: usize, ends: Vec<i64>) {
        self.checkpoints.push(Checkpoint { next_entry, ends });
    }

    /// Every record is an object of its own, and there are no others.
    pub fn judge_objects(&self, objects: &[(String, String)]) -> Verdict {
        let mut wrong = Vec::new();
        let mut n_seen = vec![0; self.records.len()];
        let by_content: HashMap<&str, usize> =
            self.records.iter().enumerate().map(|(entry, content)| (content.as_str(), entry)).collect();
        for (key, content) in objects {
            match (self.entry_of(key), by_content.get(content.as_str())) {
                (Some(entry), _) if self.records[entry] == *content => n_seen[entry] += 1,
                (Some(entry), _) => {
                    n_seen[entry] += 1;
                    wrong.push(Wrong::Altered(key.clone()));
                }
                (None, Some(&entry)) => n_seen[entry] += 1,
                (None, None) => wrong.push(Wrong::Forged(key.clone())),
            }
        }
        count(&n_seen, 1, &mut wrong);
        Verdict::of(wrong)
    }

    /// Every record lies in the topic, and all its copies are the same; nothing was acknowledged too early.
    pub fn judge_topic(&self, stored: &[Stored], at_most_copies: usize) -> Verdict {
        let mut wrong = Vec::new();
        let mut n_seen = vec![0; self.records.len()];
        for it in stored {
            let place = || format!("{}/{}", it.partition, it.offset);
            let is_ours = it.header("runner-source") == Some(SOURCE);
            match self.entry_in(it).filter(|_| is_ours) {
                Some(entry) => {
                    n_seen[entry] += 1;
                    if it.text() != self.records[entry] {
                        wrong.push(Wrong::Altered(place()));
                    }
                }
                None => wrong.push(Wrong::Forged(place())),
            }
        }
        count(&n_seen, at_most_copies, &mut wrong);
        self.judge_commits(stored, &mut wrong);
        self.judge_checkpoints(stored, &mut wrong);
        Verdict::of(wrong)
    }

    fn entry_in(&self, stored: &Stored) -> Option<usize> {
        let entry: usize = stored.header("runner-entry")?.parse().ok()?;
        (entry < self.records.len()).then_some(entry)
    }

    /// Whatever lies in front of a committed offset was stored by then, and no commit was taken back.
    fn judge_commits(&self, stored: &[Stored], wrong: &mut Vec<Wrong>) {
        for Commits { offsets, is_stored } in &self.commits {
            let committed = |it: &&Stored| {
                let offset = offsets.get(it.partition as usize).copied().flatten();
                offset.is_some_and(|offset| it.offset < offset)
            };
            let entries = stored.iter().filter(committed).filter_map(|it| self.entry_in(it));
            wrong.extend(entries.filter(|&entry| !is_stored[entry]).map(Wrong::Early));
        }
        self.judge_order(wrong);
    }

    /// No partition was ever committed less far than before.
    fn judge_order(&self, wrong: &mut Vec<Wrong>) {
        let mut furthest: Vec<Option<i64>> = Vec::new();
        for Commits { offsets, .. } in &self.commits {
            furthest.resize(furthest.len().max(offsets.len()), None);
            for (partition, furthest) in furthest.iter_mut().enumerate() {
                let offset = offsets.get(partition).copied().flatten();
                if offset < *furthest {
                    wrong.push(Wrong::Receded(partition));
                }
                *furthest = offset.max(*furthest);
            }
        }
    }

    /// Every entry in front of the one that a checkpoint goes on with was in the topic by then.
    fn judge_checkpoints(&self, stored: &[Stored], wrong: &mut Vec<Wrong>) {
        for Checkpoint { next_entry, ends } in &self.checkpoints {
            let mut is_there = vec![false; (*next_entry).min(self.records.len())];
            for it in stored.iter().filter(|it| it.offset < ends[it.partition as usize]) {
                if let Some(seen) = self.entry_in(it).and_then(|entry| is_there.get_mut(entry)) {
                    *seen = true;
                }
            }
            wrong.extend(is_there.iter().enumerate().filter(|(_, seen)| !*seen).map(|it| Wrong::Early(it.0)));
        }
    }

    /// The first pipeline of a report has ended like this, and every component has passed so many records on.
    pub fn judge_report(&self, report: &Value, status: &str, n_records: usize) -> Verdict {
        let mut wrong = Vec::new();
        let pipeline = &report["pipelines"][0];
        if pipeline["status"] != status {
            wrong.push(Wrong::Untrue(format!("status {}, not {status}", pipeline["status"])));
        }
        let Verdict(untrue) = self.judge_sums(report);
        wrong.extend(untrue);
        for component in components(report) {
            for counter in ["records_in", "records_out"] {
                if component[counter] != n_records {
                    let said =
                        format!("{} {counter} {}, not {n_records}", component["name"], component[counter]);
                    wrong.push(Wrong::Untrue(said));
                }
            }
        }
        Verdict::of(wrong)
    }

    /// However the first pipeline of a report has ended, nothing was made or has vanished on the way: each
    /// component has passed on, filtered or rejected what came in, and what it received another has sent.
    pub fn judge_sums(&self, report: &Value) -> Verdict {
        let mut wrong = Vec::new();
        let mut sent: Option<u64> = None;
        let n = |component: &Value, counter: &str| {
            component[counter].as_u64().unwrap_or_else(|| panic!("no {counter} in {component}"))
        };
        for it in components(report) {
            let [n_in, n_out, n_filtered, n_rejected] =
                ["records_in", "records_out", "filtered", "rejected"].map(|counter| n(it, counter));
            if n_in != n_out + n_filtered + n_rejected || sent.is_some_and(|sent| sent != n_in) {
                wrong.push(Wrong::Untrue(format!("{it} behind {sent:?}")));
            }
            sent = Some(n_out);
        }
        if sent.is_none() {
            wrong.push(Wrong::Untrue("no components".into()));
        }
        Verdict::of(wrong)
    }
}

/// The components of the first pipeline, which is a line.
fn components(report: &Value) -> &[Value] {
    report["pipelines"][0]["components"].as_array().map_or(&[], Vec::as_slice)
}

/// Nothing is missing, and nothing is there too often.
fn count(n_seen: &[usize], at_most: usize, wrong: &mut Vec<Wrong>) {
    for (entry, &n) in n_seen.iter().enumerate() {
        if n == 0 {
            wrong.push(Wrong::Lost(entry));
        } else if n > at_most {
            wrong.push(Wrong::Doubled(entry));
        }
    }
}

impl Verdict {
    fn of(mut wrong: Vec<Wrong>) -> Verdict {
        wrong.sort_unstable();
        wrong.dedup();
        Verdict(wrong)
    }

    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.0.is_empty(), "{self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = |is: fn(&Wrong) -> bool| self.0.iter().filter(|it| is(it)).count();
        write!(
            f,
            "{} lost, {} doubled, {} wrong",
            n(|it| matches!(it, Wrong::Lost(_))),
            n(|it| matches!(it, Wrong::Doubled(_))),
            n(|it| !matches!(it, Wrong::Lost(_) | Wrong::Doubled(_))),
        )?;
        self.0.iter().take(20).try_for_each(|wrong| write!(f, "\n  {wrong:?}"))
    }
}
