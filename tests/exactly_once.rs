//! `delivery = "exactly_once"`: from topic to topic in transactions, against a real
//! broker and judged by a reader of what is committed.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use rdkafka::producer::BaseRecord;
use runner_needs::needs;

use crate::support::kafka::Broker;
use crate::support::{Outcome, Running, Scene, wait_until};

const SOON: Duration = Duration::from_secs(120);

/// A topic of numbered records and its copy.
struct Copying<'a> {
    broker: &'a Broker,
    scene: Scene,
    from: String,
    to: String,
    group: String,
    n_partitions: i32,
    n_records: usize,
    /// An hour old: those of other years retention takes at once.
    timestamp: i64,
}

impl Copying<'static> {
    fn new(n_partitions: i32, n_records: usize, more: &str, between: &str) -> Self {
        Copying::through(Broker::shared(), n_partitions, n_records, more, between)
    }
}

impl<'a> Copying<'a> {
    /// `more` stands in the source, `between` is what a transform does.
    fn through(broker: &'a Broker, n_partitions: i32, n_records: usize, more: &str, between: &str) -> Self {
        let (from, to) = (broker.create_topic("from", n_partitions), broker.create_topic("to", n_partitions));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        let timestamp = i64::try_from(since.as_millis()).expect("a year before 292 million") - 3_600_000;
        for partition in 0..n_partitions {
            // Equal keys stay together: the copy of a partition lies in one partition, in its order.
            let key = partition.to_string();
            let payloads: Vec<String> = (0..n_records).map(|n| format!("{partition}/{n}")).collect();
            broker.produce_records(payloads.iter().map(|payload| {
                let record = BaseRecord::to(&from).partition(partition).key(key.as_bytes());
                record.payload(payload.as_bytes()).timestamp(timestamp)
            }));
        }
        let (scene, group) = (Scene::new(), broker.name("copies"));
        let bootstrap = broker.bootstrap();
        scene.write(
            "copy.toml",
            format!(
                "[sources.from]\ntype = \"kafka\"\nbootstrap_servers = \"{bootstrap}\"\ntopics = [\"{from}\"]\n\
                 group_id = \"{group}\"\nstop = \"at_end\"\n{more}\n\
                 [transforms.between]\ninputs = [\"from\"]\n{between}\n\
                 [sinks.to]\ntype = \"kafka\"\ninputs = [\"between\"]\nbootstrap_servers = \"{bootstrap}\"\n\
                 topic = \"{to}\"\ndelivery = \"exactly_once\"\n\
                 librdkafka_options = {{ \"transaction.timeout.ms\" = 20000 }}\n"
            ),
        );
        Copying { broker, scene, from, to, group, n_partitions, n_records, timestamp }
    }

    fn start(&self) -> Running {
        self.scene.start(["run", "copy.toml"])
    }

    /// How many records are committed for the group.
    fn n_committed(&self) -> i64 {
        self.broker.committed(&self.group, &self.from).into_iter().flatten().sum()
    }

    /// Waits until a run has committed something, or has ended.
    fn wait_for_progress(&self, running: &mut Running) {
        let before = self.n_committed();
        wait_until("progress", SOON, || self.n_committed() > before || running.is_over());
    }

    /// Waits until all is copied. A run ends with its own share, and one that has lost
    /// its place in the group with an error: then another one goes on.
    fn finish(&self, mut running: Running) {
        for _ in 0..5 {
            let outcome = running.wait(SOON);
            if !is_put_out(&outcome) {
                outcome.assert_code(0);
            }
            if self.n_committed() == self.n_records as i64 * i64::from(self.n_partitions) {
                return;
            }
            running = self.start();
        }
        panic!("five runs have not copied everything");
    }

