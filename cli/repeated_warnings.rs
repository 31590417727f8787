//! Repeated warnings: the log shows the first one of a kind, then every ten seconds how many followed it.
//!
//! An outage makes hundreds of operations fail for the same reason, and a file with a wrong column makes every row a
//! bad record. Warnings are of one kind if the same line of code logs them for the same component, and their texts
//! differ only in numbers and paths.

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// How often the warnings of one kind are counted.
const WINDOW: Duration = Duration::from_secs(10);
/// How often finished windows are looked for.
const TICK: Duration = Duration::from_millis(500);
/// How many kinds of one line of code and component are shown in a window; the others are counted together.
const MAX_KINDS: usize = 8;
/// The target of the lines that count.
const COUNTS: &str = "runner::repeats";

/// Lets the first warning of a kind pass, and counts the others.
#[derive(Clone, Default)]
pub(crate) struct RepeatedWarnings(Arc<Mutex<HashMap<CallSite, Window>>>);

/// A line of code, and the component that it warns about.
type CallSite = (Identifier, String);

struct Window {
    started: Instant,
    kinds: HashMap<String, Hidden>,
    /// Warnings of further kinds.
    others: Hidden,
}

/// Warnings that were not shown.
#[derive(Default)]
struct Hidden {
    n: u64,
    last: String,
}

impl Hidden {
    fn add(&mut self, message: String) {
        self.n += 1;
        self.last = message;
    }
}

/// What is logged about the warnings of one kind.
#[derive(Debug, PartialEq)]
struct Count {
    component: String,
    n: u64,
    seconds: f64,
    last: String,
}

static STARTED: OnceLock<(RepeatedWarnings, SyncSender<()>)> = OnceLock::new();

/// Starts to log the counts.
pub(crate) fn start() -> std::io::Result<RepeatedWarnings> {
    let repeats = RepeatedWarnings::default();
    // Nothing is ever sent: the channel is the clock of the thread.
    let (sender, ticks) = sync_channel::<()>(0);
    let counted = repeats.clone();
    std::thread::Builder::new().name("warnings".into()).spawn(move || {
        while let Err(RecvTimeoutError::Timeout) = ticks.recv_timeout(TICK) {
            counted.take_counts(Instant::now(), WINDOW).into_iter().for_each(log);
        }
    })?;
    let _ = STARTED.set((repeats.clone(), sender));
    Ok(repeats)
}

/// Logs the counts so far, before a summary.
pub(crate) fn log_counts() {
    if let Some((repeats, _)) = STARTED.get() {
        repeats.take_counts(Instant::now(), Duration::ZERO).into_iter().for_each(log);
    }
}

fn log(Count { component, n, seconds, last }: Count) {
    let times = if n == 1 { "1 more warning" } else { &format!("{n} more warnings") };
    if component.is_empty() {
        tracing::warn!(target: COUNTS, "{times} of this kind in {seconds:.0} s, the last: {last}");
    } else {
        tracing::warn!(target: COUNTS, component, "{times} of this kind in {seconds:.0} s, the last: {last}");
    }
}

impl RepeatedWarnings {
    fn windows(&self) -> MutexGuard<'_, HashMap<CallSite, Window>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a warning is the first of its kind.
    fn is_first(&self, call_site: CallSite, message: String, now: Instant) -> bool {
        let mut windows = self.windows();
        let window = windows.entry(call_site).or_insert_with(|| Window {
            started: now,
            kinds: HashMap::new(),
            others: Hidden::default(),
        });
        let kind = kind_of(&message);
        if let Some(hidden) = window.kinds.get_mut(&kind) {
            hidden.add(message);
            return false;
        }
        if window.kinds.len() == MAX_KINDS {
            window.others.add(message);
            return false;
        }
        window.kinds.insert(kind, Hidden::default());
        true
    }

    /// Ends the windows that have lasted for `at_least`. A kind that was repeated is hidden in the next window too.
    fn take_counts(&self, now: Instant, at_least: Duration) -> Vec<Count> {
        let mut counts = Vec::new();
        self.windows().retain(|(_, component), window| {
            let age = now.saturating_duration_since(window.started);
            if age < at_least {
                return true;
            }
            let mut count = |hidden: &mut Hidden| {
                let Hidden { n, last } = std::mem::take(hidden);
                if n > 0 {
                    let seconds = age.as_secs_f64().max(1.0);
                    counts.push(Count { component: component.clone(), n, seconds, last });
                }
                n > 0
            };
            window.started = now;
            window.kinds.retain(|_, hidden| count(hidden));
            count(&mut window.others);
            !window.kinds.is_empty()
        });
        counts.sort_by(|a, b| (&a.component, &a.last).cmp(&(&b.component, &b.last)));
        counts
    }
}

