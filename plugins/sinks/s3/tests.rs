//! The options of the sink, and the object of a record.

use runner_core::testing::{context, record};
use runner_core::{Body, EntryNumber, Name, Upstream};

use super::condition::Condition;
use super::*;
use crate::shared::aws::Access;

pub(super) fn config(key: &str) -> S3Config {
    serde_json::from_value(serde_json::json!({ "bucket": "lake", "key": key })).unwrap()
}

pub(super) fn bucket(url: String, key: &str) -> Bucket {
    let access = Access::to_test_server("S3", url);
    let mut bucket = Bucket::new(access, AccessOptions::default(), Arc::new(config(key)), false);
    bucket.condition = Condition::new(true);
    bucket
}

/// A sink that writes to `bucket`.
pub(super) fn opened(config: S3Config, bucket: Bucket) -> S3 {
    S3 {
        config: Arc::new(config),
        access: AccessOptions::default(),
        replaces_dead_letters: false,
        content_check: ContentCheck::new("lake", "", false, ""),
        table: None,
        component: "lake".into(),
        bucket: Some(bucket),
    }
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
fn content_type_that_the_key_contradicts_is_a_warning() {
    let warnings = |key: &str, content_type: &str| {
        let context = context();
        let config = S3Config { content_type: content_type.into(), ..config(key) };
        config.build(&context).unwrap();
        context.warnings.take().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let csv = warnings("a/{{ entry }}.CSV", "application/json");
    assert!(csv.len() == 1 && csv[0].contains("content_type = \"text/csv\""), "{csv:?}");
    for (key, content_type) in [
        ("a/{{ entry }}.csv", "text/csv"),
        ("a/{{ entry }}.json", "application/json"),
        ("a/{{ entry }}.json.gz", "application/json"),
        ("a/{{ entry }}", "application/json"),
    ] {
        assert!(warnings(key, content_type).is_empty(), "{key}");
    }
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

fn refused_option(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let mut options = serde_json::json!({ "bucket": "lake", "key": "{{ entry }}" });
    change(&mut options);
    let config: S3Config = serde_json::from_value(options).unwrap();
    let error = config.build(&context()).err().unwrap();
    error.downcast_ref::<OptionError>().unwrap().option.clone()
}

#[test]
fn options_that_do_not_fit_together_are_rejected() {
    assert_eq!(refused_option(|it| it["ssekms_key_id"] = "alias/lake".into()), "ssekms_key_id");
    assert_eq!(refused_option(|it| it["external_id"] = "x".into()), "external_id");
    assert_eq!(refused_option(|it| it["tags"] = serde_json::json!({ "aws:a": "" })), "tags");
    let point = "arn:aws:s3:eu-west-1:123456789012:accesspoint/lake";
    let at_minio = |it: &mut serde_json::Value| {
        it["bucket"] = point.into();
        it["endpoint"] = "http://127.0.0.1:9000".into();
    };
    assert_eq!(refused_option(at_minio), "bucket");
}

#[test]
fn access_point_has_no_location_for_a_crawler() {
    let config = S3Config {
        bucket: "arn:aws:s3:eu-west-1:123456789012:accesspoint/lake".into(),
        ..config("{{ entry }}")
    };
    assert_eq!(config.build(&context()).unwrap().location(), None);
}

#[test]
fn archived_objects_cannot_be_crawled() {
    for (class, is_refused) in
        [("GLACIER", true), ("DEEP_ARCHIVE", true), ("GLACIER_IR", false), ("STANDARD_IA", false)]
    {
        let config =
            serde_json::json!({ "bucket": "lake", "key": "a/{{ entry }}.json", "storage_class": class });
        let config: S3Config = serde_json::from_value(config).unwrap();
        let mut sink = config.build(&context()).unwrap();
        assert_eq!(sink.set_crawled("s3://lake/a/").is_err(), is_refused, "{class}");
    }
}

#[test]
fn tombstones_and_empty_bodies_are_skipped_only_with_the_option() {
    let with = |body: Body| {
        let mut record = numbered(0, "p/s");
        record.body = body;
        record
    };
    let bodies = || [Body::Tombstone, Body::Bytes("".into()), Body::Bytes("{}".into())].map(with);
    let reject = config("{{ entry }}").build(&context()).unwrap();
    assert_eq!(bodies().map(|record| reject.skips(&record)), [false; 3]);
    let skip = S3Config { tombstones: Tombstones::Skip, ..config("{{ entry }}") }.build(&context()).unwrap();
    assert_eq!(bodies().map(|record| skip.skips(&record)), [true, true, false]);
}
