//! The first connection, `Retry-After`, and responses that never arrive.

use std::time::Instant;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_header_is_honoured() {
    let busy = ResponseTemplate::new(429).insert_header("Retry-After", "1");
    let server = serve_in_turn(vec![busy, answer([1])]).await;
    let env = TestEnv::new();
    // The wait is longer than `[retry] timeout`, and does not count against it.
    write_pipeline(&env, &server.uri(), "", "");
    let started = Instant::now();
    run(&env).assert_code(0).assert_says(&["429 Too Many Requests", "retry after 1s"]);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(lines(&env), ["1"]);
}

/// Accepts one request and responds with this `Content-Length` and body.
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
    let env = TestEnv::new();
    write_pipeline(&env, &endpoint, "", "");
    let running = env.start(["run", "api.toml"]);
    server.await;
    let outcome = tokio::task::block_in_place(|| running.wait(Duration::from_secs(30)));
    outcome.assert_code(0).assert_says(&["interrupted after 5 bytes"]);
    assert_eq!(lines(&env), ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_api_exits_69() {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let env = TestEnv::new();
    write_pipeline(&env, &format!("http://127.0.0.1:{port}/"), "", "");
    run(&env).assert_code(69).assert_says(&[&format!("cannot reach 127.0.0.1:{port}"), "`endpoint`"]);
}

#[test]
fn unresponsive_api_exits_69() {
    // The kernel completes connections to a listener that never accepts them.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let env = TestEnv::new();
    write_pipeline(
        &env,
        &format!("http://{}/", silent.local_addr().expect("bound")),
        "timeout = \"100ms\"",
        "",
    );
    run(&env).assert_code(69).assert_says(&["did not complete within `timeout`", "(`[retry] connect`)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn api_with_empty_response_counts_as_reached() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let env = TestEnv::new();
    let endpoint = format!("http://{}/", listener.local_addr().expect("bound"));
    write_pipeline(&env, &endpoint, "interval = \"10ms\"", "");
    let running = env.start(["run", "api.toml"]);
    // The second request shows that the first response has arrived.
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
    let env = TestEnv::new();
    let server = serve(busy).await;
    pipeline(&env, &server, "");
    let outcome = run(&env);
    outcome.assert_code(1).assert_says(&[
        "rate limit",
        "`retry-after`",
        "more than the hour that is accepted",
    ]);
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
}
