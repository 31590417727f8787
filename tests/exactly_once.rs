//! `delivery = "exactly_once"`: from topic to topic in transactions, against Apache
//! Kafka, checked with a `read_committed` consumer.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;
use rdkafka::producer::BaseRecord;
use runner_needs::needs;

use crate::support::kafka::Broker;
use crate::support::{Outcome, Running, SOON, TestEnv, wait_until};

/// A topic of numbered records, and a pipeline that copies it.
struct CopyPipeline<'a> {
    broker: &'a Broker,
    env: TestEnv,
    from: String,
    to: String,
    group: String,
    n_partitions: i32,
    n_records: usize,
    /// One hour ago; retention deletes much older records at once.
    timestamp: i64,
}

impl CopyPipeline<'static> {
    fn new(n_partitions: i32, n_records: usize, more: &str, between: &str) -> Self {
        CopyPipeline::through(Broker::shared(), n_partitions, n_records, more, between)
    }
}

impl<'a> CopyPipeline<'a> {
    /// `more` is added to the source, `between` configures a transform.
    fn through(broker: &'a Broker, n_partitions: i32, n_records: usize, more: &str, between: &str) -> Self {
        let (from, to) = (broker.create_topic("from", n_partitions), broker.create_topic("to", n_partitions));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock");
        let timestamp = i64::try_from(since.as_millis()).expect("a year before 292 million") - 3_600_000;
        for partition in 0..n_partitions {
            // Equal keys share a partition, so the copy of a partition is in one partition, in the same order.
            let key = partition.to_string();
            let payloads: Vec<String> = (0..n_records).map(|n| format!("{partition}/{n}")).collect();
            broker.produce_records(payloads.iter().map(|payload| {
                let record = BaseRecord::to(&from).partition(partition).key(key.as_bytes());
                record.payload(payload.as_bytes()).timestamp(timestamp)
            }));
        }
        let (env, group) = (TestEnv::new(), broker.name("copies"));
        let bootstrap = broker.bootstrap();
        env.write(
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
        CopyPipeline { broker, env, from, to, group, n_partitions, n_records, timestamp }
    }

    fn start(&self) -> Running {
        self.env.start(["run", "copy.toml"])
    }

    /// The number of records that the group has committed.
    fn n_committed(&self) -> i64 {
        self.broker.committed(&self.group, &self.from).into_iter().flatten().sum()
    }

    /// Waits until a run has committed more, or has exited.
    fn wait_for_progress(&self, running: &mut Running) {
        let before = self.n_committed();
        wait_until("progress", SOON, || self.n_committed() > before || running.has_exited());
    }

    /// Starts a member that makes progress, and another that takes partitions from it and makes progress.
    fn start_two_members(&self) -> [Running; 2] {
        let mut first = self.start();
        self.wait_for_progress(&mut first);
        let mut second = self.start();
        wait_until("partitions for the second", SOON, || second.has_logged("from offset"));
        self.wait_for_progress(&mut second);
        [first, second]
    }

    /// Waits until everything is copied. A run that ends after its own partitions, or that lost
    /// its group membership, is followed by another run.
    fn finish(&self, mut running: Running) {
        for _ in 0..5 {
            let outcome = running.wait(SOON);
            if !lost_membership(&outcome) {
                outcome.assert_code(0);
            }
            if self.n_committed() == self.n_records as i64 * i64::from(self.n_partitions) {
                return;
            }
            running = self.start();
        }
        panic!("five runs did not copy all records");
    }

    /// Fails the test unless every record was copied once, unchanged and in order.
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
            assert_eq!(homes.len(), 1, "equal keys must share a partition");
        }
        assert_eq!(stored.len(), self.n_records * self.n_partitions as usize);
        let ends: Vec<_> =
            (0..self.n_partitions).map(|it| Some(self.broker.watermarks(&self.from, it).1)).collect();
        assert_eq!(self.broker.committed(&self.group, &self.from), ends);
    }
}

/// Whether a run ended because its transaction could not be committed. A machine that
/// stalls for long enough ends a run, but loses no record.
fn lost_membership(outcome: &Outcome) -> bool {
    outcome.status.code() == Some(1) && outcome.stderr.contains("start the pipeline again")
}

/// Chooses a random time for a kill; it does not wait for a condition.
fn sleep_up_to(at_most_millis: u64) {
    let random = RandomState::new().build_hasher().finish();
    std::thread::sleep(Duration::from_millis(random % at_most_millis));
}

