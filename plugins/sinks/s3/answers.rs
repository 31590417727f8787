//! What the sink makes of answers that a well-behaved server never gives.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;

use super::tests::{config, numbered, sink};
use super::*;
use crate::shared::aws::Access;

/// A server that answers one request after the other as it is told, and then is gone.
fn serve(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
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
            client.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn error(status: &str, code: &str) -> String {
    answer(status, &format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>"))
}

fn in_pieces(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    )
}

fn bucket(answers: impl Into<Vec<String>>, takes_letters: bool) -> Bucket {
    Bucket::with(Access::to(&serve(answers.into())), &config("{{ entry }}"), takes_letters)
}

async fn put(bucket: &Bucket, body: &'static str) -> Result<(), NotStored> {
    bucket.put("a", Bytes::from_static(body.as_bytes())).await
}

#[tokio::test]
async fn an_object_that_is_read_back_in_pieces_is_the_same_if_its_bytes_are() {
    let there = || [error("412 Precondition Failed", "PreconditionFailed"), in_pieces("{}")];
    put(&bucket(there(), false), "{}").await.unwrap();
    let other = put(&bucket(there(), false), "[]").await;
    assert!(matches!(other, Err(NotStored::Refused(_))), "{other:?}");
}

#[tokio::test]
async fn an_answer_that_is_not_of_s3_ends_the_run_at_first_and_passes_after_a_success() {
    for status in ["400 Bad Request", "404 Not Found", "307 Temporary Redirect"] {
        for body in ["", "<html>no</html>"] {
            let first = put(&bucket([answer(status, body)], false), "{}").await;
            let Err(NotStored::Hopeless(error)) = first else { panic!("{status}: {first:?}") };
            let said = format!("{error:#}");
            assert!(said.contains("something in between") && !said.contains("there is no bucket"), "{said}");

            let bucket = bucket([answer("200 OK", ""), answer(status, body)], false);
            put(&bucket, "{}").await.unwrap();
            let later = put(&bucket, "{}").await;
            assert!(matches!(later, Err(NotStored::Yet(_))), "{status}: {later:?}");
        }
    }
    let bucket = bucket([answer("200 OK", ""), error("404 Not Found", "NoSuchBucket")], false);
    put(&bucket, "{}").await.unwrap();
    let gone = put(&bucket, "{}").await;
    assert!(matches!(gone, Err(NotStored::Hopeless(_))), "{gone:?}");
}

#[tokio::test]
async fn what_was_stored_beside_an_object_that_ends_the_run_is_told() {
    let mut sink = sink("{{ entry }}");
    let answers = [answer("200 OK", ""), error("400 Bad Request", "InvalidRequest")];
    sink.bucket = Some(Arc::new(bucket(answers, false)));
    let records: Vec<_> = (0..2).map(|n| numbered(n, "p/rows")).collect();
    let Err(WriteError::FatalFor { error, not_stored }) = sink.write(&records).await else {
        panic!("the second is refused")
    };
    assert_eq!(not_stored, [1]);
    assert!(format!("{error:#}").contains("InvalidRequest"), "{error:#}");
}
