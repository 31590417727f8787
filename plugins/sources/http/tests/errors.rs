//! Errors of the API: denied access, other formats, no response.

use super::super::answer::BodyOptions;
use super::*;

#[tokio::test]
async fn http_source_retries_on_429_and_500() {
    let busy = ResponseTemplate::new(429).insert_header("Retry-After", "7").set_body_string("slow down");
    let server = serve([busy, ResponseTemplate::new(500), json_response(json!([1]))]).await;
    let mut source = build(&server, json!({})).unwrap();
    source.open(&Start::default()).await.unwrap();
    let first = source.next().await.unwrap_err();
    assert_eq!((first.class(), first.retry_after()), (Class::Transient, Some(Duration::from_secs(7))));
    let second = source.next().await.unwrap_err();
    assert_eq!((second.class(), second.retry_after()), (Class::Transient, None));
    assert_eq!(read(&mut *source, usize::MAX).await.bodies, ["1"]);
}

#[tokio::test]
async fn http_source_retries_on_an_incomplete_response() {
    let half = ResponseTemplate::new(200).set_body_string(r#"[{"a": 1}, {"a""#);
    let server = serve([half, json_response(json!([1]))]).await;
    let mut source = build(&server, json!({})).unwrap();
    source.open(&Start::default()).await.unwrap();
    let failure = read(&mut *source, usize::MAX).await.failure();
    assert!(
        failure.starts_with("retry: ") && failure.contains("incomplete JSON: the response ends at byte 15"),
        "{failure}"
    );
    assert_eq!(read(&mut *source, usize::MAX).await.bodies, ["1"]);
}

#[tokio::test]
async fn response_without_records_is_reported_as_idle_after_an_error() {
    let answers = [json_response(json!([])), ResponseTemplate::new(500), json_response(json!([]))];
    let server = serve(answers).await;
    let mut source = build(&server, json!({"interval": "1ms"})).unwrap();
    source.open(&Start::default()).await.unwrap();
    // The first success is reported, whatever the response contains.
    assert!(matches!(source.next().await, Ok(Next::Idle)));
    assert!(source.next().await.unwrap_err().is_retryable());
    assert!(matches!(source.next().await, Ok(Next::Idle)));
}

#[tokio::test]
async fn status_401_is_fatal_before_the_first_success_and_retried_after() {
    let denied = || ResponseTemplate::new(401).set_body_string("token s3cret is bad");
    let auth = json!({"strategy": "bearer", "token": "s3cret"});
    let run = run_once(&serve([denied()]).await, json!({"auth": auth})).await;
    let failure = run.failure();
    assert!(failure.starts_with("fatal: ") && failure.contains("check `auth.token`"), "{failure}");
    assert!(failure.contains("Response body: `token *** is bad`"), "{failure}");
    let options = json!({"query": {"apikey": "s3cret"}, "headers": {"X-Token": "bad"}});
    let failure = run_once(&serve([denied()]).await, options).await.failure();
    assert!(
        failure.contains("?apikey=***") && failure.contains("Response body: `token *** is ***`"),
        "{failure}"
    );
    let server = serve([json_response(json!({"data": [1]})), denied()]).await;
    assert!(run_once(&server, page_options()).await.failure().starts_with("retry: "));
}

#[tokio::test]
async fn status_403_advice_mentions_credentials_only_if_they_were_sent() {
    let denied = || ResponseTemplate::new(403);
    let auth = json!({"strategy": "bearer", "token": "s3cret"});
    let failure = run_once(&serve([denied()]).await, json!({"auth": auth})).await.failure();
    assert!(failure.contains("access denied with these credentials; check `auth.token`"), "{failure}");
    let failure = run_once(&serve([denied()]).await, json!({})).await.failure();
    assert!(
        failure.starts_with("fatal: ") && failure.ends_with("authentication is required: set `auth`"),
        "{failure}"
    );
}

#[tokio::test]
async fn response_in_another_format_is_an_error_with_advice() {
    let page = ResponseTemplate::new(200).set_body_raw("<!DOCTYPE html>\n<title>Log in</title>", "text/html");
    let failure = run_once(&serve([page]).await, json!({})).await.failure();
    for part in
        ["fatal: GET http://", "200 OK (text/html)", "not JSON at byte 0", "`auth`", "<title>Log in</title>"]
    {
        assert!(failure.contains(part), "{part} in {failure}");
    }
    let lines = ResponseTemplate::new(200).set_body_string("{\"a\":1}\n{\"a\":2}\n");
    let failure = run_once(&serve([lines]).await, json!({})).await.failure();
    assert!(failure.contains("codec = \"ndjson\"? The response begins with `{"), "{failure}");
    let spread = ResponseTemplate::new(200).set_body_string("[\n1\n]");
    let failure = run_once(&serve([spread]).await, json!({"codec": "ndjson"})).await.failure();
    assert!(failure.contains("over many lines"), "{failure}");
    let failure =
        run_once(&serve([json_response(json!([1]))]).await, json!({"codec": "csv"})).await.failure();
    assert!(failure.contains("codec = \"json\"?"), "{failure}");
}

#[tokio::test]
async fn refused_connection_is_unreachable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = MockServer::builder().start().await;
    let endpoint = format!("http://127.0.0.1:{port}/");
    let run = run_once(&server, json!({"endpoint": endpoint})).await;
    assert_eq!(run.error.as_ref().unwrap().class(), Class::Unreachable);
    assert!(run.failure().contains(&format!("cannot reach 127.0.0.1:{port}")), "{}", run.failure());
}

