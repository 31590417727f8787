//! A query of Athena: started, waited for, read page by page.

mod cell;
mod client;

pub use cell::write_object;
pub use client::{Answered, Client, Column, Page, Query, State};