    /// Fails the test unless every record has been copied once, in order and as it was.
    #[track_caller]
    fn assert_copied(&self) {
        self.broker.wait_for_transactions(&self.to);
        let stored = self.broker.read_all(&self.to);
        for partition in 0..self.n_partitions {
            let key = Some(partition.to_string().into_bytes());
            let of = stored.iter().filter(|it| it.key == key);
            let texts: Vec<&str> = of.clone().map(|it| it.text()).collect();
            let expected: Vec<String> = (0..self.n_records).map(|n| format!("{partition}/{n}")).collect();
            let first = texts.iter().zip(&expected).position(|(text, expected)| text != expected);
            assert!(
                texts == expected,
                "partition {partition}: {} of {} records, the first difference at {first:?}: {:?}",
                texts.len(),
                expected.len(),
                first.map(|at| &texts[at.saturating_sub(2)..texts.len().min(at + 3)])
            );
            assert!(of.clone().all(|it| it.timestamp == Some(self.timestamp) && it.headers.is_empty()));
            let homes: std::collections::BTreeSet<i32> = of.map(|it| it.partition).collect();
            assert_eq!(homes.len(), 1, "equal keys lie together");
        }
        assert_eq!(stored.len(), self.n_records * self.n_partitions as usize);
        let ends: Vec<_> =
            (0..self.n_partitions).map(|it| Some(self.broker.watermarks(&self.from, it).1)).collect();
        assert_eq!(self.broker.committed(&self.group, &self.from), ends);
    }
}

/// Whether a run has ended because its transaction could not be committed: a machine that
/// stands still for long enough costs a run, and no record.
fn is_put_out(outcome: &Outcome) -> bool {
    outcome.status.code() == Some(1) && outcome.stderr.contains("start the pipeline again")
}

/// A moment that nobody has chosen.
fn any_moment(at_most_millis: u64) {
    let random = RandomState::new().build_hasher().finish();
    std::thread::sleep(Duration::from_millis(random % at_most_millis));
}

const SHORT_SESSION: &str = "\"session.timeout.ms\" = 6000, \"heartbeat.interval.ms\" = 500";

#[test]
#[needs(kafka)]
fn kills_and_stops_copy_each_record_once() {
    for (n_partitions, n_records) in [(1, 20_000), (3, 7_000)] {
        // A static member is known again at once; the others would wait for its session to end.
        let options = "librdkafka_options = { \"group.instance.id\" = \"copier\" }";
        let pace = "type = \"throttle\"\nrate = 1500";
        let copying = Copying::new(n_partitions, n_records, options, pace);
        let mut codes = Vec::new();
        for round in 0..14 {
            let mut running = copying.start();
            if round % 3 < 2 {
                copying.wait_for_progress(&mut running);
            }
            any_moment(600);
            if !running.is_over() {
                running.signal(if round % 3 == 1 { Signal::SIGTERM } else { Signal::SIGKILL });
            }
            let outcome = running.wait(SOON);
            assert!(
                outcome.status.code().is_none_or(|code| code == 0 || is_put_out(&outcome)),
                "{outcome:?}"
            );
            codes.push(outcome.status.code());
        }
        assert!(copying.n_committed() > 0);
        let left = copying.n_records as i64 * i64::from(n_partitions) - copying.n_committed();
        let n_killed = codes.iter().filter(|code| code.is_none()).count();
        println!("killed {n_killed} times of {}, {left} records left for the last run", codes.len());
        assert!(n_killed >= 6, "{codes:?}");
        copying.finish(copying.start());
        copying.assert_copied();
    }
}

#[test]
#[needs(kafka)]
fn killed_member_loses_and_duplicates_nothing() {
    let options = format!("librdkafka_options = {{ {SHORT_SESSION} }}");
    let copying = Copying::new(3, 4_000, &options, "type = \"throttle\"\nrate = 500");
    let mut first = copying.start();
    copying.wait_for_progress(&mut first);
    let mut second = copying.start();
    wait_until("a share for the second", SOON, || second.has_said("from offset"));
    copying.wait_for_progress(&mut second);
    any_moment(500);
    first.signal(Signal::SIGKILL);
    first.wait(SOON);
    copying.finish(second);
    copying.assert_copied();
}

