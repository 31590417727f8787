//! A kill campaign: producer and consumers are stopped repeatedly, at random times and in every way, and
//! the oracle checks the result. `RUNNER_KILLS` sets the number of kills (20, with `RUNNER_LONG` 300), `RUNNER_SEED`
//! repeats the choices of a campaign.

use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use runner_needs::needs;

use crate::support::flow::{Flow, LONG};
use crate::support::proxy::Network;
use crate::support::stocks::SplitMix;
use crate::support::{Running, amount, number, wait_until};

/// The index of the producer's run; the other runs are members of one group.
const PRODUCER: usize = 0;

/// How a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// kill -9.
    Killed,
    /// kill -9; the producer also gets half a checkpoint file, as a crash during its write leaves it.
    KilledMidCheckpoint,
    /// SIGTERM.
    Graceful,
    /// kill -9 while it stops.
    KilledWhileStopping,
    /// A second signal, which stops the run at once.
    SecondSignal,
}

/// The next faults: every kind of stop for every run, in random order, then the same again.
struct FaultSchedule(Vec<Fault>);

/// One run is stopped, or all runs are killed at once.
#[derive(Clone, Copy)]
enum Fault {
    One(usize, Stop),
    All,
}

impl FaultSchedule {
    fn next(&mut self, random: &mut SplitMix) -> Fault {
        use Stop::{Graceful, Killed, KilledMidCheckpoint, KilledWhileStopping, SecondSignal};
        if self.0.is_empty() {
            let stops = [Killed, Killed, KilledMidCheckpoint, Graceful, KilledWhileStopping, SecondSignal];
            self.0 = (0..3).flat_map(|run| stops.map(|stop| Fault::One(run, stop))).collect();
            self.0.extend([Fault::All; 2]);
        }
        self.0.swap_remove((random.next() % self.0.len() as u64) as usize)
    }
}

impl Stop {
    fn is_kill(self) -> bool {
        matches!(self, Stop::Killed | Stop::KilledMidCheckpoint | Stop::KilledWhileStopping)
    }

    /// Stops a run and checks its exit code and its report.
    fn apply(self, run: usize, mut running: Running, flow: &Flow<'_>, random: &mut SplitMix) {
        match self {
            Stop::Killed | Stop::KilledMidCheckpoint => running.signal(Signal::SIGKILL),
            Stop::Graceful => running.signal(Signal::SIGTERM),
            Stop::KilledWhileStopping => {
                running.signal(Signal::SIGTERM);
                sleep_up_to(random, 30);
                running.signal(Signal::SIGKILL);
            }
            Stop::SecondSignal => {
                running.signal(Signal::SIGTERM);
                wait_until("the first signal to be handled", LONG, || {
                    running.has_logged("a second signal aborts") || running.has_exited()
                });
                sleep_up_to(random, 30);
                // A signal shortly after the first one counts as the same signal.
                wait_until("the run to stop after a second signal", LONG, || {
                    running.signal(Signal::SIGTERM);
                    running.has_exited()
                });
            }
        }
        let outcome = running.wait(LONG);
        // Without a code a signal ended the run, possibly before its first line. A run that got a second signal
        // may have completed before it.
        let code = outcome.status.code();
        let is_expected = matches!(code, None | Some(0)) || (self == Stop::SecondSignal && code == Some(143));
        assert!(is_expected, "{self:?} ends with {:?}:\n{}", outcome.status, outcome.stderr);
        if code.is_some() {
            flow.assert_sums(&name(run));
        }
        // A running producer owns the temporary file, so this waits for the exit.
        if self == Stop::KilledMidCheckpoint
            && run == PRODUCER
            && let Some(checkpoint) = flow.checkpoint()
        {
            let whole = std::fs::read(&checkpoint).expect("a checkpoint");
            let torn = checkpoint.with_extension("json.new");
            std::fs::write(torn, &whole[..whole.len() / 2]).expect("half a checkpoint");
        }
    }
}

/// Chooses a random time for a kill; it does not wait for a condition.
fn sleep_up_to(random: &mut SplitMix, at_most_millis: u64) {
    std::thread::sleep(Duration::from_millis(random.next() % at_most_millis));
}

/// The name of a run's report.
fn name(run: usize) -> String {
    match run {
        PRODUCER => "producer".into(),
        _ => format!("consumer-{run}"),
    }
}

fn start(flow: &Flow<'_>, run: usize) -> Running {
    match run {
        PRODUCER => flow.produce(),
        _ => flow.consume_as(&name(run)),
    }
}

/// Stops one run or kills all of them, and restarts what it stopped. Returns the number of
/// killed runs.
fn apply_next(
    runs: &mut Vec<Running>,
    flow: &Flow<'_>,
    schedule: &mut FaultSchedule,
    random: &mut SplitMix,
) -> u64 {
    let Fault::One(run, stop) = schedule.next(random) else {
        for running in &*runs {
            running.signal(Signal::SIGKILL);
        }
        let n_killed = runs.len() as u64;
        for (run, running) in std::mem::take(runs).into_iter().enumerate() {
            Stop::Killed.apply(run, running, flow, random);
        }
        runs.extend((0..3).map(|run| start(flow, run)));
        return n_killed;
    };
    stop.apply(run, runs.remove(run), flow, random);
    runs.insert(run, start(flow, run));
    u64::from(stop.is_kill())
}

