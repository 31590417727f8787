//! A campaign of kills: producer and consumers end at any moment and in any way, again and again, and
//! in the end the oracle judges. `RUNNER_KILLS` sets the number of kills (20, with `RUNNER_LONG` 300), `RUNNER_SEED`
//! repeats the choices of a campaign.

use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal;
use runner_needs::needs;

use crate::support::flow::{Flow, LONG};
use crate::support::proxy::Weather;
use crate::support::stocks::SplitMix;
use crate::support::{Running, amount, number, wait_until};

/// Which of the runs is the producer's; the others are members of one group.
const PRODUCER: usize = 0;

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// kill -9.
    Killed,
    /// kill -9, and of the producer half a checkpoint is left, as a crash while it is written leaves it.
    Torn,
    /// In order.
    Stopped,
    /// kill -9 while it stops.
    KilledStopping,
    /// A second signal, which stops it at once.
    StoppedHard,
}

/// What is to happen next: every end to everyone, in an order of its own, before it begins anew.
struct Deck(Vec<Blow>);

/// One run ends, or all are killed at once.
#[derive(Clone, Copy)]
enum Blow {
    One(usize, End),
    All,
}

impl Deck {
    fn draw(&mut self, random: &mut SplitMix) -> Blow {
        use End::{Killed, KilledStopping, Stopped, StoppedHard, Torn};
        if self.0.is_empty() {
            let ends = [Killed, Killed, Torn, Stopped, KilledStopping, StoppedHard];
            self.0 = (0..3).flat_map(|whom| ends.map(|end| Blow::One(whom, end))).collect();
            self.0.extend([Blow::All; 2]);
        }
        self.0.swap_remove((random.next() % self.0.len() as u64) as usize)
    }
}

impl End {
    fn is_kill(self) -> bool {
        matches!(self, End::Killed | End::Torn | End::KilledStopping)
    }

    /// Ends a run like this; what is said of it is wrong only if nobody could have known.
    fn befalls(self, whom: usize, mut running: Running, flow: &Flow<'_>, random: &mut SplitMix) {
        match self {
            End::Killed | End::Torn => running.signal(Signal::SIGKILL),
            End::Stopped => running.signal(Signal::SIGTERM),
            End::KilledStopping => {
                running.signal(Signal::SIGTERM);
                any_moment(random, 30);
                running.signal(Signal::SIGKILL);
            }
            End::StoppedHard => {
                running.signal(Signal::SIGTERM);
                wait_until("the first signal to be heard", LONG, || {
                    running.has_said("a second signal stops at once") || running.is_over()
                });
                any_moment(random, 30);
                // One that comes close behind the first belongs to it.
                wait_until("a second one to be heard", LONG, || {
                    running.signal(Signal::SIGTERM);
                    running.is_over()
                });
            }
        }
        let outcome = running.wait(LONG);
        // Without a code a signal has ended it, maybe before it came to its first line. A run that was stopped
        // hard may have been through.
        let code = outcome.status.code();
        let is_right = matches!(code, None | Some(0)) || (self == End::StoppedHard && code == Some(143));
        assert!(is_right, "{self:?} ends with {:?}:\n{}", outcome.status, outcome.stderr);
        if code.is_some() {
            flow.assert_sums(&name(whom));
        }
        // The temporary file of a producer that lives is its own.
        if self == End::Torn
            && whom == PRODUCER
            && let Some(checkpoint) = flow.checkpoint()
        {
            let whole = std::fs::read(&checkpoint).expect("a checkpoint");
            let torn = checkpoint.with_extension("json.new");
            std::fs::write(torn, &whole[..whole.len() / 2]).expect("half a checkpoint");
        }
    }
}

/// Any moment is a good one to be killed at; this is no wait for anything.
fn any_moment(random: &mut SplitMix, at_most_millis: u64) {
    std::thread::sleep(Duration::from_millis(random.next() % at_most_millis));
}

/// What the report of a run is called.
fn name(whom: usize) -> String {
    match whom {
        PRODUCER => "producer".into(),
        _ => format!("consumer-{whom}"),
    }
}

fn start(flow: &Flow<'_>, whom: usize) -> Running {
    match whom {
        PRODUCER => flow.produce(),
        _ => flow.consume_as(&name(whom)),
    }
}

/// One of the runs ends, or all of them are killed at once, and whoever has ended begins again. Answers with
/// how many were killed.
fn strike(runs: &mut Vec<Running>, flow: &Flow<'_>, deck: &mut Deck, random: &mut SplitMix) -> u64 {
    let Blow::One(whom, end) = deck.draw(random) else {
        for running in &*runs {
            running.signal(Signal::SIGKILL);
        }
        let n_killed = runs.len() as u64;
        for (whom, running) in std::mem::take(runs).into_iter().enumerate() {
            End::Killed.befalls(whom, running, flow, random);
        }
        runs.extend((0..3).map(|whom| start(flow, whom)));
        return n_killed;
    };
    end.befalls(whom, runs.remove(whom), flow, random);
    runs.insert(whom, start(flow, whom));
    u64::from(end.is_kill())
}

