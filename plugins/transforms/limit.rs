//! `limit`
