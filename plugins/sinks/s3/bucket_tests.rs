//! Responses of proxies and of servers that are not S3.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use bytes::Bytes;
use runner_core::testing::write;
use runner_core::{Body, Class, WriteError};

use super::tests::{bucket, config, numbered, opened};
use super::*;

/// A server that sends these responses, one a connection, and then stops.
fn serve(responses: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for response in responses {
            let (mut client, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(client.try_clone().unwrap());
            let (mut line, mut n_body) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap() > 2 {
                let lower = line.to_ascii_lowercase();
                if let Some(n) = lower.strip_prefix("content-length:") {
                    n_body = n.trim().parse().unwrap();
                }
                line.clear();
            }
            reader.read_exact(&mut vec![0; n_body]).unwrap();
            client.write_all(response.as_bytes()).unwrap();
        }
    });
    url
}

fn response(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn error(status: &str, code: &str) -> String {
    response(
        status,
        &format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>"),
    )
}

fn chunked(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

fn server(responses: impl Into<Vec<String>>) -> Bucket {
    bucket(serve(responses.into()), "{{ entry }}")
}

async fn put(bucket: &Bucket, body: &'static str) -> Result<(), Failure> {
    let mut record = numbered(0, "p/rows");
    record.body = Body::Bytes(Bytes::from_static(body.as_bytes()));
    let (key, body) = bucket.object(&record).unwrap();
    bucket.put(&key, &body, &record).await
}

/// A server that has not shown yet that it keeps conditions.
fn unchecked(responses: impl Into<Vec<String>>) -> Bucket {
    let server = server(responses);
    let (access, config) = (server.access().clone(), Arc::clone(&server.config));
    Bucket::new(access, AccessOptions::default(), config, false)
}

/// The list of the objects whose names begin with the key `0`.
fn listed(keys: &[&str]) -> String {
    let keys: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    response("200 OK", &format!("<?xml version=\"1.0\"?><ListBucketResult>{keys}</ListBucketResult>"))
}

#[tokio::test]
async fn first_object_is_compared_and_written_twice() {
    let written = || response("200 OK", "");
    let refused = || error("412 Precondition Failed", "PreconditionFailed");
    let keeps = unchecked([listed(&[]), written(), refused(), written()]);
    put(&keeps, "{}").await.unwrap();
    put(&keeps, "{}").await.unwrap();

    let ignores = put(&unchecked([listed(&["01"]), written(), written()]), "{}").await.unwrap_err();
    assert_eq!(ignores.class(), Class::Fatal);
    assert!(format!("{:#}", ignores.error()).contains("overwrite = \"always\""), "{ignores:?}");

    let other = put(&unchecked([listed(&["0"]), response("200 OK", "other")]), "{}").await.unwrap_err();
    assert_eq!(other.class(), Class::Rejected, "nothing is written");
    let same = unchecked([listed(&["0"]), response("200 OK", "{}"), refused(), written()]);
    put(&same, "{}").await.unwrap();
    put(&same, "{}").await.unwrap();
}

#[tokio::test]
async fn object_itself_says_whether_it_exists_where_the_list_is_denied() {
    let denied = || error("403 Forbidden", "AccessDenied");
    let other = put(&unchecked([denied(), response("200 OK", "other")]), "{}").await.unwrap_err();
    assert_eq!(other.class(), Class::Rejected);
    let (missing, refused) =
        (error("404 Not Found", "NoSuchKey"), error("412 Precondition Failed", "PreconditionFailed"));
    put(&unchecked([denied(), missing, response("200 OK", ""), refused]), "{}").await.unwrap();
}

#[tokio::test]
async fn server_without_conditions_is_named_at_the_first_object() {
    let refuses = put(&unchecked([listed(&[]), error("501 Not Implemented", "NotImplemented")]), "{}").await;
    let refuses = refuses.unwrap_err();
    assert_eq!(refuses.class(), Class::Fatal);
    assert!(format!("{:#}", refuses.error()).contains("does not support conditional writes"), "{refuses:?}");
}

#[tokio::test]
async fn condition_that_could_not_be_tried_is_tried_again() {
    let written = || response("200 OK", "");
    let busy = error("503 Slow Down", "SlowDown");
    let again = [listed(&["0"]), response("200 OK", "{}"), written()];
    let bucket = unchecked([vec![listed(&[]), written(), busy], again.into()].concat());
    assert_eq!(put(&bucket, "{}").await.unwrap_err().class(), Class::Transient);
    assert_eq!(put(&bucket, "{}").await.unwrap_err().class(), Class::Fatal);
}

#[tokio::test]
async fn write_that_waits_for_a_failing_check_fails_without_requests() {
    let busy = || error("503 Slow Down", "SlowDown");
    let refused = error("412 Precondition Failed", "PreconditionFailed");
    let bucket = unchecked([listed(&[]), busy(), listed(&[]), response("200 OK", ""), refused]);
    let failed = tokio::join!(put(&bucket, "{}"), put(&bucket, "{}"), put(&bucket, "{}"));
    for failed in [failed.0, failed.1, failed.2] {
        let failed = failed.unwrap_err();
        assert_eq!(failed.class(), Class::Transient);
        assert!(format!("{:#}", failed.error()).contains("SlowDown"), "{failed:?}");
    }
    put(&bucket, "{}").await.unwrap();
}

#[tokio::test]
async fn denial_of_the_first_write_is_fatal_where_its_object_exists() {
    let exists = |second| unchecked([listed(&["0"]), response("200 OK", "{}"), second]);
    let denied = put(&exists(error("403 Forbidden", "AccessDenied")), "{}").await.unwrap_err();
    assert_eq!(denied.class(), Class::Fatal, "{denied:?}");
    let refuses = put(&exists(error("501 Not Implemented", "NotImplemented")), "{}").await.unwrap_err();
    assert_eq!(refuses.class(), Class::Fatal);
    assert!(format!("{:#}", refuses.error()).contains("overwrite = \"always\""), "{refuses:?}");
}

#[tokio::test]
async fn response_of_a_proxy_is_transient_after_a_write_that_found_its_object() {
    let refused = error("412 Precondition Failed", "PreconditionFailed");
    let bucket = server([refused, response("200 OK", "{}"), response("404 Not Found", "")]);
    put(&bucket, "{}").await.unwrap();
    assert_eq!(put(&bucket, "{}").await.unwrap_err().class(), Class::Transient);
}

#[tokio::test]
async fn existing_object_in_a_chunked_response_is_compared_by_its_bytes() {
    let existing = || [error("412 Precondition Failed", "PreconditionFailed"), chunked("{}")];
    put(&server(existing()), "{}").await.unwrap();
    let other = put(&server(existing()), "[]").await;
    assert_eq!(other.unwrap_err().class(), Class::Rejected);
}

#[tokio::test]
async fn response_of_a_proxy_is_fatal_at_first_and_transient_after_a_success() {
    for status in ["400 Bad Request", "404 Not Found", "307 Temporary Redirect"] {
        for body in ["", "<html>no</html>"] {
            let first = put(&server([response(status, body)]), "{}").await;
            let first = first.unwrap_err();
            assert_eq!(first.class(), Class::Fatal, "{status}: {first:?}");
            let text = format!("{:#}", first.error());
            assert!(text.contains("proxy") && !text.contains("there is no bucket"), "{text}");

            let bucket = server([response("200 OK", ""), response(status, body)]);
            put(&bucket, "{}").await.unwrap();
            let later = put(&bucket, "{}").await;
            assert_eq!(later.unwrap_err().class(), Class::Transient, "{status}");
        }
    }
}

#[tokio::test]
async fn deleted_bucket_is_fatal_after_a_success_too() {
    let bucket = server([response("200 OK", ""), error("404 Not Found", "NoSuchBucket")]);
    put(&bucket, "{}").await.unwrap();
    let deleted = put(&bucket, "{}").await;
    assert_eq!(deleted.unwrap_err().class(), Class::Fatal);
}

#[tokio::test]
async fn write_with_a_fatal_error_returns_what_was_not_stored() {
    let bucket = server([response("200 OK", ""), error("400 Bad Request", "InvalidRequest")]);
    let config = S3Config { concurrency: NonZeroUsize::MIN, ..config("{{ entry }}") };
    let sink = record_sink(opened(config, bucket));
    let records = (0..3).map(|n| numbered(n, "p/rows"));
    let Err(WriteError::Records(failures)) = write(&*sink, records).await else {
        panic!("the second object is not stored")
    };
    let classes: Vec<_> = failures.iter().map(|(index, failure)| (*index, failure.class())).collect();
    assert_eq!(classes, [(1, Class::Fatal), (2, Class::Transient)], "the third is not tried");
    assert!(format!("{:#}", failures[0].1.error()).contains("InvalidRequest"));
}
