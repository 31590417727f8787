//! The options of the sink, and the object of a record.

use runner_core::testing::{context, record};
use runner_core::{Body, EntryNumber, Name, Upstream};

use super::*;
use crate::shared::aws::Access;

pub(super) fn config(key: &str) -> S3Config {
    serde_json::from_value(serde_json::json!({ "bucket": "lake", "key": key })).unwrap()
}

pub(super) fn bucket(url: String, key: &str) -> Bucket {
    let access = Access::to_test_server("S3", url);
    Bucket::new(access, Arc::new(config(key)), false)
}

fn counting(sources: &[&str]) -> Upstream {
    let counting_sources = sources.iter().map(|&name| name.to_owned()).collect();
    Upstream { counting_sources, ..Upstream::default() }
}

fn unused_bucket(key: &str) -> Bucket {
    bucket("http://127.0.0.1:9".into(), key)
}

pub(super) fn numbered(number: u64, source: &str) -> Record {
    let mut record = record("{}", number);
    record.entry = Some(EntryNumber::new(number, Name::new(source)));
    record
}

#[test]
fn location_is_the_folder_of_the_key() {
    let sink = config("stockmarket_project/stock_market_{{ entry }}.json").build(&context()).unwrap();
    assert_eq!(sink.location().unwrap(), "s3://lake/stockmarket_project/");
}

#[test]
fn bucket_given_as_url_is_rejected() {
    let mut config = config("{{ entry }}");
    config.bucket = "s3://lake/".into();
    let error = config.build(&context()).err().unwrap();
    assert_eq!(error.downcast_ref::<OptionError>().unwrap().option, "bucket");
}

#[test]
fn object_shares_the_bytes_of_the_record() {
    let record = numbered(3, "producer/stocks");
    let Body::Bytes(received) = &record.body else { unreachable!("made from bytes") };
    let (key, body) = unused_bucket("a/{{ entry }}.json").object(&record).unwrap();
    assert_eq!(key, "a/3.json");
    assert_eq!(body.as_ptr(), received.as_ptr());
}

#[test]
fn tombstone_is_rejected() {
    let mut tombstone = numbered(0, "producer/stocks");
    tombstone.body = Body::Tombstone;
    assert!(unused_bucket("{{ entry }}").object(&tombstone).unwrap_err().to_string().contains("no body"));
}

#[test]
fn key_by_entry_alone_is_rejected_with_two_numbering_sources() {
    let context = BuildContext { upstream: counting(&["news", "stocks"]), ..context() };
    let error = config("a/{{ entry }}.json").build(&context).err().unwrap();
    let OptionError { option, message } = error.downcast_ref().unwrap();
    assert_eq!(option, "key");
    assert!(message.contains("`news`, `stocks` each count from 0") && message.contains("`{{ offset }}`"));

    config("a/{{ topic }}/{{ partition }}-{{ offset }}.json").build(&context).unwrap();
    let one = BuildContext { upstream: counting(&["stocks"]), ..context };
    config("a/{{ entry }}.json").build(&one).unwrap();
}

#[test]
fn key_by_entry_alone_rejects_records_of_a_second_source() {
    let by_entry = unused_bucket("{{ entry }}");
    by_entry.object(&numbered(0, "producer/stocks")).unwrap();
    let error = by_entry.object(&numbered(5, "other/stocks")).unwrap_err().to_string();
    assert!(error.contains("`producer/stocks`") && error.contains("`other/stocks`"), "{error}");

    let by_origin = unused_bucket("{{ topic }}/{{ partition }}/{{ offset }}");
    by_origin.object(&numbered(0, "producer/stocks")).unwrap();
    by_origin.object(&numbered(5, "other/stocks")).unwrap();
}