const SHORT_SESSION: &str = "\"session.timeout.ms\" = 6000, \"heartbeat.interval.ms\" = 500";

#[needs(kafka)]
#[test]
fn kills_and_stops_copy_each_record_once() {
    for (n_partitions, n_records) in [(1, 20_000), (3, 7_000)] {
        // A static member rejoins at once; another member would wait for the session to expire.
        let options = "librdkafka_options = { \"group.instance.id\" = \"copier\" }";
        let pace = "type = \"throttle\"\nrate = 1500";
        let copy = CopyPipeline::new(n_partitions, n_records, options, pace);
        let mut codes = Vec::new();
        for round in 0..14 {
            let mut running = copy.start();
            if round % 3 < 2 {
                copy.wait_for_progress(&mut running);
            }
            sleep_up_to(600);
            if !running.has_exited() {
                running.signal(if round % 3 == 1 { Signal::SIGTERM } else { Signal::SIGKILL });
            }
            let outcome = running.wait(SOON);
            assert!(
                outcome.status.code().is_none_or(|code| code == 0 || lost_membership(&outcome)),
                "{outcome:?}"
            );
            codes.push(outcome.status.code());
        }
        assert!(copy.n_committed() > 0);
        let left = copy.n_records as i64 * i64::from(n_partitions) - copy.n_committed();
        let n_killed = codes.iter().filter(|code| code.is_none()).count();
        println!("killed {n_killed} times of {}, {left} records left for the last run", codes.len());
        assert!(n_killed >= 6, "{codes:?}");
        copy.finish(copy.start());
        copy.assert_copied();
    }
}

#[needs(kafka)]
#[test]
fn killed_member_loses_and_duplicates_nothing() {
    let options = format!("librdkafka_options = {{ {SHORT_SESSION} }}");
    let copy = CopyPipeline::new(3, 4_000, &options, "type = \"throttle\"\nrate = 500");
    let [first, second] = copy.start_two_members();
    sleep_up_to(500);
    first.signal(Signal::SIGKILL);
    first.wait(SOON);
    copy.finish(second);
    copy.assert_copied();
}

#[needs(kafka)]
#[test]
fn joining_and_leaving_member_disturbs_no_other() {
    let copy = CopyPipeline::new(3, 4_000, "", "type = \"throttle\"\nrate = 500");
    let [first, second] = copy.start_two_members();
    second.stop();
    first.wait(SOON).assert_code(0);
    // Records of partitions that the second held when the first reached the end may be left.
    copy.finish(copy.start());
    copy.assert_copied();
}

#[needs(kafka)]
#[test]
fn member_suspended_past_session_commits_nothing() {
    let options = format!("librdkafka_options = {{ {SHORT_SESSION} }}");
    let copy = CopyPipeline::new(1, 6_000, &options, "type = \"throttle\"\nrate = 800");
    let mut sleeper = copy.start();
    copy.wait_for_progress(&mut sleeper);
    sleep_up_to(300);
    sleeper.signal(Signal::SIGSTOP);
    let mut successor = copy.start();
    wait_until("the successor to get the partition", SOON, || successor.has_logged("from offset"));
    copy.wait_for_progress(&mut successor);
    sleeper.signal(Signal::SIGCONT);
    let outcome = sleeper.wait(SOON);
    assert!(lost_membership(&outcome), "{outcome:?}");
    copy.finish(successor);
    copy.assert_copied();
}

/// A run with an open transaction during the restart continues, or it ends and is started again.
#[needs(java)]
#[test]
fn broker_restart_during_transactions_loses_nothing() {
    let broker = Broker::start();
    let copy = CopyPipeline::through(&broker, 2, 10_000, "", "type = \"throttle\"\nrate = 1500");
    let mut running = copy.start();
    copy.wait_for_progress(&mut running);
    broker.stop();
    broker.restart();
    copy.wait_for_progress(&mut running);
    broker.kill();
    broker.restart();
    copy.finish(running);
    copy.assert_copied();
}

