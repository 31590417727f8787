//! An API that refuses, answers otherwise, or not at all.

use super::*;

#[tokio::test]
async fn trouble_that_may_pass_is_worth_another_try() {
    let busy = ResponseTemplate::new(429).insert_header("Retry-After", "7").set_body_string("slow down");
    let server = serve([busy, ResponseTemplate::new(500), json_answer(json!([1]))]).await;
    let mut source = build(&server, json!({})).unwrap();
    source.open(&Start::default()).await.unwrap();
    let first = source.next().await.unwrap_err();
    assert!(
        matches!(&first, ReadError::Retry { after: Some(after), .. } if after.as_secs() == 7),
        "{first:?}"
    );
    assert!(matches!(source.next().await, Err(ReadError::Retry { after: None, .. })));
    assert_eq!(read(&mut *source, usize::MAX).await.bodies, ["1"]);
}

#[tokio::test]
async fn half_an_answer_is_asked_for_again() {
    let half = ResponseTemplate::new(200).set_body_string(r#"[{"a": 1}, {"a""#);
    let server = serve([half, json_answer(json!([1]))]).await;
    let mut source = build(&server, json!({})).unwrap();
    source.open(&Start::default()).await.unwrap();
    let failure = read(&mut *source, usize::MAX).await.failure();
    assert!(
        failure.starts_with("retry: ") && failure.contains("half a JSON: it breaks off at byte 15"),
        "{failure}"
    );
    assert_eq!(read(&mut *source, usize::MAX).await.bodies, ["1"]);
}

#[tokio::test]
async fn an_api_that_is_well_again_is_told_of_even_without_records() {
    let answers = [json_answer(json!([])), ResponseTemplate::new(500), json_answer(json!([]))];
    let server = serve(answers).await;
    let mut source = build(&server, json!({"interval": "1ms"})).unwrap();
    source.open(&Start::default()).await.unwrap();
    // Contact is made by the first good answer, whatever is in it.
    assert!(source.next().await.unwrap().unwrap().is_empty());
    assert!(matches!(source.next().await, Err(ReadError::Retry { .. })));
    let batch = source.next().await.unwrap().unwrap();
    assert!(batch.is_empty() && position_after(&batch, 0).is_some());
}

#[tokio::test]
async fn a_refusal_is_final_at_first_and_passing_after_a_success() {
    let denied = || ResponseTemplate::new(401).set_body_string("token s3cret is bad");
    let auth = json!({"strategy": "bearer", "token": "s3cret"});
    let run = run_once(&serve([denied()]).await, json!({"auth": auth})).await;
    let failure = run.failure();
    assert!(failure.starts_with("fatal: ") && failure.contains("check `auth.token`"), "{failure}");
    assert!(failure.contains("It said: `token *** is bad`"), "{failure}");
    let options = json!({"query": {"apikey": "s3cret"}, "headers": {"X-Token": "bad"}});
    let failure = run_once(&serve([denied()]).await, options).await.failure();
    assert!(failure.contains("?apikey=***") && failure.contains("It said: `token *** is ***`"), "{failure}");
    let server = serve([json_answer(json!({"data": [1]})), denied()]).await;
    assert!(run_once(&server, by_page()).await.failure().starts_with("retry: "));
}

#[tokio::test]
async fn who_is_refused_hears_of_credentials_only_where_some_were_sent() {
    let denied = || ResponseTemplate::new(403);
    let auth = json!({"strategy": "bearer", "token": "s3cret"});
    let failure = run_once(&serve([denied()]).await, json!({"auth": auth})).await.failure();
    assert!(failure.contains("these credentials may not read it; check `auth.token`"), "{failure}");
    let failure = run_once(&serve([denied()]).await, json!({})).await.failure();
    assert!(
        failure.starts_with("fatal: ") && failure.ends_with("it wants to know who asks: set `auth`"),
        "{failure}"
    );
}

#[tokio::test]
async fn an_answer_that_is_something_else_says_what_to_do() {
    let page = ResponseTemplate::new(200).set_body_raw("<!DOCTYPE html>\n<title>Log in</title>", "text/html");
    let failure = run_once(&serve([page]).await, json!({})).await.failure();
    for part in
        ["fatal: GET http://", "200 OK (text/html)", "not JSON at byte 0", "`auth`", "<title>Log in</title>"]
    {
        assert!(failure.contains(part), "{part} in {failure}");
    }
    let lines = ResponseTemplate::new(200).set_body_string("{\"a\":1}\n{\"a\":2}\n");
    let failure = run_once(&serve([lines]).await, json!({})).await.failure();
    assert!(failure.contains("codec = \"ndjson\"? It begins `{"), "{failure}");
    let spread = ResponseTemplate::new(200).set_body_string("[\n1\n]");
    let failure = run_once(&serve([spread]).await, json!({"codec": "ndjson"})).await.failure();
    assert!(failure.contains("over many lines"), "{failure}");
    let failure = run_once(&serve([json_answer(json!([1]))]).await, json!({"codec": "csv"})).await.failure();
    assert!(failure.contains("codec = \"json\"?"), "{failure}");
}

#[tokio::test]
async fn nobody_there_is_said_to_be_unreachable() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = MockServer::builder().start().await;
    let endpoint = format!("http://127.0.0.1:{port}/");
    let Some(ReadError::Retry { error, .. }) = run_once(&server, json!({"endpoint": endpoint})).await.error
    else {
        panic!("nobody should be there")
    };
    assert!(error.is::<runner_core::Unreachable>());
    assert!(format!("{error:#}").contains(&format!("cannot reach 127.0.0.1:{port}")), "{error:#}");
}

