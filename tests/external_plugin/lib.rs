//! One source, one transform and one sink outside of runner: `docs/writing-a-plugin.md` walks
//! through them.

mod lines;
mod spool;
mod upper;
