//! Errors of the API: denied access, other formats, no response.

use super::super::responses::BodyOptions;
use super::*;

#[tokio::test]
async fn http_source_retries_on_429_and_500() {
    let busy = ResponseTemplate::new(429).insert_header("Retry-After", "7").set_body_string("slow down");
    let server = serve([busy, ResponseTemplate::new(500), json_response(json!([1]))]).await;
    let mut source = open(&server, json!({})).await;
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
    let mut source = open(&server, json!({})).await;
    let failure = read(&mut *source, usize::MAX).await.failure();
    assert_contains(&failure, &["retry: ", "incomplete JSON: the response ends at byte 15"]);
    assert_eq!(read(&mut *source, usize::MAX).await.bodies, ["1"]);
}

#[tokio::test]
async fn response_without_records_is_reported_as_idle_after_an_error() {
    let answers = [json_response(json!([])), ResponseTemplate::new(500), json_response(json!([]))];
    let server = serve(answers).await;
    let mut source = open(&server, json!({"interval": "1ms"})).await;
    // The first success is reported, whatever the response contains.
    assert!(matches!(source.next().await, Ok(Next::Idle)));
    assert!(source.next().await.unwrap_err().is_retryable());
    assert!(matches!(source.next().await, Ok(Next::Idle)));
}

#[tokio::test]
async fn status_401_is_fatal_before_the_first_success_and_retried_after() {
    let denied = || ResponseTemplate::new(401).set_body_string("token s3cret is bad");
    let auth = json!({"strategy": "bearer", "token": "s3cret"});
    let failure = failure_of(denied(), json!({"auth": auth})).await;
    assert_contains(&failure, &["fatal: ", "check `auth.token`", "Response body: `token *** is bad`"]);
    let options = json!({"query": {"apikey": "s3cret"}, "headers": {"X-Token": "bad"}});
    let failure = failure_of(denied(), options).await;
    assert_contains(&failure, &["?apikey=***", "Response body: `token *** is ***`"]);
    let server = serve([json_response(json!({"data": [1]})), denied()]).await;
    assert!(run_once(&server, page_options()).await.failure().starts_with("retry: "));
}

#[tokio::test]
async fn denied_request_names_what_the_server_asks_for() {
    let digest =
        || ResponseTemplate::new(401).insert_header("WWW-Authenticate", "Digest realm=\"x\", nonce=\"y\"");
    let basic = json!({"auth": {"strategy": "basic", "user": "a", "password": "b"}});
    for options in [json!({}), basic.clone()] {
        assert_contains(&failure_of(digest(), options).await, &["Digest, NTLM or Kerberos authentication"]);
    }
    let both = digest().append_header("WWW-Authenticate", "Basic realm=\"x\"");
    assert_contains(&failure_of(both, basic).await, &["check `auth.user` and `auth.password`"]);
    let anonymous = ResponseTemplate::new(403).set_body_string("Please declare your user agent");
    assert_contains(&failure_of(anonymous, json!({})).await, &["set the header `User-Agent` in `headers`"]);
    assert_contains(&failure_of(ResponseTemplate::new(402), json!({})).await, &["the plan or the credit"]);
    let events = ResponseTemplate::new(200).set_body_raw("data: {\"a\": 1}\n\n", "text/event-stream");
    assert_contains(&failure_of(events, json!({"codec": "ndjson"})).await, &["server-sent events"]);
}

#[tokio::test]
async fn status_403_advice_mentions_credentials_only_if_they_were_sent() {
    let auth = json!({"strategy": "bearer", "token": "s3cret"});
    let failure = failure_of(ResponseTemplate::new(403), json!({"auth": auth})).await;
    assert_contains(&failure, &["access denied with these credentials; check `auth.token`"]);
    let failure = failure_of(ResponseTemplate::new(403), json!({})).await;
    assert_contains(&failure, &["fatal: "]);
    assert!(failure.ends_with("authentication is required: set `auth`"), "{failure}");
}

#[tokio::test]
async fn response_in_another_format_is_an_error_with_advice() {
    let page = "<!DOCTYPE html>\n<title>Log in</title>";
    let html = [
        "fatal: GET http://",
        "200 OK (text/html)",
        "not JSON at byte 0",
        "`auth`",
        "The title of the page is `Log in`",
    ];
    for (codec, body, content_type, parts) in [
        ("json", page, "text/html", &html[..]),
        (
            "json",
            "{\"a\":1}\n{\"a\":2}\n",
            "text/plain",
            &["codec = \"ndjson\"? The response begins with `{"],
        ),
        ("ndjson", "[\n1\n]", "text/plain", &["over many lines"]),
        ("csv", "[1]", "application/json", &["codec = \"json\"?"]),
    ] {
        let response = ResponseTemplate::new(200).set_body_raw(body, content_type);
        assert_contains(&failure_of(response, json!({"codec": codec})).await, parts);
    }
}