#[test]
#[needs(kafka)]
fn kill_campaign_loses_and_duplicates_nothing() {
    let n_wanted = amount("RUNNER_KILLS", 20, 300);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let seed = number("RUNNER_SEED").unwrap_or(now.as_nanos() as u64);
    eprintln!("RUNNER_KILLS={n_wanted} RUNNER_SEED={seed}");
    let began = Instant::now();
    let (mut random, mut deck) = (SplitMix(seed), Deck(Vec::new()));
    // At this pace there is more than enough to send for the time that a kill and its like take.
    let flow = Flow::new(400 * n_wanted as usize);
    let mut flow = flow.partitioned(3);
    flow.set("STOCKS_RATE", "50").session(Duration::from_secs(2));
    // Small batches are acknowledged early, so that kills hit between many commits.
    flow.edit("consumer.toml", "name = \"consumer\"", "name = \"consumer\"\nbatch = { max_records = 50 }");
    let mut runs: Vec<Running> = (0..3).map(|whom| start(&flow, whom)).collect();
    let (mut n_killed, mut n_ends) = (0, 0_u64);
    while n_killed < n_wanted {
        if n_ends.is_multiple_of(3) {
            // A group that loses a member every second never comes to reading.
            let enough = flow.n_objects() + 30;
            wait_until("more objects", LONG, || flow.n_objects() >= enough);
        }
        any_moment(&mut random, 800);
        n_killed += strike(&mut runs, &flow, &mut deck, &mut random);
        n_ends += 1;
        if n_ends.is_multiple_of(4) {
            flow.listen();
        }
        if n_ends.is_multiple_of(50) {
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
    flow.hurry();
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG * 2).assert_code(0);
    flow.assert_sums("producer");
    flow.assert_sums("consumer");
    flow.listen();
    let n_written = flow.broker.read_all(&flow.topic).len();
    eprintln!(
        "{n_killed} kills in {:.0?}: {n_stored} objects and {n_committed} commits under fire, {n_written} copies of {} records",
        began.elapsed(),
        flow.oracle.n_records()
    );
    assert!(n_stored < flow.oracle.n_records(), "the flow was through before the fire was");
    assert_eq!(flow.n_committed(), n_written);
    flow.assert_topic(n_ends as usize + 1);
    flow.assert_every_object();
    eprintln!("0 lost, 0 doubled, 0 wrong");
}

#[test]
#[needs(kafka)]
fn producer_killed_while_writing_checkpoint_loses_nothing() {
    let mut flow = Flow::new(2_000);
    flow.set("STOCKS_RATE", "300");
    let mut n_torn = 0;
    wait_until("three kills in the middle of a checkpoint", LONG, || {
        let running = flow.produce();
        let is_written = || flow.checkpoint().is_some_and(|path| path.with_extension("json.new").exists());
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_written() && Instant::now() < deadline {
            std::thread::yield_now();
        }
        running.signal(Signal::SIGKILL);
        running.wait(LONG);
        n_torn += usize::from(is_written());
        flow.listen();
        n_torn >= 3
    });
    flow.hurry();
    flow.produce().wait(LONG).assert_code(0);
    flow.assert_topic(usize::MAX);
}

#[test]
#[needs(kafka)]
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
        // What is under way keeps the run from its end.
        bucket.set(Weather::Silent);
        let n_stored = flow.n_objects();
        consumer.signal(Signal::SIGTERM);
        wait_until("the signal to be heard", LONG, || consumer.has_said("a second signal stops at once"));
        assert!(!consumer.is_over());
        consumer.signal(Signal::SIGKILL);
        assert_eq!(consumer.wait(LONG).status.code(), None);
        assert!(flow.n_committed() <= n_stored, "what was not stored is not committed");
        flow.listen();
        bucket.set(Weather::Fair);
    }
    producer.wait(LONG).assert_code(0);
    flow.hurry();
    flow.consume().wait(LONG).assert_code(0);
    flow.listen();
    flow.assert_topic(1);
    flow.assert_every_object();
}

/// Whoever may end in order writes nothing twice, neither into the topic nor into the bucket.
#[test]
#[needs(kafka)]
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
        any_moment(&mut random, 100);
        for running in runs {
            running.signal(Signal::SIGTERM);
            running.wait(LONG).assert_code(0);
        }
        flow.listen();
    }
    flow.hurry();
    flow.produce().wait(LONG).assert_code(0);
    flow.consume().wait(LONG).assert_code(0);
    flow.assert_topic(1);
    flow.assert_every_object();
    assert_eq!(flow.s3.requests("PutObject"), flow.oracle.n_records(), "each object was written once");
}