#[tokio::test]
async fn connect_timeout_is_unreachable() {
    // The kernel drops connections to a full accept queue, as a firewall does.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut connections = Vec::new();
    while let Ok(connection) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        connections.push(connection.unwrap());
    }
    let options = json!({"endpoint": format!("http://{address}/"), "timeout": "200ms"});
    let run = run_once(&MockServer::builder().start().await, options).await;
    assert_eq!(run.error.as_ref().unwrap().class(), Class::Unreachable);
    assert!(run.failure().contains("check `endpoint`"), "{}", run.failure());
}

#[tokio::test]
async fn http_source_retries_on_timeout() {
    let slow = json_response(json!([1])).set_delay(Duration::from_secs(30));
    let server = serve([json_response(json!([0])), slow.clone()]).await;
    let mut http = build_http(&server, json!({"interval": "1ms"})).unwrap();
    http.open(&Start::default()).await.unwrap();
    assert_eq!(read(&mut http, 1).await.bodies, ["0"]);
    // Reduce the timeout.
    http.client.open(Some(Duration::from_millis(50))).unwrap();
    let run = read(&mut http, usize::MAX).await;
    let failure = run.failure();
    assert!(
        failure.starts_with("retry: ") && failure.contains("did not complete within `timeout`"),
        "{failure}"
    );
    assert_eq!(run.error.unwrap().class(), Class::Transient, "it has responded before");
    // This API has not responded yet.
    let run = run_once(&serve([slow]).await, json!({"timeout": "50ms"})).await;
    assert_eq!(run.error.unwrap().class(), Class::Unreachable);
}

#[tokio::test]
async fn response_above_the_maximum_size_is_fatal() {
    let body = "[1, 2]".to_owned() + &" ".repeat(2_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, body.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    assert!(packed.len() < 1_000);
    let packed = ResponseTemplate::new(200).insert_header("Content-Encoding", "gzip").set_body_bytes(packed);
    for answer in [ResponseTemplate::new(200).set_body_string(body), packed] {
        let server = serve([answer]).await;
        let mut http = build_http(&server, json!({})).unwrap();
        http.client.body_options = BodyOptions::in_memory(1 << 10).into();
        http.open(&Start::default()).await.unwrap();
        let failure = read(&mut http, usize::MAX).await.failure();
        assert!(failure.starts_with("fatal: ") && failure.contains("larger than 1KiB"), "{failure}");
        assert!(failure.contains("`pagination`"), "{failure}");
        http.client.body_options = BodyOptions::in_memory(4 << 10).into();
        assert_eq!(read(&mut http, usize::MAX).await.bodies, ["1", "2"]);
    }
}

#[tokio::test]
async fn sent_values_are_hidden_where_an_api_repeats_them() {
    let denied = || ResponseTemplate::new(401).set_body_string("key hush-hush of acme-corp is bad, json");
    let headers = json!({"Authorization": "Custom hush-hush", "X-Tenant": "acme-corp", "Accept": "is bad"});
    let failure = run_once(&serve([denied()]).await, json!({"headers": headers})).await.failure();
    assert!(failure.contains("Response body: `key ***-*** of *** ***, json`"), "{failure}");
    let options = json!({"query": {"q": "key eq acme"}, "method": "POST", "body": "{\"k\": \"hush\"}"});
    let failure = run_once(&serve([denied()]).await, options).await.failure();
    assert!(failure.contains("Response body: `*** ***-*** of ***-corp is bad, json`"), "{failure}");
    assert!(failure.contains("/prices?q=*** returned"), "{failure}");
    let auth = json!({"strategy": "basic", "user": "acme", "password": "hush"});
    let failure = run_once(&serve([denied()]).await, json!({"auth": auth})).await.failure();
    assert!(failure.contains("Response body: `key ***-*** of ***-corp is bad, json`"), "{failure}");
}

#[tokio::test]
async fn page_is_shown_and_other_parameters_are_not() {
    let server = serve([json_response(json!({"data": [1]})), ResponseTemplate::new(500)]).await;
    let mut options = page_options();
    options["query"] = json!({"symbol": "NYA"});
    let failure = run_once(&server, options).await.failure();
    assert!(failure.contains("/prices?symbol=***&page=2 returned 500"), "{failure}");
}

#[tokio::test]
async fn server_without_tls_is_unreachable() {
    let server = MockServer::builder().start().await;
    let endpoint = server.uri().replace("http:", "https:");
    let failure = run_once(&server, json!({"endpoint": endpoint})).await.failure();
    assert!(failure.starts_with("retry: ") && failure.contains("cannot reach 127.0.0.1:"), "{failure}");
}