/// The text without what differs between two warnings of one kind: numbers, paths and URLs.
fn kind_of(message: &str) -> String {
    let mut kind = String::with_capacity(message.len());
    for word in message.split(' ') {
        if word.contains('/') {
            kind.push('/');
        } else {
            let mut is_number = false;
            for char in word.chars() {
                if !char.is_ascii_digit() {
                    kind.push(char);
                } else if !is_number {
                    kind.push('0');
                }
                is_number = char.is_ascii_digit();
            }
        }
        kind.push(' ');
    }
    kind
}

/// The fields of a warning.
#[derive(Default)]
struct Fields {
    component: String,
    message: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        match field.name() {
            "component" | "pipeline" => self.component = format!("{value:?}"),
            "message" => self.message = format!("{value:?}"),
            _ => {}
        }
    }
}

impl<S: Subscriber> Layer<S> for RepeatedWarnings {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() != Level::WARN || metadata.target() == COUNTS {
            return true;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.is_first((metadata.callsite(), fields.component), fields.message, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Metadata;
    use tracing::callsite::Callsite;
    use tracing::subscriber::Interest;

    use super::*;

    struct Line;

    impl Callsite for Line {
        fn set_interest(&self, _: Interest) {}

        fn metadata(&self) -> &Metadata<'_> {
            unreachable!("only the identity of the line counts")
        }
    }

    fn call_site(component: &str) -> CallSite {
        (Identifier(&Line), component.to_owned())
    }

    #[test]
    fn warnings_that_differ_in_numbers_and_paths_are_of_one_kind() {
        let retry =
            |n: u32| format!("writing s3://lake/stock_{n}.json: status 503 SlowDown; retrying in 0.{n} s");
        assert_eq!(kind_of(&retry(1)), kind_of(&retry(123)));
        let row = |n: u32| {
            format!("entry {n} from stocks.csv/0/{n} is a bad record: stocks.csv:{n}:5: too few cells")
        };
        assert_eq!(kind_of(&row(9)), kind_of(&row(10)));
        assert_ne!(kind_of("topic `a` has one replica"), kind_of("topic `b` has one replica"));
    }

    #[test]
    fn first_warning_is_shown_and_the_others_are_counted_once_a_window() {
        let (repeats, start) = (RepeatedWarnings::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let shown: Vec<bool> = (0..100)
            .map(|n| repeats.is_first(call_site("lake"), format!("try {n} failed"), at(n / 25)))
            .collect();
        assert_eq!(shown.iter().filter(|shown| **shown).count(), 1);
        assert!(shown[0] && repeats.is_first(call_site("other"), "try 1 failed".into(), at(4)));
        assert_eq!(repeats.take_counts(at(9), WINDOW), []);
        let count =
            |n, seconds, last: &str| Count { component: "lake".into(), n, seconds, last: last.into() };
        assert_eq!(repeats.take_counts(at(10), WINDOW), [count(99, 10.0, "try 99 failed")]);
        // It is still repeated, so only its count is shown.
        assert!(!repeats.is_first(call_site("lake"), "try 100 failed".into(), at(12)));
        assert_eq!(repeats.take_counts(at(13), Duration::ZERO), [count(1, 3.0, "try 100 failed")]);
        assert_eq!(repeats.take_counts(at(30), WINDOW), []);
        assert!(repeats.is_first(call_site("lake"), "try 101 failed".into(), at(31)));
    }

    #[test]
    fn many_kinds_of_one_call_site_are_counted_together() {
        let (repeats, now) = (RepeatedWarnings::default(), Instant::now());
        let texts = (0..100).map(|n| "x".repeat(n));
        let n_shown = texts.filter(|text| repeats.is_first(call_site("lake"), text.clone(), now)).count();
        assert_eq!(n_shown, MAX_KINDS);
        let counts = repeats.take_counts(now + WINDOW, WINDOW);
        assert_eq!(counts.iter().map(|count| count.n).sum::<u64>(), 100 - MAX_KINDS as u64);
    }
}
