//! `null`
