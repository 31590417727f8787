//! Tests of the web server through its clients.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Cloud, Ports, Settings};

struct Scene {
    _folder: tempfile::TempDir,
    address: String,
    cloud: Cloud,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let bound = Cloud::bind(Settings { data, ports: Ports::default(), prices: b"a\n1\n" }).unwrap();
        let address = bound.aws_url().trim_start_matches("http://").to_owned();
        Scene { _folder: folder, address, cloud: bound.start().unwrap() }
    }

    /// Calls a service with JSON, and returns status and body.
    async fn call(&self, target: &str, body: &str) -> (u16, String) {
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-amz-target: {target}");
        ask(&self.address, &format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())).await
    }
}

/// Sends a request, and returns status and body.
async fn ask(address: &str, text: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_json_call_has_an_error_in_json() {
    let scene = Scene::new();
    for (target, body, expected) in [
        ("AWSGlue.GetDatabase", r#"{"Name":"x"}"#, "Database x not found."),
        ("AWSGlue.GetDatabase", "{", "SerializationException"),
        ("AmazonAthena.GetQueryExecution", "{}", "InvalidRequestException"),
        ("Kinesis.PutRecord", "", "has no Kinesis.PutRecord"),
        ("AWSGlue.CreateJob", "", "has no operation CreateJob"),
        ("AmazonAthena.CreateWorkGroup", "", "has no operation CreateWorkGroup"),
    ] {
        let (status, body) = scene.call(target, body).await;
        assert_eq!(status, 400);
        assert!(body.contains(expected), "{body}");
    }
}

/// The first byte of the next request would be taken for the body.
#[tokio::test(flavor = "multi_thread")]
async fn refusal_before_the_body_closes_the_connection() {
    let scene = Scene::new();
    let put = "PUT /lake/key HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nexpect: 100-continue\r\n\r\n";
    let answered = tokio::time::timeout(Duration::from_secs(30), ask(&scene.address, put)).await;
    assert_eq!(answered.expect("the end of the connection").0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_open_connections_within_a_second() {
    let scene = Scene::new();
    let mut idle = TcpStream::connect(&scene.address).await.unwrap();
    // Waits for a body that does not come.
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: y\r\ncontent-length: 9\r\n\r\n";
    let mut slow = TcpStream::connect(&scene.address).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(scene.call("y", "").await.0, 400);
    let started = Instant::now();
    scene.cloud.stop().await;
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(slow.read(&mut [0]).await.unwrap_or(0), 0);
}
