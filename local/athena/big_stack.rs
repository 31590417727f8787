//! Threads with a large stack: the parser and the planner recurse as deep as the SQL does.

use std::thread::{Builder, scope};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// An overflow would end the process. Thousands of terms fit here even without optimization,
/// and only the used part takes memory.
const STACK: usize = 128 << 20;

/// Runs `work` and waits for it; none if it has panicked.
pub(super) fn run_now<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    scope(|scope| Builder::new().stack_size(STACK).spawn_scoped(scope, work).ok()?.join().ok())
}

/// Runs a future to its end; none if it has panicked.
pub(super) async fn run<T, F>(work: F) -> Option<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let runtime = Handle::current();
    let (done, outcome) = oneshot::channel();
    let thread = Builder::new().name("athena-query".into()).stack_size(STACK);
    let started = thread.spawn(move || {
        // Fails when the process ends and the receiver is gone.
        let _ = done.send(runtime.block_on(work));
    });
    started.ok()?;
    outcome.await.ok()
}