#[tokio::test]
async fn a_host_that_lets_nobody_in_is_unreachable_and_not_waited_for_long() {
    // What comes when its queue is full is dropped, as by a firewall.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = socket.listen(1).unwrap();
    let address = full.local_addr().unwrap();
    let mut guests = Vec::new();
    while let Ok(guest) =
        tokio::time::timeout(Duration::from_millis(200), tokio::net::TcpStream::connect(address)).await
    {
        guests.push(guest.unwrap());
    }
    let options = json!({"endpoint": format!("http://{address}/"), "timeout": "200ms"});
    let run = run_once(&MockServer::builder().start().await, options).await;
    let Some(ReadError::Retry { error, .. }) = run.error else { panic!("another try") };
    assert!(error.is::<runner_core::Unreachable>(), "{error:#}");
    assert!(format!("{error:#}").contains("check `endpoint`"), "{error:#}");
}

#[tokio::test]
async fn an_api_that_takes_too_long_is_asked_again() {
    let slow = json_answer(json!([1])).set_delay(Duration::from_secs(30));
    let server = serve([json_answer(json!([0])), slow.clone()]).await;
    let mut http = build_http(&server, json!({"interval": "1ms"})).unwrap();
    http.open(&Start::default()).await.unwrap();
    assert_eq!(read(&mut http, 1).await.bodies, ["0"]);
    // From now on it has less time.
    http.client.open(Some(Duration::from_millis(50))).unwrap();
    let run = read(&mut http, usize::MAX).await;
    let failure = run.failure();
    assert!(failure.starts_with("retry: ") && failure.contains("not answered within `timeout`"), "{failure}");
    let Some(ReadError::Retry { error, .. }) = run.error else { panic!("another try") };
    assert!(!error.is::<runner_core::Unreachable>(), "it was there a moment ago");
    // Of this one nothing has been heard yet.
    let run = run_once(&serve([slow]).await, json!({"timeout": "50ms"})).await;
    let Some(ReadError::Retry { error, .. }) = run.error else { panic!("another try") };
    assert!(error.is::<runner_core::Unreachable>(), "{error:#}");
}

#[tokio::test]
async fn an_answer_that_would_fill_the_memory_is_refused_with_its_limit() {
    let body = "[1, 2]".to_owned() + &" ".repeat(2_000);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, body.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    assert!(packed.len() < 1_000);
    let packed = ResponseTemplate::new(200).insert_header("Content-Encoding", "gzip").set_body_bytes(packed);
    for answer in [ResponseTemplate::new(200).set_body_string(body), packed] {
        let server = serve([answer]).await;
        let mut http = build_http(&server, json!({})).unwrap();
        http.client.max_answer = 1 << 10;
        http.open(&Start::default()).await.unwrap();
        let failure = read(&mut http, usize::MAX).await.failure();
        assert!(failure.starts_with("fatal: ") && failure.contains("larger than 1KiB"), "{failure}");
        assert!(failure.contains("`pagination`"), "{failure}");
        http.client.max_answer = 4 << 10;
        assert_eq!(read(&mut http, usize::MAX).await.bodies, ["1", "2"]);
    }
}

#[tokio::test]
async fn sent_values_are_hidden_where_an_api_repeats_them() {
    let denied = || ResponseTemplate::new(401).set_body_string("key hush-hush of acme-corp is bad, json");
    let headers = json!({"Authorization": "Custom hush-hush", "X-Tenant": "acme-corp", "Accept": "is bad"});
    let failure = run_once(&serve([denied()]).await, json!({"headers": headers})).await.failure();
    assert!(failure.contains("It said: `key ***-*** of *** ***, json`"), "{failure}");
    let options = json!({"query": {"q": "key eq acme"}, "method": "POST", "body": "{\"k\": \"hush\"}"});
    let failure = run_once(&serve([denied()]).await, options).await.failure();
    assert!(failure.contains("It said: `*** ***-*** of ***-corp is bad, json`"), "{failure}");
    assert!(failure.contains("/prices?q=*** answered"), "{failure}");
    let auth = json!({"strategy": "basic", "user": "acme", "password": "hush"});
    let failure = run_once(&serve([denied()]).await, json!({"auth": auth})).await.failure();
    assert!(failure.contains("It said: `key ***-*** of ***-corp is bad, json`"), "{failure}");
}

#[tokio::test]
async fn page_is_shown_and_other_parameters_are_not() {
    let server = serve([json_answer(json!({"data": [1]})), ResponseTemplate::new(500)]).await;
    let mut options = by_page();
    options["query"] = json!({"symbol": "NYA"});
    let failure = run_once(&server, options).await.failure();
    assert!(failure.contains("/prices?symbol=***&page=2 answered 500"), "{failure}");
}

#[tokio::test]
async fn a_server_without_tls_is_no_reason_to_panic() {
    let server = MockServer::builder().start().await;
    let endpoint = server.uri().replace("http:", "https:");
    let failure = run_once(&server, json!({"endpoint": endpoint})).await.failure();
    assert!(failure.starts_with("retry: ") && failure.contains("cannot reach 127.0.0.1:"), "{failure}");
}
