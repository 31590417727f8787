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
    let mut source = build(&serve(answers).await, json!({"interval": "1ms"})).unwrap();
    source.open(&Start::default()).await.unwrap();
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
    let server = MockServer::start().await;
    let endpoint = format!("http://127.0.0.1:{port}/");
    let Some(ReadError::Retry { error, .. }) = run_once(&server, json!({"endpoint": endpoint})).await.error
    else {
        panic!("nobody should be there")
    };
    assert!(error.is::<runner_core::Unreachable>());
    assert!(format!("{error:#}").contains(&format!("cannot reach 127.0.0.1:{port}")), "{error:#}");
}

#[tokio::test]
async fn an_api_that_takes_too_long_is_asked_again() {
    let server = serve([json_answer(json!([1])).set_delay(std::time::Duration::from_secs(30))]).await;
    let failure = run_once(&server, json!({"timeout": "50ms"})).await.failure();
    assert!(failure.starts_with("retry: ") && failure.contains("not answered within `timeout`"), "{failure}");
}

#[tokio::test]
async fn a_server_without_tls_is_no_reason_to_panic() {
    let server = MockServer::start().await;
    let endpoint = server.uri().replace("http:", "https:");
    let failure = run_once(&server, json!({"endpoint": endpoint})).await.failure();
    assert!(failure.starts_with("retry: ") && failure.contains("cannot reach 127.0.0.1:"), "{failure}");
}
