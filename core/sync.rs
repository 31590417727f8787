//! Where threads meet over acks: the standard library's locks and atomics, and those of shuttle where a test
//! tries out in which orders they may (`RUSTFLAGS="--cfg shuttle"`, `engine/interleavings.rs`).

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::atomic::{AtomicU64, AtomicUsize};
#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
