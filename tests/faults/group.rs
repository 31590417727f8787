//! The stock flow while members of its consumer group join, leave, are killed and suspended.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use runner_needs::needs;

use crate::support::flow::{Flow, LONG};
use crate::support::kafka::Broker;
use crate::support::s3::Response;
use crate::support::{Running, TestEnv, wait_until};

const SESSION: Duration = Duration::from_secs(2);

/// Waits for the last commit, and records the acknowledgements for the oracle meanwhile.
fn wait_until_committed(flow: &mut Flow<'_>) {
    wait_until("every commit", LONG, || {
        flow.listen();
        flow.n_committed() == flow.oracle.n_records()
    });
}

/// A flow with two filled partitions, and a bucket slow enough that records are always in flight.
fn flow_with_slow_bucket(n_records: usize) -> Flow<'static> {
    let mut flow = Flow::new(n_records).partitioned(2);
    flow.session(SESSION).set("STOCKS_RATE", "10000000");
    flow.produce().wait(LONG).assert_code(0);
    flow.s3.respond_with(|request| match request.operation {
        "PutObject" => Response::Delayed(Duration::from_millis(200)),
        _ => Response::Normal,
    });
    flow
}

#[needs(kafka)]
#[test]
fn member_suspended_past_session_acks_no_partition_of_others() {
    let mut flow = flow_with_slow_bucket(1_500);
    let sleeper = flow.consume_as("sleeper");
    wait_until("the first objects", LONG, || flow.n_objects() > 200);
    sleeper.signal(Signal::SIGSTOP);
    let awake = flow.consume_as("awake");
    wait_until("the partitions of the suspended member", LONG, || {
        let has = |partition: u32| awake.has_logged(&format!("/{partition} from offset"));
        has(0) && has(1)
    });
    flow.listen();
    sleeper.signal(Signal::SIGCONT);
    wait_until("the suspended member to lose its partitions", LONG, || {
        sleeper.has_logged("partition assignment lost")
    });
    flow.listen();
    wait_until_committed(&mut flow);
    for member in [sleeper, awake] {
        member.stop();
    }
    assert_eq!(flow.n_committed(), flow.oracle.n_records(), "a commit went back");
    flow.assert_every_object();
    flow.assert_topic(1);
}

#[needs(kafka)]
#[test]
fn sole_member_suspended_past_session_resumes() {
    let mut flow = flow_with_slow_bucket(1_000);
    let sleeper = flow.consume();
    wait_until("the first objects", LONG, || flow.n_objects() > 200);
    sleeper.signal(Signal::SIGSTOP);
    wait_until("the session of the member to expire", LONG, || flow.broker.n_members(&flow.group) == 0);
    sleeper.signal(Signal::SIGCONT);
    wait_until_committed(&mut flow);
    sleeper.stop();
    flow.assert_every_object();
    flow.assert_topic(1);
}

#[needs(kafka)]
#[test]
fn member_paused_during_rebalance_resumes_reading() {
    let flow = Flow::new(1_000);
    let mut flow = flow.partitioned(2);
    flow.session(SESSION).set("STOCKS_RATE", "10000000");
    flow.edit("consumer.toml", "name = \"consumer\"", "name = \"consumer\"\nbatch = { max_records = 10 }");
    flow.produce().wait(LONG).assert_code(0);
    let is_stuck = Arc::new(AtomicBool::new(true));
    let stuck = Arc::clone(&is_stuck);
    flow.s3.respond_with(move |request| match request.operation {
        "PutObject" if stuck.load(Ordering::Relaxed) => Response::Error("SlowDown"),
        _ => Response::Normal,
    });
    let paused = flow.env.start(["run", "consumer.toml", "--log-level", "debug"]);
    wait_until("the pause", LONG, || paused.has_logged("pausing the partitions"));
    let other = flow.consume_as("other");
    wait_until("partitions for the other", LONG, || other.has_logged("from offset 0"));
    is_stuck.store(false, Ordering::Relaxed);
    wait_until_committed(&mut flow);
    for member in [paused, other] {
        member.stop();
    }
    flow.assert_every_object();
}

#[needs(kafka)]
#[test]
fn members_joining_leaving_and_killed_lose_nothing() {
    let flow = Flow::new(5_000);
    let mut flow = flow.partitioned(6);
    flow.session(SESSION).set("STOCKS_RATE", "600");
    let producer = flow.produce();
    let mut members: Vec<Running> = vec![flow.consume_as("member-0")];
    for (n, change) in
        ["join", "join", "kill", "join", "leave", "join", "kill", "leave"].into_iter().enumerate()
    {
        let before = flow.n_objects();
        wait_until("more objects", LONG, || {
            flow.n_objects() > before + 150 || flow.n_objects() == flow.oracle.n_records()
        });
        flow.listen();
        match change {
            "join" => members.push(flow.consume_as(&format!("member-{}", n + 1))),
            "kill" => members.remove(0).signal(Signal::SIGKILL),
            _ => {
                let member = members.remove(0);
                member.stop();
            }
        }
    }
    producer.wait(LONG).assert_code(0);
    wait_until_committed(&mut flow);
    for member in members {
        member.stop();
    }
    assert_eq!(flow.n_committed(), flow.oracle.n_records());
    flow.assert_every_object();
    flow.assert_topic(1);
}

#[needs(kafka)]
#[test]
fn position_past_retention_during_run_is_an_error() {
    let broker = Broker::shared();
    let topic = broker.create_topic("overtaken", 1);
    // More than a client with the smallest limits fetches ahead.
    let filler = "x".repeat(20_000);
    broker.produce(&topic, 0, (0..800).map(|n| format!("{n} {filler}")));
    let env = TestEnv::new();
    env.write(
        "reads.toml",
        format!(
            "batch = {{ max_records = 10, in_flight = \"1MiB\" }}\n\
             [sources.topic]\ntype = \"kafka\"\nbootstrap_servers = \"{}\"\ntopics = [\"{topic}\"]\n\
             group_id = \"{}\"\n\
             [transforms.pace]\ntype = \"throttle\"\ninputs = [\"topic\"]\nrate = 100\n\
             [sinks.out]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"out.txt\"\n",
            broker.bootstrap(),
            broker.name("group"),
        ),
    );
    let running = env.start(["run", "reads.toml"]);
    wait_until("the first records", LONG, || !env.read("out.txt").is_empty());
    broker.delete_records(&topic, 0, 790);
    running.wait(LONG).assert_code(1).assert_says(&["the oldest record there is 790", "--from-start"]);
    let numbers: Vec<usize> = env
        .read("out.txt")
        .lines()
        .map(|line| line.split(' ').next().expect("a number").parse().expect("a number"))
        .collect();
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>(), "no gap");
    assert!(numbers.len() < 790);
}
