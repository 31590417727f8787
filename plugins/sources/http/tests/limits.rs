//! Rate limits, errors in responses with a success status, and the `responses` option.

use super::*;

/// The first failure of a source, which is not repeated.
async fn first_failure(answer: ResponseTemplate, options: Value) -> Failure {
    let server = serve([answer, json_response(json!([1]))]).await;
    let mut source = open(&server, options).await;
    source.next().await.expect_err("a failure")
}

fn text_of(failure: &Failure) -> String {
    format!("{:#}", failure.error())
}

#[tokio::test]
async fn limits_are_waited_for_wherever_they_hide() {
    let in_a_minute = std::time::SystemTime::now() + Duration::from_secs(60);
    let epoch = in_a_minute.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    let exhausted = |status| {
        let answer = ResponseTemplate::new(status).insert_header("x-ratelimit-remaining", "0");
        answer.insert_header("x-ratelimit-reset", epoch.as_str())
    };
    for answer in [
        exhausted(403),
        exhausted(429),
        exhausted(400),
        ResponseTemplate::new(418).insert_header("Retry-After", "60"),
        ResponseTemplate::new(503).insert_header("ratelimit-reset", "60"),
        ResponseTemplate::new(402).insert_header("Retry-After", "60"),
    ] {
        let failure = first_failure(answer, json!({})).await;
        assert_eq!(failure.class(), Class::Transient, "{}", text_of(&failure));
        let wait = failure.retry_after().expect("a wait").as_secs();
        assert!((57..=60).contains(&wait), "{wait} {}", text_of(&failure));
    }
    for answer in [
        ResponseTemplate::new(418),
        ResponseTemplate::new(403).set_body_string("API rate limit exceeded for you"),
        ResponseTemplate::new(400)
            .set_body_string(r#"{"error": {"message": "(#17) User request limit reached"}}"#),
    ] {
        let failure = first_failure(answer, json!({})).await;
        assert_eq!((failure.class(), failure.retry_after()), (Class::Transient, None));
        assert!(text_of(&failure).contains("rate limit: too many requests"), "{}", text_of(&failure));
    }
    let other =
        ResponseTemplate::new(400).set_body_string("`limit` exceeded the maximum of 100 rows per page");
    assert!(!first_failure(other, json!({})).await.is_retryable());
}

#[tokio::test]
async fn wait_of_more_than_an_hour_is_fatal() {
    let answer = ResponseTemplate::new(429).insert_header("Retry-After", "7201");
    let failure = first_failure(answer, json!({})).await;
    assert!(!failure.is_retryable());
    assert!(text_of(&failure).contains("asks to wait 2h1s (`retry-after`)"), "{}", text_of(&failure));
    let hour = ResponseTemplate::new(429).insert_header("Retry-After", "3600");
    assert!(first_failure(hour, json!({})).await.is_retryable());
}

#[tokio::test]
async fn note_in_a_success_is_a_rate_limit() {
    let note = json!({"Note": "our standard API call frequency is 5 calls per minute"});
    for options in
        [json!({}), json!({"records": "/values"}), json!({"codec": "csv"}), json!({"codec": "ndjson"})]
    {
        let failure = first_failure(json_response(note.clone()), options.clone()).await;
        assert_eq!(failure.class(), Class::Transient, "{options} {}", text_of(&failure));
        let parts = ["rate limit", "`responses.retry`", "`responses = {}` if it is a record"];
        assert_contains(&text_of(&failure), &parts);
    }
    let line = ResponseTemplate::new(200).set_body_raw("Exceeded the daily hits limit", "text/plain");
    let failure = first_failure(line, json!({"codec": "csv"})).await;
    assert!(failure.is_retryable() && text_of(&failure).contains("rate limit"), "{}", text_of(&failure));
}

#[tokio::test]
async fn table_or_record_with_the_words_of_a_limit_is_not_a_limit() {
    let answer = |body: &str| ResponseTemplate::new(200).set_body_raw(body, "text/plain");
    let access = r#"{"timestamp":1,"type":"access","message":"GET /v1/quota 200"}"#;
    for (codec, body, n) in [("csv", "time,speed,throttle\n", 0), ("ndjson", access, 1)] {
        let run = run_once(&serve([answer(body)]).await, json!({"codec": codec})).await;
        assert!(run.error.is_none() && run.bodies.len() == n, "{codec} {run:?}");
    }
}

#[tokio::test]
async fn error_object_in_a_success_is_not_a_record() {
    let error = json_response(json!({"status": "error", "message": "no such symbol", "code": 7}));
    let failure = failure_of(error.clone(), json!({})).await;
    assert_contains(&failure, &["fatal: ", "the response is an error, not a record", "no such symbol"]);
    // With `responses`, only what they name is an error.
    let run = run_once(&serve([error]).await, json!({"responses": {}})).await;
    assert!(run.error.is_none() && run.bodies.len() == 1, "{run:?}");
    let down = json!({"error": "down"});
    let server = serve([json!([1]), down, json!([2])].map(json_response)).await;
    let mut source = open(&server, json!({"interval": "1ms"})).await;
    assert_eq!(read(&mut *source, 1).await.bodies, ["1"]);
    assert!(read(&mut *source, 1).await.failure().starts_with("retry: "));
    assert_eq!(read(&mut *source, 1).await.bodies, ["2"]);
}

#[tokio::test]
async fn responses_are_retried_empty_or_fatal_as_the_option_says() {
    let options = json!({"responses": {
        "retry": ["/Note", {"status": 400}],
        "empty": [{"status": 404}],
        "fail": [{"at": "/code", "is": 401}],
    }});
    let later = ResponseTemplate::new(400).insert_header("Retry-After", "5");
    let failure = first_failure(later, options.clone()).await;
    assert_eq!((failure.class(), failure.retry_after()), (Class::Transient, Some(Duration::from_secs(5))));
    assert!(text_of(&failure).contains("`responses.retry` matches it"), "{}", text_of(&failure));
    let fatal = first_failure(json_response(json!({"code": 401, "Note": "x"})), options.clone()).await;
    assert!(!fatal.is_retryable() && text_of(&fatal).contains("`responses.fail`"), "{}", text_of(&fatal));
    let nothing = ResponseTemplate::new(404).set_body_string("nothing");
    let run = run_once(&serve([nothing]).await, options).await;
    assert!(run.error.is_none() && run.bodies.is_empty(), "{run:?}");
}

#[tokio::test]
async fn rate_limit_spreads_the_requests_of_all_pages() {
    let server = page_server(6, 2).await;
    let mut options = page_options();
    options["rate_limit"] = json!({"requests": 2, "per": "200ms"});
    let started = std::time::Instant::now();
    let run = run_once(&server, options).await;
    assert_eq!(run.bodies, numbers(0..6));
    // Four requests need one more period.
    assert!(started.elapsed() >= Duration::from_millis(200), "{:?}", started.elapsed());
}
