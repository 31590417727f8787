//! Tests of the oracle: it detects pipelines that lose, duplicate or alter records on purpose.

use runner_needs::needs;
use serde_json::{Value, json};

use crate::support::flow::{BUCKET, Flow, LONG};
use crate::support::kafka::StoredRecord;
use crate::support::oracle::{Oracle, Violation};

fn oracle() -> Oracle {
    Oracle::new(["a", "b", "c"].map(str::to_owned).into())
}

fn objects(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|&(key, content)| (key.to_owned(), content.to_owned())).collect()
}

fn stored(offset: i64, entry: &str, content: &str) -> StoredRecord {
    let header = |name: &str, value: &str| (name.to_owned(), Some(value.as_bytes().to_vec()));
    StoredRecord {
        partition: 0,
        offset,
        key: None,
        payload: Some(content.as_bytes().to_vec()),
        headers: vec![header("runner-entry", entry), header("runner-source", "producer/stocks")],
        timestamp: None,
    }
}

const KEYS: [&str; 3] = [
    "stockmarket_project/stock_market_0.json",
    "stockmarket_project/stock_market_1.json",
    "stockmarket_project/stock_market_2.json",
];

#[test]
fn oracle_accepts_correct_objects_and_names_others() {
    let judge = |all: &[(&str, &str)]| oracle().judge_objects(&objects(all)).0;
    let right = [(KEYS[0], "a"), (KEYS[1], "b"), (KEYS[2], "c")];
    assert_eq!(judge(&right), []);
    assert_eq!(judge(&right[..2]), [Violation::Lost(2)]);
    assert_eq!(judge(&[&right[..], &[("elsewhere", "b")]].concat()), [Violation::Duplicated(1)]);
    assert_eq!(judge(&[&right[..2], &[(KEYS[2], "C")]].concat()), [Violation::Altered(KEYS[2].into())]);
    let strange = "stockmarket_project/stock_market_3.json";
    assert_eq!(judge(&[&right[..], &[(strange, "d")]].concat()), [Violation::Unknown(strange.into())]);
    let padded = "stockmarket_project/stock_market_01.json";
    assert_eq!(judge(&[&right[..], &[(padded, "b")]].concat()), [Violation::Duplicated(1)]);
}

#[test]
fn oracle_accepts_allowed_copies_in_topic_only() {
    let right = [stored(0, "0", "a"), stored(1, "1", "b"), stored(2, "2", "c")];
    let judge = |all: &[StoredRecord], at_most| oracle().judge_topic(all, at_most).0;
    assert_eq!(judge(&right, 1), []);
    assert_eq!(judge(&right[1..], 1), [Violation::Lost(0)]);
    let twice = [&right[..], &[stored(3, "1", "b")]].concat();
    assert_eq!((judge(&twice, 1), judge(&twice, 2)), (vec![Violation::Duplicated(1)], vec![]));
    let altered = [&right[..], &[stored(3, "1", "B")]].concat();
    assert_eq!(judge(&altered, 2), [Violation::Altered("0/3".into())]);
    let forged = [&right[..], &[stored(3, "3", "d")]].concat();
    assert_eq!(judge(&forged, 2), [Violation::Unknown("0/3".into())]);
    let mut foreign = stored(3, "1", "b");
    foreign.headers.pop();
    assert_eq!(judge(&[&right[..], &[foreign]].concat(), 2), [Violation::Unknown("0/3".into())]);
}

#[test]
fn oracle_names_records_acked_before_stored() {
    let topic = [stored(0, "0", "a"), stored(1, "1", "b"), stored(2, "2", "c")];
    let observed = |observe: &dyn Fn(&mut Oracle)| {
        let mut oracle = oracle();
        observe(&mut oracle);
        oracle.judge_topic(&topic, 1).0
    };
    let keys = [KEYS[0].to_owned(), KEYS[2].to_owned()];
    assert_eq!(observed(&|oracle| oracle.observe_commits(vec![None], &[])), []);
    assert_eq!(observed(&|oracle| oracle.observe_commits(vec![Some(1)], &keys)), []);
    assert_eq!(
        observed(&|oracle| oracle.observe_commits(vec![Some(3)], &keys)),
        [Violation::AckedTooEarly(1)]
    );
    assert_eq!(observed(&|oracle| oracle.observe_checkpoint(2, vec![2])), []);
    assert_eq!(observed(&|oracle| oracle.observe_checkpoint(3, vec![2])), [Violation::AckedTooEarly(2)]);
}

#[test]
fn oracle_names_commit_that_went_back() {
    let topic = [stored(0, "0", "a"), stored(1, "1", "b"), stored(2, "2", "c")];
    let keys = KEYS.map(str::to_owned);
    let judge = |observed: &[&[Option<i64>]]| {
        let mut oracle = oracle();
        for offsets in observed {
            oracle.observe_commits(offsets.to_vec(), &keys);
        }
        oracle.judge_topic(&topic, 1).0
    };
    assert_eq!(judge(&[&[None], &[Some(1), None], &[Some(1), Some(4)], &[Some(3), Some(4)]]), []);
    assert_eq!(judge(&[&[Some(2), Some(1)], &[Some(2), Some(0)]]), [Violation::WentBack(1)]);
    assert_eq!(judge(&[&[Some(2)], &[None], &[Some(2)]]), [Violation::WentBack(0)]);
}

