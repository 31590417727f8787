//! Locks and atomics of the ack path. They are the standard library's, or those of shuttle where a
//! test explores thread interleavings (`RUSTFLAGS="--cfg shuttle"`, `engine/interleavings.rs`).

pub(crate) use std::sync::atomic::Ordering;

#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::atomic::{AtomicU64, AtomicUsize};
#[cfg(all(test, shuttle))]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::{Mutex, MutexGuard};
