//! Every stock plugin does what every plugin must do. `tests/conformance.rs` runs the same suite with those that need a
//! server: `kafka`, `s3`, `glue_crawl` and `athena`.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use runner_core::testing::{build_sink, build_source, build_transform, conformance, context, record};
use runner_core::{BuildContext, Kind, Registry, RetryLimits, Sink, Source, Transform};
use serde_json::json;
use wiremock::matchers::{any, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

/// The options of each transform.
const TRANSFORMS: [(&str, &str); 9] = [
    ("dedupe", ""),
    ("filter", "condition = '.n != 2'"),
    ("limit", "records = 4"),
    ("remap", "source = '. = [., .]'"),
    ("route", "route = { low = '.n < 3 ?? false', all = 'true' }"),
    ("sample", "ratio = 0.5\nseed = 1"),
    ("select", "fields = { m = { from = \"n\", type = \"integer\" } }"),
    ("throttle", "rate = 1000"),
    ("to_json", ""),
];

/// Opening each of these sources and sinks fails while their service cannot be reached.
const UNREACHABLE: [(Kind, &str, &str); 3] = [
    (Kind::Source, "http", "endpoint = \"http://127.0.0.1:1/\""),
    (Kind::Source, "kafka", "bootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"t\"]\ngroup_id = \"g\""),
    (Kind::Sink, "kafka", "bootstrap_servers = \"127.0.0.1:1\"\ntopic = \"t\""),
];

fn in_folder(folder: &Path) -> BuildContext {
    let retry = RetryLimits { connect: Some(Duration::from_secs(1)), ..RetryLimits::default() };
    BuildContext { folder: folder.to_owned(), retry, ..context() }
}

fn source(name: &str, options: &str, folder: &Path) -> Box<dyn Source> {
    build_source(name, options, &in_folder(folder))
}

fn transform(name: &str, options: &str) -> Box<dyn Transform> {
    build_transform(name, options, &context())
}

fn sink(name: &str, options: &str, folder: &Path) -> Box<dyn Sink> {
    build_sink(name, options, &in_folder(folder))
}

#[test]
fn every_plugin_is_checked() {
    let transforms = TRANSFORMS.map(|(name, _)| name);
    // `null` stores nothing, and the standard output of `console` belongs to the process.
    let sinks = ["console", "file", "glue_crawl", "kafka", "null", "s3"];
    let checked: [(Kind, &[&str]); 3] = [
        (Kind::Source, &["athena", "csv", "http", "kafka"]),
        (Kind::Transform, &transforms),
        (Kind::Sink, &sinks),
    ];
    for (kind, checked) in checked {
        let registered: BTreeSet<&str> = Registry::collect().unwrap().names(kind).collect();
        assert!(registered.is_subset(&checked.iter().copied().collect()), "{registered:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_transform_settles_its_records_and_stops_with_its_output() {
    let bodies = ["{\"n\":1}", "{\"n\":2}", "", "not JSON", "{\"n\":\"x\"}", "{\"n\":3}", "{\"n\":3}"];
    let records = || bodies.into_iter().zip(0..).map(|(body, n)| record(body, n)).collect();
    let registry = Registry::collect().unwrap();
    for (name, options) in TRANSFORMS {
        // A build without VRL has no `remap`, `filter` and `route`.
        if registry.get(Kind::Transform, name).is_none() {
            continue;
        }
        conformance::transform_settles_every_record(&mut *transform(name, options), records()).await;
        conformance::transform_stops_with_its_output(&mut *transform(name, options), records()).await;
    }
}

#[tokio::test]
async fn sources_and_sinks_say_that_their_service_cannot_be_reached() {
    for (kind, name, options) in UNREACHABLE {
        match kind {
            Kind::Source => conformance::source_is_unreachable(source(name, options, Path::new("."))).await,
            _ => conformance::sink_is_unreachable(sink(name, options, Path::new("."))).await,
        }
    }
}

#[tokio::test]
async fn csv_source_resumes_from_every_position() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("1.csv"), "a,b\n1,x\n2,\"y\nz\"\n3\n4,\n").unwrap();
    std::fs::write(folder.path().join("2.csv"), "b,a\nx,5\n").unwrap();
    let options = "path = [\"1.csv\", \"2.csv\"]\ntypes = { a = \"integer\" }";
    let csv = async || source("csv", options, folder.path());
    conformance::source_resumes(csv).await;
    conformance::source_survives_cancelled_reads(csv, Duration::ZERO).await;
}

#[tokio::test]
async fn http_source_resumes_from_its_end_and_survives_cancelled_reads() {
    let server = MockServer::start().await;
    let page = |rows: &[u32], next: Option<&str>| {
        let rows: Vec<_> = rows.iter().map(|n| json!({ "n": n })).collect();
        ResponseTemplate::new(200).set_body_json(json!({ "rows": rows, "next": next }))
    };
    let second = Mock::given(query_param("c", "2")).respond_with(page(&[3, 4], None));
    second.with_priority(1).mount(&server).await;
    Mock::given(any()).respond_with(page(&[1, 2], Some("2"))).mount(&server).await;
    let options = format!(
        "endpoint = \"{}\"\nrecords = \"/rows\"\npagination = {{ type = \"cursor\", cursor = \"/next\", param = \"c\" }}\n\
         incremental = {{ cursor = \"n\" }}",
        server.uri()
    );
    let http = async || source("http", &options, Path::new("."));
    conformance::source_resumes(http).await;
    conformance::source_survives_cancelled_reads(http, Duration::ZERO).await;
}

#[tokio::test]
async fn file_sink_stores_and_rejects_one() {
    let lines = |path: &Path| {
        let text = std::fs::read(path).unwrap_or_default();
        text.split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| sink("file", &format!("path = \"{name}\""), folder.path());
    let records = vec![record("a", 0), record("{\"b\":1}", 1)];
    conformance::sink_stores(file("all"), records, async || lines(&folder.path().join("all"))).await;
    let (good, bad) = ([record("a", 0), record("c", 2)], record("b\nb", 1));
    conformance::sink_rejects_one(file("some"), good, bad, async || lines(&folder.path().join("some"))).await;
}