#[needs(kafka)]
#[test]
fn kill_campaign_loses_and_duplicates_nothing() {
    let n_wanted = amount("RUNNER_KILLS", 20, 300);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let seed = number("RUNNER_SEED").unwrap_or(now.as_nanos() as u64);
    eprintln!("RUNNER_KILLS={n_wanted} RUNNER_SEED={seed}");
    let began = Instant::now();
    let (mut random, mut schedule) = (SplitMix(seed), FaultSchedule(Vec::new()));
    // At this rate the rows last longer than all kills take.
    let flow = Flow::new(400 * n_wanted as usize);
    let mut flow = flow.partitioned(3);
    flow.set("STOCKS_RATE", "50").session(Duration::from_secs(2));
    // Small batches are acknowledged early, so kills fall between many commits.
    flow.edit("consumer.toml", "name = \"consumer\"", "name = \"consumer\"\nbatch = { max_records = 50 }");
    let mut runs: Vec<Running> = (0..3).map(|run| start(&flow, run)).collect();
    let (mut n_killed, mut n_stops) = (0, 0_u64);
    while n_killed < n_wanted {
        if n_stops.is_multiple_of(3) {
            // A group that loses a member every second never starts to read.
            let enough = flow.n_objects() + 30;
            wait_until("more objects", LONG, || flow.n_objects() >= enough);
        }
        sleep_up_to(&mut random, 800);
        n_killed += apply_next(&mut runs, &flow, &mut schedule, &mut random);
        n_stops += 1;
        if n_stops.is_multiple_of(4) {
            flow.listen();
        }
        if n_stops.is_multiple_of(50) {
            eprintln!("{n_killed} kills, {} objects, {:.0?}", flow.n_objects(), began.elapsed());
        }
    }
    let (n_stored, n_committed) = (flow.n_objects(), flow.n_committed());
    for running in runs {
        running.signal(Signal::SIGTERM);
        let outcome = running.wait(LONG);
        assert!(matches!(outcome.status.code(), None | Some(0)), "{outcome:?}");
    }
    flow.listen();
    flow.at_full_speed();
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG * 2).assert_code(0);
    flow.assert_sums("producer");
    flow.assert_sums("consumer");
    flow.listen();
    let n_written = flow.broker.read_all(&flow.topic).len();
    eprintln!(
        "{n_killed} kills in {:.0?}: {n_stored} objects and {n_committed} commits during the kills, {n_written} copies of {} records",
        began.elapsed(),
        flow.oracle.n_records()
    );
    assert!(n_stored < flow.oracle.n_records(), "the flow completed before the last kill");
    assert_eq!(flow.n_committed(), n_written);
    flow.assert_topic(n_stops as usize + 1);
    flow.assert_every_object();
    eprintln!("0 lost, 0 duplicated, 0 wrong");
}

#[needs(kafka)]
#[test]
fn producer_killed_while_writing_checkpoint_loses_nothing() {
    let mut flow = Flow::new(2_000);
    flow.set("STOCKS_RATE", "300");
    let mut n_kills = 0;
    wait_until("three kills during a checkpoint write", LONG, || {
        let running = flow.produce();
        let is_written = || flow.checkpoint().is_some_and(|path| path.with_extension("json.new").exists());
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_written() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        running.signal(Signal::SIGKILL);
        running.wait(LONG);
        n_kills += usize::from(is_written());
        flow.listen();
        n_kills >= 3
    });
    flow.at_full_speed();
    flow.produce().wait(LONG).assert_code(0);
    flow.assert_topic(usize::MAX);
}

#[needs(kafka)]
#[test]
fn consumer_killed_while_stopping_loses_nothing() {
    let flow = Flow::new(2_000);
    let mut flow = flow.partitioned(2);
    let bucket = flow.proxied_bucket();
    flow.set("STOCKS_RATE", "300");
    let producer = flow.produce();
    for _ in 0..3 {
        let mut consumer = flow.consume();
        let enough = flow.n_objects() + 100;
        wait_until("more objects", LONG, || flow.n_objects() >= enough);
        // Writes in flight keep the run from stopping.
        bucket.set(Network::Unresponsive);
        let n_stored = flow.n_objects();
        consumer.signal(Signal::SIGTERM);
        wait_until("the signal to be handled", LONG, || consumer.has_logged("a second signal aborts"));
        assert!(!consumer.has_exited());
        consumer.signal(Signal::SIGKILL);
        assert_eq!(consumer.wait(LONG).status.code(), None);
        assert!(flow.n_committed() <= n_stored, "a record was committed before it was stored");
        flow.listen();
        bucket.set(Network::Normal);
    }
    producer.wait(LONG).assert_code(0);
    flow.at_full_speed();
    flow.consume().wait(LONG).assert_code(0);
    flow.listen();
    flow.assert_topic(1);
    flow.assert_every_object();
}

/// A gracefully stopped run writes nothing twice, neither to the topic nor to the bucket.
#[needs(kafka)]
#[test]
fn repeated_graceful_stops_duplicate_nothing() {
    let flow = Flow::new(2_000);
    let mut flow = flow.partitioned(2);
    flow.set("STOCKS_RATE", "1000");
    let mut random = SplitMix(11);
    let n_records = flow.oracle.n_records();
    while flow.n_objects() < n_records {
        let runs = [flow.produce(), flow.consume()];
        let enough = n_records.min(flow.n_objects() + 400);
        wait_until("more objects", LONG, || flow.n_objects() >= enough);
        sleep_up_to(&mut random, 100);
        for running in runs {
            running.stop();
        }
        flow.listen();
    }
    flow.at_full_speed();
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);
    flow.assert_topic(1);
    flow.assert_every_object();
    // Each run looks for its first object, and writes it twice.
    let n_written = flow.s3.requests("PutObject") - flow.s3.requests("ListObjectsV2");
    assert_eq!(n_written, flow.oracle.n_records(), "each object was written once");
}
