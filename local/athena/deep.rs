//! Deep: threads with room for the recursion of parser and planner, which goes as deep as the SQL does.

use std::thread::{Builder, scope};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// A stack that overflows ends the process. Thousands of terms fit here even without optimization,
/// and only what is used takes memory.
const STACK: usize = 128 << 20;

/// Does `work` and waits for it; none if it has panicked.
pub(super) fn now<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
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
    let begun = thread.spawn(move || {
        // Nobody listens any more when the process ends.
        let _ = done.send(runtime.block_on(work));
    });
    begun.ok()?;
    outcome.await.ok()
}
