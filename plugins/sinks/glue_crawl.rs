//! `glue_crawl`