#[test]
fn oracle_rejects_report_with_wrong_counts() {
    let counts = |n_in: u64, n_out: u64, n_rejected: u64, n_released: u64| json!({ "name": "stocks", "records_in": n_in, "records_out": n_out, "filtered": 0, "rejected": n_rejected, "released": n_released });
    let component = |n_in: u64, n_out: u64, n_rejected: u64| counts(n_in, n_out, n_rejected, 0);
    let report = |status: &str, components: &[Value]| json!({ "pipelines": [{ "status": status, "components": components }] });
    let judge = |status: &str, components: &[Value]| {
        oracle().judge_report(&report(status, components), "completed", 3).0.len()
    };
    let right = [component(3, 3, 0), component(3, 3, 0)];
    assert_eq!((judge("completed", &right), judge("stopped", &right)), (0, 1));
    assert_ne!(judge("completed", &[component(3, 3, 0), component(3, 4, 0)]), 0);
    assert_ne!(judge("completed", &[component(3, 2, 1), component(2, 2, 0)]), 0);
    assert_ne!(judge("completed", &[]), 0, "a report without components");
    let sums = |components: &[Value]| oracle().judge_sums(&report("stopped", components)).0.len();
    assert_eq!(sums(&[component(7, 6, 1), component(6, 6, 0)]), 0);
    assert_eq!(sums(&[counts(7, 6, 0, 1), component(6, 6, 0)]), 0, "one record was released");
    assert_eq!(judge("completed", &[counts(9, 3, 0, 6), component(3, 3, 0)]), 0);
    assert_eq!(sums(&[component(7, 6, 0), component(6, 6, 0)]), 1, "one record is missing");
    assert_eq!(
        sums(&[component(7, 7, 0), component(6, 6, 0)]),
        1,
        "one record is missing between the components"
    );
}

/// What the oracle finds in the bucket, and in the topic and the commits.
fn verdict(flow: &mut Flow<'_>) -> (Vec<Violation>, Vec<Violation>) {
    flow.at_full_speed();
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);
    flow.listen();
    let topic = flow.oracle.judge_topic(&flow.broker.read_all(&flow.topic), 1);
    (flow.judge_objects().0, topic.0)
}

#[needs(kafka)]
#[test]
fn oracle_detects_pipeline_that_loses_records() {
    let mut flow = Flow::new(50);
    let sample =
        "[transforms.some]\ntype = \"sample\"\ninputs = [\"json\"]\none_in = 2\nseed = 1\n[sinks.lake]";
    flow.edit("consumer.toml", "[sinks.lake]", sample);
    flow.edit("consumer.toml", "type = \"s3\"\ninputs = [\"json\"]", "type = \"s3\"\ninputs = [\"some\"]");
    let (objects, topic) = verdict(&mut flow);
    let lost: Vec<usize> = objects
        .iter()
        .map(
            |violation| if let Violation::Lost(entry) = violation { *entry } else { panic!("{violation:?}") },
        )
        .collect();
    assert!(!lost.is_empty() && lost.len() < 50);
    assert_eq!(
        topic,
        lost.into_iter().map(Violation::AckedTooEarly).collect::<Vec<_>>(),
        "committed and not stored"
    );
    assert_ne!(flow.verdict_on_report("consumer", "completed", 50).0, []);
}

#[needs(kafka)]
#[test]
fn oracle_detects_pipeline_that_duplicates_records() {
    let mut flow = Flow::new(50);
    flow.at_full_speed();
    flow.produce().wait(LONG).assert_code(0);
    flow.env.run(["run", "producer.toml", "--from-start"]).assert_code(0);
    let by_offset = "{{ topic }}/{{ partition }}/{{ offset }}.json";
    flow.edit("consumer.toml", "stockmarket_project/stock_market_{{ entry }}.json", by_offset);
    let (objects, topic) = verdict(&mut flow);
    let all: Vec<Violation> = (0..50).map(Violation::Duplicated).collect();
    assert_eq!(objects, all);
    assert!(all.iter().all(|doubled| topic.contains(doubled)));
}

#[needs(kafka)]
#[test]
fn oracle_detects_pipeline_that_alters_records() {
    let mut flow = Flow::new(50);
    let right = flow.env.read("stocks.csv");
    let (rest, last) = right.trim_end().rsplit_once('\n').expect("rows");
    flow.env.write("stocks.csv", format!("{rest}\n{}\n", last.replacen('1', "2", 1)));
    let (objects, topic) = verdict(&mut flow);
    assert_eq!(objects, [Violation::Altered(Oracle::key(49))]);
    assert_eq!(topic, [Violation::Altered("0/49".into())]);
    assert_eq!(flow.s3.count(BUCKET), 50);
}
