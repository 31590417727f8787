//! One source, one transform and one sink outside of runner: `docs/writing-a-plugin.md` walks
//! through them. `stuck` is for the tests of aborts.

mod lines;
mod spool;
mod stuck;
mod upper;