#[test]
#[needs(kafka)]
fn joining_and_leaving_member_disturbs_no_other() {
    let copying = Copying::new(3, 4_000, "", "type = \"throttle\"\nrate = 500");
    let mut first = copying.start();
    copying.wait_for_progress(&mut first);
    let mut second = copying.start();
    wait_until("a share for the second", SOON, || second.has_said("from offset"));
    copying.wait_for_progress(&mut second);
    second.signal(Signal::SIGTERM);
    second.wait(SOON).assert_code(0);
    first.wait(SOON).assert_code(0);
    // What the second held when the first looked for the end may be left.
    copying.finish(copying.start());
    copying.assert_copied();
}

#[test]
#[needs(kafka)]
fn member_suspended_past_session_commits_nothing() {
    let options = format!("librdkafka_options = {{ {SHORT_SESSION} }}");
    let copying = Copying::new(1, 6_000, &options, "type = \"throttle\"\nrate = 800");
    let mut sleeper = copying.start();
    copying.wait_for_progress(&mut sleeper);
    any_moment(300);
    sleeper.signal(Signal::SIGSTOP);
    let mut heir = copying.start();
    wait_until("the heir to have the partition", SOON, || heir.has_said("from offset"));
    copying.wait_for_progress(&mut heir);
    sleeper.signal(Signal::SIGCONT);
    let outcome = sleeper.wait(SOON);
    assert!(is_put_out(&outcome), "{outcome:?}");
    copying.finish(heir);
    copying.assert_copied();
}

/// A run whose transaction was open when the broker went may go on, or ends and is started again.
#[test]
#[needs(java)]
fn broker_restart_during_transactions_loses_nothing() {
    let broker = Broker::start();
    let copying = Copying::through(&broker, 2, 10_000, "", "type = \"throttle\"\nrate = 1500");
    let mut running = copying.start();
    copying.wait_for_progress(&mut running);
    broker.stop();
    broker.restart();
    copying.wait_for_progress(&mut running);
    broker.kill();
    broker.restart();
    copying.finish(running);
    copying.assert_copied();
}

#[test]
#[needs(kafka)]
fn aborted_transaction_is_invisible_and_rewritten_once() {
    let copying = Copying::new(1, 0, "", "type = \"sample\"\none_in = 1");
    let numbers = 0..2_000;
    let bodies = numbers.clone().map(|n| match n {
        1_500 => "{}".to_owned(),
        n => format!("{{\"Index\":\"NYA\",\"n\":{n}}}"),
    });
    let bodies: Vec<String> = bodies.collect();
    copying.broker.produce(&copying.from, 0, &bodies);
    let pipeline = copying.scene.read("copy.toml").replace("delivery =", "key_field = \"Index\"\ndelivery =");
    copying.scene.write("copy.toml", &pipeline);
    copying.start().wait(SOON).assert_code(1).assert_says(&["`Index`"]);
    let n_seen = copying.broker.read_all(&copying.to).len();
    assert_eq!(n_seen as i64, copying.n_committed(), "records and offsets are committed together");
    let n_written = copying.broker.read_uncommitted(&copying.to).len();
    assert!(n_written > n_seen, "what came beside the bad record was written and given up: {n_written}");

    copying.scene.write("copy.toml", pipeline + "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n");
    copying.start().wait(SOON).assert_code(0);
    let stored = copying.broker.read_all(&copying.to);
    let good = bodies.iter().filter(|body| *body != "{}");
    assert!(stored.iter().map(|it| it.text()).eq(good), "each once, in order: {}", stored.len());
    assert_eq!(copying.scene.read("dead.jsonl").lines().count(), 1);
    assert_eq!(copying.n_committed(), 2_000);
}

