//! What one run of a program may use: time, memory and stack.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::{Error, anyhow};
use vrl::compiler::runtime::ExecutionControl;

/// How long a program may work on one record.
const MAX_TIME: Duration = Duration::from_secs(60);
/// How much memory the process may take in addition while a program works on one record.
const MAX_MEMORY: u64 = 512 << 20;
/// A record that takes longer is watched at every step of the program.
const SLOW: Duration = Duration::from_millis(1);
/// A program may nest values, and the library walks through them by recursion.
const STACK: usize = 64 << 20;
/// How much of the stack must be free to run a program without a new one.
const ENOUGH_STACK: usize = 16 << 20;

/// Calls `run` with a stack that is large enough for any program. It costs a few microseconds if
/// the stack has to be made; inside of another call it costs nothing.
pub(crate) fn on_large_stack<T>(run: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(ENOUGH_STACK, STACK, run)
}

/// Ends a program that takes too long or too much memory.
#[derive(Debug, Default)]
pub(super) struct Limits {
    n_steps: u32,
    started: Option<Instant>,
    is_slow: bool,
    /// When the memory was measured for the last time.
    measured: Option<Instant>,
    /// The memory of the process when it was measured first, in bytes.
    memory_before: Option<u64>,
    exceeded: Option<&'static str>,
}

impl ExecutionControl for Limits {
    fn checkpoint(&mut self) -> ControlFlow<()> {
        self.n_steps = self.n_steps.wrapping_add(1);
        // Most programs have few steps: then the clock is read twice.
        if !self.is_slow && !self.n_steps.is_multiple_of(8) {
            return ControlFlow::Continue(());
        }
        self.exceeded = self.check(Instant::now());
        if self.exceeded.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Limits {
    fn check(&mut self, now: Instant) -> Option<&'static str> {
        let elapsed = now - *self.started.get_or_insert(now);
        self.is_slow |= elapsed > SLOW;
        if elapsed > MAX_TIME {
            return Some("has worked on the record for 60 s");
        }
        if self.is_slow && self.measured.is_none_or(|last| now - last > SLOW) {
            self.measured = Some(now);
            let memory = memory_of_process()?;
            if memory > *self.memory_before.get_or_insert(memory) + MAX_MEMORY {
                return Some("has taken 512 MiB for the record");
            }
        }
        None
    }

    /// Why the program was ended.
    pub(super) fn exceeded(&self) -> Error {
        anyhow!("the program {} and was ended", self.exceeded.unwrap_or("was interrupted"))
    }
}

/// The resident memory of this process in bytes; `None` where the system does not say.
pub(super) fn memory_of_process() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}
