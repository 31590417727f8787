//! `run --dry-run` with a `kafka` source: it leaves the group and its members alone.

use runner_needs::needs;

use crate::support::kafka::{Broker, Reading};
use crate::support::{SOON, numbers, wait_until};

#[needs(kafka)]
#[test]
fn dry_run_takes_no_partition_of_a_running_member_and_commits_nothing() {
    let broker = Broker::shared();
    let topic = broker.create_topic("looked_at", 2);
    broker.produce(&topic, 0, numbers(0..3));
    broker.produce(&topic, 1, numbers(3..5));
    let reading = Reading::new(broker, &topic, ["", "", ""]);
    let member = reading.env.start(["run", "reads.toml"]);
    wait_until("the committed offsets", SOON, || {
        broker.committed(&reading.group, &topic) == [Some(3), Some(2)]
    });

    let all = reading.env.run(["run", "--dry-run", "5", "--from-start", "reads.toml"]);
    all.assert_code(0);
    assert_eq!(all.stdout.matches("would store").count(), 5, "{}", all.stdout);
    // Nothing is left of what the group has committed.
    let rest = reading.env.run(["run", "--dry-run", "--for", "2s", "reads.toml"]);
    rest.assert_code(0);
    assert_eq!(rest.stdout.matches("would store").count(), 0, "{}", rest.stdout);

    assert_eq!(broker.committed(&reading.group, &topic), [Some(3), Some(2)]);
    assert_eq!(broker.n_members(&reading.group), 1);
    broker.produce(&topic, 1, numbers(5..6));
    wait_until("the last record", SOON, || reading.lines().len() == 6);
    let ended = member.stop();
    assert_eq!(ended.stderr.matches("from offset").count(), 2, "no rebalance: {}", ended.stderr);
}

#[needs(kafka)]
#[test]
fn dry_run_of_a_new_group_with_latest_commits_no_start() {
    let broker = Broker::shared();
    let topic = broker.create_topic("latest", 1);
    broker.produce(&topic, 0, numbers(0..3));
    let reading = Reading::new(broker, &topic, ["", "auto_offset_reset = \"latest\"", ""]);
    let outcome = reading.env.run(["run", "--dry-run", "--for", "2s", "reads.toml"]);
    outcome.assert_code(0);
    assert_eq!(broker.committed(&reading.group, &topic), [None]);
}
