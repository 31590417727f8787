//! `console`
