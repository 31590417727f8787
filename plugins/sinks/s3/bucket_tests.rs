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
