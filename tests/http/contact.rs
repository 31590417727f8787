//! First contact, waiting, and answers that never come.

use std::time::Instant;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_header_is_honoured() {
    let busy = ResponseTemplate::new(429).insert_header("Retry-After", "1");
    let server = serve_in_turn(vec![busy, answer([1])]).await;
    let scene = Scene::new();
    write_pipeline(&scene, &server.uri(), "", "");
    let text = scene.read("api.toml").replace("timeout = \"300ms\"", "timeout = \"10s\"");
    scene.write("api.toml", text);
    let started = Instant::now();
    run(&scene).assert_code(0).assert_says(&["429 Too Many Requests", "says to wait 1 s"]);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(lines(&scene), ["1"]);
}

/// Takes one request and answers it with a body that is said to have this length.
async fn answer_one(listener: &tokio::net::TcpListener, length: usize, body: &str) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let (mut stream, _) = listener.accept().await.expect("a client");
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.expect("a request"));
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_http_response_is_requested_again() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let endpoint = format!("http://{}/", listener.local_addr().expect("bound"));
    let server = async move {
        for body in ["[1, 2", "[1, 2]"] {
            answer_one(&listener, 6, body).await;
        }
    };
    let scene = Scene::new();
    write_pipeline(&scene, &endpoint, "", "");
    let running = scene.start(["run", "api.toml"]);
    server.await;
    let outcome = tokio::task::block_in_place(|| running.wait(Duration::from_secs(30)));
    outcome.assert_code(0).assert_says(&["cut off after 5 bytes"]);
    assert_eq!(lines(&scene), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_api_exits_69() {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let scene = Scene::new();
    write_pipeline(&scene, &format!("http://127.0.0.1:{port}/"), "", "");
    run(&scene).assert_code(69).assert_says(&[&format!("cannot reach 127.0.0.1:{port}"), "`endpoint`"]);
}

#[test]
fn unresponsive_api_exits_69() {
    // Whoever listens and never accepts lets everybody in and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let scene = Scene::new();
    write_pipeline(
        &scene,
        &format!("http://{}/", silent.local_addr().expect("bound")),
        "timeout = \"100ms\"",
        "",
    );
    run(&scene).assert_code(69).assert_says(&["was not answered within `timeout`", "(`[retry] connect`)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn api_with_empty_response_counts_as_reached() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let scene = Scene::new();
    let endpoint = format!("http://{}/", listener.local_addr().expect("bound"));
    write_pipeline(&scene, &endpoint, "interval = \"10ms\"", "");
    let running = scene.start(["run", "api.toml"]);
    // The first is known to have arrived when the next is asked for.
    for _ in 0..2 {
        answer_one(&listener, 2, "[]").await;
    }
    drop(listener);
    let outcome = tokio::task::block_in_place(|| running.wait(Duration::from_secs(30)));
    outcome.assert_code(69).assert_says(&["(`[retry] timeout`)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn overlong_retry_after_ends_run_with_reason() {
    let busy = ResponseTemplate::new(429).insert_header("Retry-After", "9223372036854775807");
    let scene = Scene::new();
    let server = serve(busy).await;
    pipeline(&scene, &server, "");
    let outcome = run(&scene);
    outcome.assert_code(1).assert_says(&["says to wait 9223372036854775807 s", "raise `[retry] timeout`"]);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}
