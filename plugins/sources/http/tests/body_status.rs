//! Responses with a success status that hold something else than records.

use super::*;

fn text(body: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(body, "application/json")
}

#[tokio::test]
async fn error_in_place_of_the_records_is_named_and_not_delivered() {
    for (body, records) in [
        (r#"{"errors": [{"message": "no field x"}], "data": null}"#, "/data/items"),
        (r#"{"code": -1121, "msg": "Invalid symbol."}"#, ""),
        (r#"{"code": "51001", "msg": "Instrument ID does not exist", "data": []}"#, "/data"),
        (r#"{"error": "x", "timestamp": 1, "data": {}}"#, "/data"),
        (
            r#"{"chart": {"result": null, "error": {"code": "Not Found", "description": "x"}}}"#,
            "/chart/result",
        ),
        (r#"{"chart": {"result": [], "error": {"code": "Not Found", "description": "x"}}}"#, "/chart/result"),
        (r#"{"orders": [], "error": "backend timeout"}"#, "/orders"),
        (r#"{"orders": null, "error": "backend timeout"}"#, "/orders"),
        (r#"{"page": {"orders": []}, "error": "backend timeout"}"#, "/page/orders"),
    ] {
        let options = json!({"records": records});
        let run = run_once(&serve([text(body)]).await, options.clone()).await;
        assert_eq!(run.bodies, [""; 0], "{body}");
        let failure = run.failure();
        assert_contains(&failure, &["fatal: ", "the response is an error"]);
        assert!(!failure.contains("set `records`"), "{failure}");
        // After a success it may be a temporary failure of the API.
        let good = json_response(json!({"data": {"items": [1]}}));
        if records == "/data/items" {
            let mut polled = options;
            polled["interval"] = json!("1ms");
            let run = run_once(&serve([good, text(body)]).await, polled).await;
            assert!(run.bodies == ["1"] && run.failure().starts_with("retry: "), "{run:?}");
        }
    }
    let body = r#"{"code": "51001", "msg": "no data", "data": []}"#;
    let run = run_once(&serve([text(body)]).await, json!({"records": "/data", "responses": {}})).await;
    assert!(run.error.is_none(), "{run:?}");
    for body in [r#"{"code": 0, "msg": "ok", "data": {}}"#, r#"{"error": null, "data": {"a": 1}}"#] {
        let run = run_once(&serve([text(body)]).await, json!({"records": "/data"})).await;
        assert!(run.error.is_none() && run.bodies.len() == 1, "{run:?}");
    }
}

#[tokio::test]
async fn error_in_the_last_line_is_requested_again() {
    let options = |responses: &Value| with(json!({"codec": "ndjson"}), responses);
    let cut = || text("{\"id\": 1}\n{\"error\": \"query timed out\"}\n");
    let whole = || text("{\"id\": 1}\n{\"id\": 2}\n");
    let failure = failure_of(cut(), options(&json!({}))).await;
    assert_contains(&failure, &["retry: ", "the last line is an error", "set `responses = {}`"]);
    let polled = options(&json!({"interval": "1ms", "responses": {}}));
    assert_eq!(run(&serve([cut()]).await, polled, None, 2).await.bodies.len(), 2);
    for log in [
        "{\"error\": \"a\"}\n{\"error\": \"b\"}\n",
        "{\"time\": 1, \"message\": \"a\"}\n{\"time\": 2, \"error\": \"b\"}",
    ] {
        let run = run_once(&serve([text(log)]).await, options(&json!({}))).await;
        assert!(run.error.is_none() && run.bodies.len() == 2, "{run:?}");
    }
    assert_eq!(run_once(&serve([whole()]).await, options(&json!({}))).await.bodies.len(), 2);
}

#[tokio::test]
async fn success_beside_no_or_other_records_is_not_an_error() {
    for (body, records, n) in [
        (r#"{"items": [], "default": {"name": "standard", "description": "x"}}"#, "/items", 0),
        (r#"{"job": "etl", "state": "failed", "last_error": {"message": "late"}}"#, "", 1),
        (r#"{"data": [], "status": "No failures found", "message": "0 rows"}"#, "/data", 0),
        (r#"{"orders": [], "error": null, "message": "no orders"}"#, "/orders", 0),
    ] {
        let run = run_once(&serve([text(body)]).await, json!({"records": records})).await;
        assert!(run.error.is_none() && run.bodies.len() == n, "{body} {run:?}");
    }
    let nothing = text(r#"{"data": [], "error": "No data found"}"#);
    let failure = failure_of(nothing, json!({"records": "/data"})).await;
    assert_contains(&failure, &["`responses.empty`"]);
}

#[tokio::test]
async fn errors_with_null_after_good_pages_are_not_the_end() {
    let good = json_response(json!({"data": [1]}));
    let bad = text(r#"{"errors": [{"message": "timeout"}], "data": null}"#);
    let rest = [json_response(json!({"data": [2]})), json_response(json!({"data": []}))];
    let server = serve([good, bad].into_iter().chain(rest)).await;
    let mut source = open(&server, page_options()).await;
    let first = read(&mut *source, usize::MAX).await;
    assert!(first.bodies == ["1"] && first.failure().contains("the response is an error"), "{first:?}");
    let second = read(&mut *source, usize::MAX).await;
    assert!(second.error.is_none() && second.bodies == ["2"], "{second:?}");
}

#[tokio::test]
async fn answer_that_says_no_data_is_no_records() {
    for (codec, body) in [("json", r#"{"s": "no_data"}"#), ("csv", r#"{"s": "no_data", "nextTime": 1}"#)] {
        let run = run_once(&serve([text(body)]).await, json!({"codec": codec})).await;
        assert!(run.error.is_none() && run.bodies.is_empty(), "{run:?}");
    }
}

#[tokio::test]
async fn accepted_request_without_records_is_repeated() {
    let accepted = |body: &str| ResponseTemplate::new(202).set_body_raw(body, "application/json");
    for body in ["", "[]", r#"{"id": 7, "status": "pending"}"#] {
        for codec in ["json", "ndjson"] {
            let failure = failure_of(accepted(body), json!({"codec": codec})).await;
            assert_contains(&failure, &["retry: ", "no records yet"]);
        }
    }
    let run = run_once(&serve([accepted("[1, 2]")]).await, json!({})).await;
    assert!(run.error.is_none() && run.bodies == ["1", "2"], "{run:?}");
}

#[tokio::test]
async fn job_that_is_not_done_is_requested_again() {
    let done =
        || text(r#"{"jobReference": {"jobId": "a"}, "jobComplete": true, "status": "DONE", "rows": [1]}"#);
    for body in [
        r#"{"jobReference": {"jobId": "a"}, "jobComplete": false}"#,
        r#"{"jobComplete": false, "rows": []}"#,
        r#"{"status": "RUNNING", "rows": []}"#,
        r#"{"status": {"state": "PENDING"}, "rows": null}"#,
    ] {
        for more in [json!({}), json!({"responses": {"empty": [{"missing": "/rows"}]}})] {
            if more != json!({}) && body.contains("[]") {
                continue;
            }
            let options = with(json!({"records": "/rows"}), &more);
            let failure = failure_of(text(body), options.clone()).await;
            assert_contains(&failure, &["retry: ", "says that the job of this request is not done"]);
            // A poll after one with records.
            let first = run_once(&serve([done()]).await, options.clone()).await;
            let second = run(&serve([text(body)]).await, options, first.position, usize::MAX).await;
            assert!(second.failure().starts_with("retry: "), "{body} {second:?}");
        }
    }
    for (body, query) in [
        (r#"{"status": "pending", "rows": []}"#, json!({"status": "pending"})),
        (r#"{"done": false, "rows": []}"#, json!({})),
        (r#"{"status": "COMPLETED", "rows": []}"#, json!({})),
    ] {
        let run = run_once(&serve([text(body)]).await, json!({"records": "/rows", "query": query})).await;
        assert!(run.error.is_none(), "{body} {run:?}");
    }
    let record = r#"{"id": 7, "state": "RUNNING"}"#;
    assert_eq!(run_once(&serve([text(record)]).await, json!({})).await.bodies, [record]);
}

#[tokio::test]
async fn response_without_a_body_can_be_named() {
    let server = serve([text("")]).await;
    let failure = run_once(&server, json!({})).await.failure();
    assert_contains(&failure, &[r#"responses = { empty = [{ text = "" }] }"#]);
    let run = run_once(&server, json!({"responses": {"empty": [{"text": ""}]}})).await;
    assert!(run.error.is_none() && run.bodies.is_empty(), "{run:?}");
}

#[tokio::test]
async fn unknown_response_after_good_ones_names_responses() {
    // An object of other members than those before may be an error.
    for other in [r#"[{"price": 7}]"#, r#"{"data_of": "tomorrow"}"#] {
        let server = serve([json_response(json!({"data": [1]})), text(other)]).await;
        let failure = run_once(&server, page_options()).await.failure();
        assert_contains(&failure, &["retry: ", "`responses.empty`", r#"{ missing = "/data" }"#, "page=2"]);
    }
}
