//! Where walks end: missing records, pages that the API refuses, and cursors that mark the end.

use wiremock::matchers::query_param;

use super::*;

#[tokio::test]
async fn missing_records_are_an_empty_answer_once_there_were_records() {
    for empty in
        [json!({}), json!({"total": 0}), json!({"total": 0, "items": null}), json!({"page": {"n": 0}})]
    {
        let found = |items: &[u8]| json!({"items": items, "total": items.len(), "page": {"n": 1}});
        let answers = || [found(&[1]), empty.clone(), found(&[1, 2])].map(json_response);
        let polled = json!({"records": "/items", "interval": "1ms"});
        let read = run(&serve(answers()).await, polled, None, 2).await;
        assert!(read.error.is_none() && read.bodies == ["1", "2"], "{empty} {read:?}");
        let server = serve(answers()).await;
        let bodies = runs(&server, &json!({"records": "/items"}), 3).await;
        assert_eq!(bodies, [vec!["1"], vec![], vec!["2"]], "{empty}");
        assert_eq!(requests_to(&server).await.len(), 3, "an empty answer is not requested again");
    }
}

#[tokio::test]
async fn missing_records_are_an_error_where_no_record_was_found() {
    let empty = || json_response(json!({"total": 0}));
    let first = run_once(&serve([empty()]).await, json!({"records": "/items"})).await;
    let failure = first.failure();
    assert_contains(
        &failure,
        &["fatal: ", "set `records`", r#"responses = { empty = [{ missing = "/items" }] }"#],
    );
    // The place was edited, and is not that of the records.
    let server = serve([json_response(json!({"items": [1]}))]).await;
    let found = run_once(&server, json!({"records": "/items"})).await;
    let edited = run(&server, json!({"records": "/itmes"}), found.position.clone(), usize::MAX).await;
    assert!(edited.failure().contains("no `/itmes`"), "{edited:?}");
    // An error has no records either.
    let error = json_response(json!({"error": {"code": 500, "message": "Backend Error"}}));
    for options in [json!({"records": "/items"}), json!({"records": "/items", "responses": {}})] {
        let failed = run(&serve([error.clone()]).await, options, found.position.clone(), usize::MAX).await;
        assert!(failed.error.is_some(), "{failed:?}");
    }
}

#[tokio::test]
async fn missing_matcher_names_an_answer_without_records() {
    let responses = json!({"empty": [{"missing": "/items"}]});
    let options = json!({"records": "/items", "responses": responses});
    let read = run_once(&serve([json_response(json!({"total": 0}))]).await, options.clone()).await;
    assert!(read.error.is_none() && read.bodies.is_empty(), "{read:?}");
    let error = json_response(json!({"error": {"code": 500, "message": "Backend Error"}}));
    assert!(failure_of(error, options).await.contains("the response is an error"));
}

#[tokio::test]
async fn has_more_may_be_a_word() {
    for no in ["N", "no", "False", "0"] {
        let server = serve([json_response(json!({"data": [1], "more": no, "next": "a"}))]).await;
        let pagination = json!({"type": "cursor", "cursor": "/next", "param": "after", "has_more": "/more"});
        let read = run_once(&server, json!({"records": "/data", "pagination": pagination})).await;
        assert!(read.error.is_none() && read.bodies == ["1"], "{no} {read:?}");
        assert_eq!(requests_to(&server).await.len(), 1, "{no}");
    }
}

#[tokio::test]
async fn refused_page_names_what_ends_the_pages() {
    let server = page_server(4, 2).await;
    let refused = ResponseTemplate::new(400).set_body_json(json!({"code": "invalid_page_number"}));
    Mock::given(query_param("page", "3")).respond_with(refused).with_priority(1).mount(&server).await;
    let failed = run_once(&server, page_options()).await;
    assert_eq!(failed.bodies, numbers(0..4));
    let failure = failed.failure();
    assert_contains(&failure, &["fatal: ", "400 Bad Request", "`last`", "empty = [{ status = 400 }]"]);
    let mut options = page_options();
    options["responses"] = json!({"empty": [{"status": 400}]});
    let read = run_once(&server, options).await;
    assert!(read.error.is_none() && read.bodies == numbers(0..4), "{read:?}");
    // On the first page it is a mistake in the request.
    let first = run_once(&serve([ResponseTemplate::new(400)]).await, page_options()).await;
    assert!(!first.failure().contains("`last`"), "{}", first.failure());
}

/// Records of an API whose last page has the cursor `end`, which is also that of the first page.
async fn circle_server(end: &'static str) -> MockServer {
    respond(move |request: &Request| {
        let after = parameter(request, "after").filter(|after| after != end);
        let first: usize = after.map_or(0, |after| after.parse().expect("a cursor"));
        let next = if first + 2 < 5 { json!(first + 2) } else { serde_json::from_str(end).unwrap() };
        json_response(json!({"data": (first..5.min(first + 2)).collect::<Vec<_>>(), "meta": {"next": next}}))
    })
    .await
}

#[tokio::test]
async fn cursor_that_leads_back_to_the_first_page_is_the_end() {
    for end in ["0", "-1", "\"0\""] {
        let server = circle_server(end).await;
        let first = run(&server, cursor_options(), None, 3).await;
        let rest = run(&server, cursor_options(), first.position.clone(), usize::MAX).await;
        assert!(rest.error.is_none() && rest.bodies == numbers(3..5), "{end} {rest:?}");
        let whole = run_once(&server, cursor_options()).await;
        assert!(whole.error.is_none() && whole.bodies == numbers(0..5), "{end} {whole:?}");
        let mut options = cursor_options();
        options["pagination"]["has_more"] = json!("/meta/next");
        let n_before = requests_to(&server).await.len();
        let whole = run_once(&server, options).await;
        assert!(whole.error.is_none() && whole.bodies == numbers(0..5), "{end} {whole:?}");
        assert_eq!(requests_to(&server).await.len() - n_before, 3);
    }
}

#[tokio::test]
async fn cursor_0_of_another_page_is_followed() {
    // The cursor counts down to the last page.
    let server = respond(|request: &Request| {
        json_response(match parameter(request, "after").as_deref() {
            None => json!({"data": [5, 4], "meta": {"next": 2}}),
            Some("2") => json!({"data": [3, 2], "meta": {"next": 0}}),
            _ => json!({"data": [1, 0], "meta": {"next": null}}),
        })
    })
    .await;
    let whole = run_once(&server, cursor_options()).await;
    assert!(whole.error.is_none() && whole.bodies == ["5", "4", "3", "2", "1", "0"], "{whole:?}");
}

#[tokio::test]
async fn last_may_be_true_on_the_last_page() {
    // As in time-based exports of Zendesk, where the last page names itself.
    let server = respond(|request: &Request| {
        let from = number(request, "from").unwrap_or(0);
        let end = (from + 2).min(5);
        let next = format!("/prices?from={end}");
        json_response(
            json!({"data": (from..end).collect::<Vec<_>>(), "next": next, "end_of_stream": end == 5}),
        )
    })
    .await;
    let pagination = json!({"type": "next_url", "next": "/next", "last": "/end_of_stream"});
    let run = run_once(&server, json!({"records": "/data", "pagination": pagination})).await;
    assert!(run.error.is_none() && run.bodies == numbers(0..5), "{run:?}");
    assert_eq!(requests_to(&server).await.len(), 3);
}

#[tokio::test]
async fn empty_object_in_place_of_an_array_is_an_empty_answer() {
    for records in ["/data", ""] {
        let body =
            |value: Value| json_response(if records.is_empty() { value } else { json!({"data": value}) });
        let server =
            serve([body(json!([{"n": 1}])), body(json!({})), body(json!([{"n": 1}, {"n": 2}]))]).await;
        let (mut position, mut bodies) = (None, Vec::new());
        for _ in 0..3 {
            let part = run(&server, json!({"records": records}), position, usize::MAX).await;
            assert!(part.error.is_none(), "{part:?}");
            bodies.push(part.bodies);
            position = part.position;
        }
        assert_eq!(bodies, [vec![r#"{"n":1}"#], vec![], vec![r#"{"n":2}"#]], "{records}");
    }
    // A record that is an object may be empty.
    let read =
        run_once(&serve([json_response(json!({"data": {}}))]).await, json!({"records": "/data"})).await;
    assert_eq!(read.bodies, ["{}"]);
}

#[tokio::test]
async fn cursor_of_the_last_row_ends_at_a_single_row_and_not_at_the_total() {
    let server = respond(|request: &Request| {
        let first = number(request, "from").or(number(request, "since")).expect("a number");
        let rows: Vec<Value> = (first..9.min(first + 3)).map(|id| json!({"id": id})).collect();
        json_response(json!({"data": rows, "total": 9}))
    })
    .await;
    let pagination = json!({"type": "cursor", "cursor": "/data/-1/id", "param": "from", "total": "/total"});
    let incremental = json!({"cursor": "id", "key": "id", "start": 0});
    let query = json!({"since": "{{ since }}"});
    let options =
        json!({"records": "/data", "pagination": pagination, "incremental": incremental, "query": query});
    let read = runs(&server, &options, 2).await;
    assert!(read[0].len() == 9 && read[1].is_empty(), "{read:?}");
    // A page of one row, as it was asked for, hides the rows behind it.
    let one = json_response(json!({"data": [{"id": 1}]}));
    let options = with(options, &json!({"query": {"limit": 1}}));
    assert_contains(&failure_of(one, options).await, &["repeats and leads to a page that was already read"]);
}