#[needs(kafka)]
#[test]
fn aborted_transaction_is_invisible_and_rewritten_once() {
    let copy = CopyPipeline::new(1, 0, "", "type = \"sample\"\none_in = 1");
    let numbers = 0..2_000;
    let bodies = numbers.clone().map(|n| match n {
        1_500 => "{}".to_owned(),
        n => format!("{{\"Index\":\"NYA\",\"n\":{n}}}"),
    });
    let bodies: Vec<String> = bodies.collect();
    copy.broker.produce(&copy.from, 0, &bodies);
    let pipeline = copy.env.read("copy.toml").replace("delivery =", "key_field = \"Index\"\ndelivery =");
    copy.env.write("copy.toml", &pipeline);
    copy.start().wait(SOON).assert_code(65).assert_says(&["`Index`"]);
    let n_seen = copy.broker.read_all(&copy.to).len();
    assert_eq!(n_seen as i64, copy.n_committed(), "records and offsets are committed together");
    let n_written = copy.broker.read_uncommitted(&copy.to).len();
    assert!(n_written > n_seen, "the batch of the bad record must be written and aborted: {n_written}");

    copy.env.write("copy.toml", pipeline + "[dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n");
    copy.start().wait(SOON).assert_code(0);
    let stored = copy.broker.read_all(&copy.to);
    let good = bodies.iter().filter(|body| *body != "{}");
    assert!(stored.iter().map(|it| it.text()).eq(good), "each once, in order: {}", stored.len());
    assert_eq!(copy.env.read("dead.jsonl").lines().count(), 1);
    assert_eq!(copy.n_committed(), 2_000);
}

#[needs(kafka)]
#[test]
fn transaction_markers_are_skipped_in_offsets() {
    let broker = Broker::shared();
    let copy = CopyPipeline::new(1, 10, "", "type = \"sample\"\none_in = 1");
    broker.produce_transaction(&copy.from, &["never"], false);
    copy.env.run(["run", "copy.toml"]).assert_code(0);
    copy.assert_copied();
    // The source of the second copy contains the transaction markers of this sink.
    let again = copy.env.read("copy.toml").replace(&copy.from, "FROM").replace(&copy.to, "TO");
    let third = broker.create_topic("third", 1);
    let group = broker.name("copies-of-copies");
    let again = again.replace("FROM", &copy.to).replace("TO", &third).replace(&copy.group, &group);
    copy.env.write("again.toml", again);
    copy.env.run(["run", "again.toml"]).assert_code(0);
    assert_eq!(broker.read_all(&third).len(), 10);
    assert_eq!(broker.committed(&group, &copy.to), [Some(broker.watermarks(&copy.to, 0).1)]);
}

fn assert_refused(pipeline: &str, parts: &[&str]) {
    let env = TestEnv::new();
    env.write("rows.csv", "n\n1\n");
    env.write("p.toml", pipeline);
    let outcome: Outcome = env.run(["validate", "p.toml"]);
    outcome.assert_code(78).assert_says(parts);
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
    let env = TestEnv::new();
    env.write("good.toml", &good);
    env.run(["validate", "good.toml"]).assert_code(0);
    let csv = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n".to_owned();
    let rows = [csv.clone(), sink("[\"rows\"]")].concat();
    assert_refused(
        &rows,
        &["p.toml:9:12", "`delivery`", "`rows`", "cannot commit its position in a transaction"],
    );
    let two = [source("in", servers, ""), csv, sink("[\"in\", \"rows\"]")].concat();
    assert_refused(&two, &["p.toml:15:12", "several inputs"]);
    let other = [source("in", "here:9092", ""), sink("[\"in\"]")].concat();
    assert_refused(&other, &["p.toml:12:12", "one cluster", "here:9092, there:9092"]);
    let fan = good.clone() + "[sinks.too]\ntype = \"null\"\ninputs = [\"in\"]\n";
    assert_refused(&fan, &["p.toml:12:12", "also feeds `too`"]);
    let behind = good.clone() + "[sinks.too]\ntype = \"null\"\ninputs = [\"out\"]\n";
    assert_refused(&behind, &["p.toml:12:12", "not committed yet"]);
    let dirty = "librdkafka_options = { \"isolation.level\" = \"read_uncommitted\" }";
    let dirty = [source("in", servers, dirty), sink("[\"in\"]")].concat();
    assert_refused(&dirty, &["not committed", "remove `isolation.level`"]);
    let named = good + "librdkafka_options = { \"transactional.id\" = \"mine\" }\n";
    assert_refused(&named, &["`transactional.id` cannot be set here"]);
    let letters =
        sink("[\"in\"]").replace("[sinks.out]\n", "[dead_letter]\n").replace("inputs = [\"in\"]\n", "");
    let letters =
        [source("in", servers, ""), letters].concat() + "[sinks.out]\ntype = \"null\"\ninputs = [\"in\"]\n";
    assert_refused(&letters, &["`delivery`", "dead letters are delivered at least once"]);
}