#[test]
#[needs(kafka)]
fn transaction_markers_are_skipped_in_offsets() {
    let broker = Broker::shared();
    let copying = Copying::new(1, 10, "", "type = \"sample\"\none_in = 1");
    broker.produce_transaction(&copying.from, &["never"], false);
    copying.scene.run(["run", "copy.toml"]).assert_code(0);
    copying.assert_copied();
    // The copy of the copy has the marks of this very sink in front of it.
    let again = copying.scene.read("copy.toml").replace(&copying.from, "FROM").replace(&copying.to, "TO");
    let third = broker.create_topic("third", 1);
    let group = broker.name("copies-of-copies");
    let again = again.replace("FROM", &copying.to).replace("TO", &third).replace(&copying.group, &group);
    copying.scene.write("again.toml", again);
    copying.scene.run(["run", "again.toml"]).assert_code(0);
    assert_eq!(broker.read_all(&third).len(), 10);
    assert_eq!(broker.committed(&group, &copying.to), [Some(broker.watermarks(&copying.to, 0).1)]);
}

fn refused(pipeline: &str, said: &[&str]) {
    let scene = Scene::new();
    scene.write("rows.csv", "n\n1\n");
    scene.write("p.toml", pipeline);
    let outcome: Outcome = scene.run(["validate", "p.toml"]);
    outcome.assert_code(78).assert_says(said);
}

#[test]
fn exactly_once_in_unsuitable_pipeline_is_refused() {
    let source = |name: &str, servers: &str, more: &str| {
        format!(
            "[sources.{name}]\ntype = \"kafka\"\nbootstrap_servers = \"{servers}\"\ntopics = [\"a\"]\n\
             group_id = \"g\"\n{more}\n"
        )
    };
    let sink = |inputs: &str| {
        format!(
            "[sinks.out]\ntype = \"kafka\"\ninputs = {inputs}\nbootstrap_servers = \"here:9092, there:9092\"\n\
             topic = \"b\"\ndelivery = \"exactly_once\"\n"
        )
    };
    let servers = "there:9092,here:9092";
    let good = [source("in", servers, ""), sink("[\"in\"]")].concat();
    let scene = Scene::new();
    scene.write("good.toml", &good);
    scene.run(["validate", "good.toml"]).assert_code(0);
    let csv = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n".to_owned();
    let rows = [csv.clone(), sink("[\"rows\"]")].concat();
    refused(&rows, &["p.toml:9:12", "`delivery`", "`rows`", "keeps its position elsewhere"]);
    let two = [source("in", servers, ""), csv, sink("[\"in\", \"rows\"]")].concat();
    refused(&two, &["p.toml:15:12", "several inputs"]);
    let other = [source("in", "here:9092", ""), sink("[\"in\"]")].concat();
    refused(&other, &["p.toml:12:12", "one cluster", "here:9092, there:9092"]);
    let fan = good.clone() + "[sinks.too]\ntype = \"null\"\ninputs = [\"in\"]\n";
    refused(&fan, &["p.toml:12:12", "feeds `too` as well"]);
    let behind = good.clone() + "[sinks.too]\ntype = \"null\"\ninputs = [\"out\"]\n";
    refused(&behind, &["p.toml:12:12", "not committed yet"]);
    let dirty = "librdkafka_options = { \"isolation.level\" = \"read_uncommitted\" }";
    let dirty = [source("in", servers, dirty), sink("[\"in\"]")].concat();
    refused(&dirty, &["not committed", "remove `isolation.level`"]);
    let named = good + "librdkafka_options = { \"transactional.id\" = \"mine\" }\n";
    refused(&named, &["`transactional.id` cannot be set here"]);
    let letters =
        sink("[\"in\"]").replace("[sinks.out]\n", "[dead_letter]\n").replace("inputs = [\"in\"]\n", "");
    let letters =
        [source("in", servers, ""), letters].concat() + "[sinks.out]\ntype = \"null\"\ninputs = [\"in\"]\n";
    refused(&letters, &["`delivery`", "dead letters are written at least once"]);
}
