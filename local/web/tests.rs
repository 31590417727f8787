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
    async fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let bound = Cloud::bind(Settings { data, ports: Ports::default(), prices: b"a\n1\n" }).unwrap();
        let address = bound.aws_url().trim_start_matches("http://").to_owned();
        Scene { _folder: folder, address, cloud: bound.start().await.unwrap() }
    }

    /// Gets a database of Glue, and returns status and body.
    async fn database(&self, headers: &str, name: &str) -> (u16, String) {
        let body = format!("{{\"Name\":\"{name}\"}}");
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}");
        let length = body.len();
        let target = "x-amz-target: AWSGlue.GetDatabase";
        ask(&self.address, &format!("{head}{target}\r\ncontent-length: {length}\r\n\r\n{body}")).await
    }
}

fn signed(access_key: &str) -> String {
    format!(
        "authorization: AWS4-HMAC-SHA256 Credential={access_key}/20260101/us-east-1/glue/aws4_request\r\n"
    )
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
async fn json_call_needs_the_access_key() {
    let scene = Scene::new().await;
    for (headers, expected) in [
        (signed("local"), "\"__type\":\"EntityNotFoundException\",\"message\":\"Database x not found.\""),
        (signed("stranger"), "UnrecognizedClientException"),
        (String::new(), "MissingAuthenticationTokenException"),
    ] {
        let (status, body) = scene.database(&headers, "x").await;
        assert_eq!(status, 400);
        assert!(body.contains(expected), "{body}");
    }
}

/// The first byte of the next request would be taken for the body.
#[tokio::test(flavor = "multi_thread")]
async fn refusal_before_the_body_closes_the_connection() {
    let scene = Scene::new().await;
    let put = "PUT /lake/key HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nexpect: 100-continue\r\n\r\n";
    let answered = tokio::time::timeout(Duration::from_secs(30), ask(&scene.address, put)).await;
    assert_eq!(answered.expect("the end of the connection").0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_open_connections_within_a_second() {
    let scene = Scene::new().await;
    let mut idle = TcpStream::connect(&scene.address).await.unwrap();
    // Waits for a body that does not come.
    let head = format!(
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: y\r\n{}content-length: 9\r\n\r\n",
        signed("local")
    );
    let mut slow = TcpStream::connect(&scene.address).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(scene.database(&signed("local"), "x").await.0, 400);
    let started = Instant::now();
    scene.cloud.stop().await;
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(slow.read(&mut [0]).await.unwrap_or(0), 0);
}
