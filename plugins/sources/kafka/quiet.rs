//! Panics of the client library that are expected, and nobody needs to read of.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// What `read` answers; `None` if it panics, of which no trace is shown.
pub(super) fn quietly<T>(read: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let show = take_hook();
        set_hook(Box::new(move |panic| {
            if !IS_QUIET.get() {
                show(panic);
            }
        }));
    });
    IS_QUIET.set(true);
    let answer = catch_unwind(AssertUnwindSafe(read)).ok();
    IS_QUIET.set(false);
    answer
}
