//! Threads with a large stack: the parser and the planner recurse as deep as the SQL does.

use std::thread::Builder;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// An overflow would end the process. Thousands of terms fit here even without optimization,
/// and only the used part takes memory.
const STACK: usize = 128 << 20;

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
