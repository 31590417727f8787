//! The web server as its clients see it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_glue::Client;
use aws_sdk_glue::config::retry::RetryConfig;
use aws_sdk_glue::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_glue::error::ProvideErrorMetadata as _;
use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Aws, Json, Server, plain};
use crate::listen::bind;
use crate::{Fault, Keys, Store};

/// Answers what it was asked, and some names with a fault.
struct Echo;

#[async_trait]
impl Json for Echo {
    async fn call(&self, target: &str, input: Value) -> Result<Value, Fault> {
        match (target, input["Name"].as_str()) {
            ("AWSGlue.GetDatabase", Some("missing")) => {
                Err(Fault::new("EntityNotFoundException", "There is no database missing."))
            }
            ("AWSGlue.GetDatabase", Some("broken")) => Err(Fault::new("InternalServiceException", "A bug.")),
            ("AWSGlue.GetDatabase", Some(name)) => Ok(json!({ "Database": { "Name": name } })),
            _ => Ok(json!({ "target": target, "input": input })),
        }
    }
}

struct Scene {
    _folder: tempfile::TempDir,
    address: std::net::SocketAddr,
    server: Server,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let listener = bind("AWS", 0).unwrap();
        let address = listener.local_addr().unwrap();
        let keys = Keys::default();
        let server = Server::start(listener, Aws::new(store.service(&keys), Arc::new(Echo), keys)).unwrap();
        Scene { _folder: folder, address, server }
    }

    fn glue(&self, keys: &Keys) -> Client {
        let config = aws_sdk_glue::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(format!("http://{}", self.address))
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new(&keys.access_key, &keys.secret_key, None, None, "test"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .retry_config(RetryConfig::disabled())
            .build();
        Client::from_conf(config)
    }

    async fn database(&self, keys: &Keys, name: &str) -> Result<String, String> {
        match self.glue(keys).get_database().name(name).send().await {
            Ok(answer) => Ok(answer.database.unwrap().name),
            Err(error) => Err(error.code().unwrap_or_default().to_owned()),
        }
    }
}

/// Asks without the SDK, and answers status and body.
async fn ask(address: impl tokio::net::ToSocketAddrs, text: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

pub(crate) async fn get(url: &str) -> (u16, String) {
    let (address, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    ask(address, &format!("GET /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_for_the_holder_of_the_keys() {
    let scene = Scene::new();
    let keys = Keys::default();
    assert_eq!(scene.database(&keys, "here").await.as_deref(), Ok("here"));
    let guesser = Keys { secret_key: "wrong".into(), ..keys.clone() };
    assert_eq!(scene.database(&guesser, "here").await, Err("InvalidSignatureException".into()));
    let stranger = Keys { access_key: "stranger".into(), ..keys };
    assert_eq!(scene.database(&stranger, "here").await, Err("UnrecognizedClientException".into()));
    let unsigned =
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: AWSGlue.GetDatabase\r\nconnection: close\r\n\r\n";
    let (status, body) = ask(scene.address, unsigned).await;
    assert_eq!(status, 400);
    assert!(body.contains("MissingAuthenticationTokenException"), "{body}");
}

/// The first byte of the next request would be taken for the body.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_leaves_a_body_unsent_ends_the_connection() {
    let scene = Scene::new();
    let put = "PUT /lake/key HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\nexpect: 100-continue\r\n\r\n";
    let answered = tokio::time::timeout(Duration::from_secs(30), ask(scene.address, put)).await;
    assert_eq!(answered.expect("the end of the connection").0, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_an_exception_of_the_sdk() {
    let scene = Scene::new();
    let glue = scene.glue(&Keys::default());
    let error = glue.get_database().name("missing").send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 400);
    assert!(error.raw_response().unwrap().headers().get("x-amzn-requestid").is_some());
    let error = error.into_service_error();
    assert!(error.is_entity_not_found_exception());
    assert_eq!(error.message(), Some("There is no database missing."));
    let error = glue.get_database().name("broken").send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_without_a_target_go_to_s3() {
    let scene = Scene::new();
    let (status, body) = get(&format!("http://{}/a-bucket/key", scene.address)).await;
    assert_eq!(status, 403);
    assert!(body.contains("<Code>AccessDenied</Code>"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_service_answers_get_alone() {
    let listener = bind("it", 0).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = |uri: &hyper::Uri| {
        let mut answer = Response::new(Bytes::from(uri.to_string()));
        *answer.status_mut() = StatusCode::ACCEPTED;
        answer
    };
    let server = Server::start(listener, plain(answer)).unwrap();
    assert_eq!(get(&format!("http://{address}/a?b=c")).await, (202, "/a?b=c".into()));
    let post = "POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(ask(address, post).await.0, 405);
    server.stop().await;
    assert!(TcpStream::connect(address).await.is_err(), "the port is free again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_nobody_longer_than_a_second() {
    let scene = Scene::new();
    let mut idle = TcpStream::connect(scene.address).await.unwrap();
    // It waits for a body that does not come.
    let head = "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: y\r\ncontent-length: 9\r\n\r\n";
    let mut slow = TcpStream::connect(scene.address).await.unwrap();
    slow.write_all(head.as_bytes()).await.unwrap();
    scene.database(&Keys::default(), "here").await.unwrap();
    let started = Instant::now();
    scene.server.stop().await;
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(slow.read(&mut [0]).await.unwrap_or(0), 0);
}
