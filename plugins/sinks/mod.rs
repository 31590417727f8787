//! Where records are stored.

mod console;
mod file;
mod glue_crawl;
mod kafka;
mod null;
mod s3;