#[tokio::test]
async fn web_page_that_says_that_the_api_is_not_available_is_requested_again() {
    let down =
        "<html>\n<head><meta charset=utf-8>\n<TITLE data-x>\n Down for\n maintenance </TITLE></head></html>";
    for codec in ["json", "ndjson", "csv"] {
        for options in [json!({"codec": codec}), json!({"codec": codec, "interval": "1h", "responses": {}})] {
            let page = ResponseTemplate::new(200).set_body_raw(down, "text/html; charset=utf-8");
            let failure = failure_of(page, options).await;
            assert_contains(&failure, &["retry: ", "a web page with the title `Down for maintenance`"]);
        }
    }
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
    assert_contains(&failure, &["retry: ", "did not complete within `timeout`"]);
    assert_eq!(run.error.unwrap().class(), Class::Transient, "it has responded before");
    // This API has not responded yet.
    let run = run_once(&serve([slow]).await, json!({"timeout": "50ms"})).await;
    assert_eq!(run.error.unwrap().class(), Class::Unreachable);
}

#[tokio::test]
async fn response_above_the_maximum_size_is_fatal() {
    let body = "[1, 2]".to_owned() + &" ".repeat(2_000);
    let packed = gzip(&body);
    assert!(packed.len() < 1_000);
    let packed = ResponseTemplate::new(200).insert_header("Content-Encoding", "gzip").set_body_bytes(packed);
    for answer in [ResponseTemplate::new(200).set_body_string(body), packed] {
        let server = serve([answer]).await;
        let mut http = build_http(&server, json!({})).unwrap();
        http.client.body_options = BodyOptions::in_memory(1 << 10).into();
        http.open(&Start::default()).await.unwrap();
        let failure = read(&mut http, usize::MAX).await.failure();
        assert_contains(&failure, &["fatal: ", "larger than 1KiB", "`pagination`"]);
        http.client.body_options = BodyOptions::in_memory(4 << 10).into();
        assert_eq!(read(&mut http, usize::MAX).await.bodies, ["1", "2"]);
    }
}

#[tokio::test]
async fn sent_values_are_hidden_where_an_api_repeats_them() {
    let headers = json!({"Authorization": "Custom hush-hush", "X-Tenant": "acme-corp", "Accept": "is bad"});
    let body = json!({"query": {"q": "key eq acme"}, "method": "POST", "body": "{\"k\": \"hush\"}"});
    let auth = json!({"strategy": "basic", "user": "acme", "password": "hush"});
    for (options, parts) in [
        (json!({"headers": headers}), &["Response body: `key ***-*** of *** ***, json`"][..]),
        (body, &["Response body: `*** ***-*** of ***-corp is bad, json`", "/prices?q=*** returned"]),
        (json!({"auth": auth}), &["Response body: `key ***-*** of ***-corp is bad, json`"]),
    ] {
        let denied = ResponseTemplate::new(401).set_body_string("key hush-hush of acme-corp is bad, json");
        assert_contains(&failure_of(denied, options).await, parts);
    }
}

#[tokio::test]
async fn page_is_shown_and_other_parameters_are_not() {
    let server = serve([json_response(json!({"data": [1]})), ResponseTemplate::new(500)]).await;
    let mut options = page_options();
    options["query"] = json!({"symbol": "NYA"});
    let failure = run_once(&server, options).await.failure();
    assert_contains(&failure, &["/prices?symbol=***&page=2 returned 500"]);
}

#[tokio::test]
async fn server_without_tls_is_unreachable() {
    let server = MockServer::builder().start().await;
    let endpoint = server.uri().replace("http:", "https:");
    let failure = run_once(&server, json!({"endpoint": endpoint})).await.failure();
    assert_contains(&failure, &["retry: ", "cannot reach 127.0.0.1:", "does not speak TLS"]);
}

#[tokio::test]
async fn server_that_does_not_speak_http_is_named_with_advice() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let n_read = tokio::io::AsyncReadExt::read(&mut socket, &mut request).await.unwrap();
        assert!(n_read > 0);
        // The alert `unexpected_message` of TLS 1.2.
        tokio::io::AsyncWriteExt::write_all(&mut socket, b"\x15\x03\x03\x00\x02\x02\x0a").await.unwrap();
    };
    let other = serve([json_response(json!([1]))]).await;
    let mut source = open(&other, json!({"endpoint": format!("http://{address}/")})).await;
    let (next, ()) = tokio::join!(source.next(), server);
    let failure = next.unwrap_err();
    assert_eq!(failure.class(), Class::Fatal);
    let message = format!("{:#}", failure.error());
    assert!(
        message.contains("does not speak HTTP; if it speaks TLS, write https:// in `endpoint`"),
        "{message}"
    );
}

#[tokio::test]
async fn error_status_after_a_whole_poll_is_tried_again() {
    for status in [404, 400, 405, 410] {
        let rows = json_response(json!([1]));
        let server = serve([rows.clone(), ResponseTemplate::new(status), rows]).await;
        let read = run(&server, json!({"interval": "1ms"}), None, 2).await;
        assert!(read.failure().starts_with("retry: "), "{status}: {read:?}");
        let first =
            run(&serve([ResponseTemplate::new(status)]).await, json!({"interval": "1ms"}), None, 1).await;
        assert!(first.failure().starts_with("fatal: "), "{status}: {first:?}");
    }
}
