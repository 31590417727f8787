//! Kinds of pagination, where a walk ends, and pages that repeat.

use super::*;

/// Answers with what `records` makes from the number in the parameter `offset`, or from 0.
async fn from_offset(records: impl Fn(usize) -> Value + Send + Sync + 'static) -> MockServer {
    respond(move |request: &Request| json_response(records(number(request, "offset").unwrap_or(0)))).await
}

async fn n_requests(server: &MockServer) -> usize {
    requests_to(server).await.len()
}

/// 25 records by offset, at most 10 per page, and 3 on the second page.
async fn offset_server() -> MockServer {
    from_offset(|offset| {
        let limit = if offset == 10 { 3 } else { 10 };
        let records: Vec<usize> = (offset..25.min(offset + limit)).collect();
        json!({"data": records, "count": 25, "more": offset + limit < 25})
    })
    .await
}

fn offset_options(more: Value) -> Value {
    let pagination = json!({"type": "offset", "param": "offset", "limit_param": "limit", "limit": 100});
    json!({"records": "/data", "pagination": with(pagination, &more)})
}

#[tokio::test]
async fn offset_steps_by_the_records_of_the_page_until_one_is_empty() {
    let server = offset_server().await;
    let run = run_once(&server, offset_options(json!({}))).await;
    assert_eq!(run.bodies, numbers(0..25), "{run:?}");
    let requests = requests_to(&server).await;
    let queries: Vec<&str> = requests.iter().map(|request| request.url.query().unwrap()).collect();
    assert_eq!(queries, [0, 10, 13, 23, 25].map(|offset| format!("offset={offset}&limit=100")));
}

#[tokio::test]
async fn offset_from_one_is_an_error_that_repeats_no_record() {
    // The API takes 0 for its first record, whose number is 1.
    async fn counted(size: usize) -> MockServer {
        from_offset(move |offset| {
            let first = offset.max(1);
            json!({"data": (first..8.min(first + size)).collect::<Vec<_>>(), "count": 7})
        })
        .await
    }
    for size in [3, 2] {
        let options = |more: Value| offset_options(more);
        let failed = run_once(&counted(size).await, options(json!({}))).await;
        assert_eq!(failed.bodies, numbers(1..size + 1), "size {size}");
        let failure = failed.failure();
        assert_contains(&failure, &["fatal: ", "set `start = 1`"]);
        for ends in [json!({"start": 1}), json!({"start": 1, "total": "/count"})] {
            let whole = run_once(&counted(size).await, options(ends.clone())).await;
            assert!(whole.error.is_none() && whole.bodies == numbers(1..8), "{ends} {whole:?}");
            // The run after the one that failed repeats nothing.
            let rest = run(&counted(size).await, options(ends), failed.position.clone(), usize::MAX).await;
            assert!(rest.error.is_none() && rest.bodies == numbers(size + 1..8), "{rest:?}");
        }
    }
    // Pages of one record cannot be told from equal records.
    let single = run_once(&counted(1).await, offset_options(json!({}))).await;
    assert!(single.error.is_none() && single.bodies[..3] == ["1", "1", "2"], "{single:?}");
    // Records that are equal by chance are not taken for it.
    let records = [1, 2, 2, 3, 4];
    let equal = from_offset(move |offset| {
        let first = offset.min(5);
        json!({"data": records[first..5.min(first + 2)]})
    });
    let whole = run_once(&equal.await, offset_options(json!({}))).await;
    assert!(whole.error.is_none() && whole.bodies == ["1", "2", "2", "3", "4"], "{whole:?}");
}

#[tokio::test]
async fn next_page_that_is_this_page_names_the_option() {
    let server = paged(|page| {
        json!({"data": [page], "self": format!("/prices?page={page}"), "next": format!("/prices?page={}", page + 1)})
    })
    .await;
    let failure = |pagination: Value| {
        let server = &server;
        async move { run_once(server, json!({"records": "/data", "pagination": pagination})).await.failure() }
    };
    let own = failure(json!({"type": "next_url", "next": "/self"})).await;
    assert!(own.contains("does `pagination.next` (`/self`) hold the URL of the next page"), "{own}");
    let cursor = failure(json!({"type": "cursor", "cursor": "/self", "param": "after"})).await;
    assert!(cursor.contains(r#"{ type = "next_url", next = "/self" }"#), "{cursor}");
}

#[tokio::test]
async fn next_page_that_is_null_as_text_is_the_end() {
    for end in [" ", "null", "None", "NONE", "false"] {
        for (kind, place) in [("next_url", "next"), ("cursor", "cursor")] {
            let server = serve([json_response(json!({"data": [1, 2], "next": end}))]).await;
            let mut pagination = json!({"type": kind, place: "/next"});
            if kind == "cursor" {
                pagination["param"] = json!("after");
            }
            let run = run_once(&server, json!({"records": "/data", "pagination": pagination})).await;
            assert!(run.error.is_none() && run.bodies == ["1", "2"], "{kind} {end} {run:?}");
            assert_eq!(requests_to(&server).await.len(), 1, "{kind} {end}");
        }
    }
}

#[tokio::test]
async fn total_has_more_and_max_pages_save_the_empty_page() {
    for (ends, n_pages, n_records) in [
        (json!({"total": "/count"}), 4, 25),
        (json!({"has_more": "/more"}), 4, 25),
        (json!({"max_pages": 2}), 2, 13),
        (json!({"total": "/missing"}), 5, 25),
    ] {
        let server = offset_server().await;
        let first = run_once(&server, offset_options(ends.clone())).await;
        assert_eq!(first.bodies, numbers(0..n_records), "{ends} {first:?}");
        assert_eq!(n_requests(&server).await, n_pages, "{ends}");
        // The end is the same for a run that resumes at the last page.
        let again = run(&server, offset_options(ends.clone()), first.position, usize::MAX).await;
        assert!(again.bodies.is_empty() && again.error.is_none(), "{ends} {again:?}");
    }
}

#[tokio::test]
async fn last_page_number_ends_a_walk_over_an_api_that_repeats_its_last_page() {
    // Behind the last page, this API returns the last page again.
    let server = paged(|page| {
        let page = page.min(3);
        json!([{"pages": "3", "total": 6}, [page * 2, page * 2 + 1]])
    })
    .await;
    let options = |ends: Value| json!({"records": "/1", "pagination": with(json!({"type": "page", "param": "page"}), &ends)});
    for ends in [json!({"last": "/0/pages"}), json!({"total": "/0/total"}), json!({"max_pages": 3})] {
        let first = run_once(&server, options(ends.clone())).await;
        assert!(first.error.is_none() && first.bodies == numbers(2..8), "{ends} {first:?}");
        let again = run(&server, options(ends.clone()), first.position, usize::MAX).await;
        assert!(again.error.is_none() && again.bodies.is_empty(), "{ends} {again:?}");
    }
    let endless = run_once(&server, options(json!({}))).await;
    assert_eq!(endless.bodies, numbers(2..8), "no copy is delivered");
    assert!(endless.failure().contains("hold every record of the page before"), "{}", endless.failure());
}

#[tokio::test]
async fn growing_list_that_ignores_the_page_is_an_error() {
    let n_requests = Mutex::new(0);
    let server = paged(move |_| {
        let mut n_requests = n_requests.lock().unwrap();
        *n_requests += 1;
        json!({"data": (0..*n_requests).collect::<Vec<usize>>()})
    })
    .await;
    let run = run_once(&server, page_options()).await;
    assert_eq!(run.bodies, ["0"]);
    assert!(run.failure().contains("does the API read `page`?"), "{}", run.failure());
}

#[tokio::test]
async fn one_page_that_repeats_another_is_delivered() {
    let pages: [&[usize]; 5] = [&[1], &[1], &[2], &[2, 1], &[]];
    let server = paged(move |page| json!({"data": pages[page - 1]})).await;
    let run = run_once(&server, page_options()).await;
    assert!(run.error.is_none() && run.bodies == ["1", "1", "2", "2", "1"], "{run:?}");
}

#[tokio::test]
async fn next_url_in_the_body_is_followed_with_the_api_key() {
    let server = paged(|page| {
        let next = (page < 3).then(|| format!("prices?page={}&apiKey=old", page + 1));
        json!({"results": [page], "links": {"next": next}})
    })
    .await;
    let options = json!({
        "records": "/results",
        "pagination": {"type": "next_url", "next": "/links/next"},
        "auth": {"strategy": "api_key", "in": "query", "name": "apiKey", "value": "s3cret"},
    });
    let first = run(&server, options.clone(), None, 2).await;
    assert_eq!(first.bodies, ["1", "2"]);
    assert!(!first.position.as_ref().unwrap().to_string().contains("s3cret"));
    let rest = run(&server, options, first.position, usize::MAX).await;
    assert!(rest.error.is_none() && rest.bodies == ["3"], "{rest:?}");
    for request in requests_to(&server).await {
        let keys: Vec<_> = request.url.query_pairs().filter(|(name, _)| name == "apiKey").collect();
        assert_eq!((keys.len(), &*keys[0].1), (1, "s3cret"), "{}", request.url);
    }
}

#[tokio::test]
async fn next_page_on_another_host_is_refused_unless_any_host_is_allowed() {
    let other = serve([json_response(json!({"data": [2]}))]).await;
    let elsewhere = format!("{}/more", other.uri());
    let first = json_response(json!({"data": [1], "next": elsewhere}))
        .insert_header("Link", format!("<{elsewhere}>; rel=next"));
    for pagination in [json!({"type": "next_url", "next": "/next"}), json!({"type": "link"})] {
        let server = serve([first.clone()]).await;
        let mut options = json!({
            "records": "/data", "pagination": pagination, "headers": {"X-Key": "s3cret"},
            "method": "POST", "body": "{\"token\": \"s3cret\"}",
        });
        let refused = run_once(&server, options.clone()).await;
        assert!(refused.failure().contains("another host than that of `endpoint`"), "{}", refused.failure());
        options["redirects"] = json!("any");
        let run = run_once(&server, options).await;
        assert!(run.error.is_none() && run.bodies == ["1", "2"], "{run:?}");
    }
    for request in requests_to(&other).await {
        assert!(request.body.is_empty() && !request.headers.contains_key("x-key"), "{request:?}");
    }
}

#[tokio::test]
async fn cursor_in_the_body_is_sent_as_json_until_there_is_no_more() {
    let server = respond(|request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["query"], "{ items }");
        let after = body["variables"]["after"].as_str().map_or(0, |after| after.parse().unwrap());
        let info = json!({"endCursor": (after + 2).to_string(), "hasNextPage": after < 4});
        json_response(json!({"data": {"nodes": [after, after + 1], "pageInfo": info}}))
    })
    .await;
    let options = json!({
        "method": "POST",
        "body": "{\"query\": \"{ items }\", \"variables\": {\"after\": null}}",
        "records": "/data/nodes",
        "pagination": {
            "type": "cursor", "in": "body", "cursor": "/data/pageInfo/endCursor", "param": "/variables/after",
            "has_more": "/data/pageInfo/hasNextPage",
        },
    });
    let first = run(&server, options.clone(), None, 3).await;
    assert_eq!(first.bodies, numbers(0..3));
    let rest = run(&server, options, first.position, usize::MAX).await;
    assert!(rest.error.is_none() && rest.bodies == numbers(3..6), "{rest:?}");
}

#[tokio::test]
async fn array_is_a_cursor_in_the_body() {
    let server = respond(|request: &Request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let after = body["search_after"][0].as_u64().unwrap_or(0);
        let hits: Vec<Value> = (after + 1..=5.min(after + 2)).map(|id| json!({"sort": [id, "x"]})).collect();
        json_response(json!({"hits": hits}))
    })
    .await;
    let pagination =
        json!({"type": "cursor", "in": "body", "cursor": "/hits/-1/sort", "param": "/search_after"});
    let options =
        json!({"method": "POST", "body": "{\"size\": 2}", "records": "/hits", "pagination": pagination});
    let run = run_once(&server, options).await;
    assert!(run.error.is_none() && run.bodies.len() == 5, "{run:?}");
}

#[tokio::test]
async fn list_as_a_query_value_repeats_the_parameter() {
    let server = serve([json_response(json!([]))]).await;
    run_once(&server, json!({"query": {"symbol": ["A", "B C", 3], "x": true}})).await;
    let requests = requests_to(&server).await;
    assert_eq!(requests[0].url.query().unwrap(), "symbol=A&symbol=B+C&symbol=3&x=true");
}

#[tokio::test]
async fn cursor_that_is_a_field_of_the_last_row_ends_at_a_page_of_known_rows() {
    let server = respond(|request: &Request| {
        let first = number(request, "from").unwrap_or(0);
        let rows: Vec<Value> = (first..20.min(first + 6)).map(|id| json!({"id": id, "t": id / 2})).collect();
        let ties =
            number(request, "t").map(|t| (2 * t..20.min(2 * t + 6)).map(|id| json!({"id": id, "t": id / 2})));
        json_response(json!({"data": ties.map_or(rows, Iterator::collect)}))
    })
    .await;
    for (field, param) in [("id", "from"), ("t", "t")] {
        let pagination = json!({"type": "cursor", "cursor": format!("/data/-1/{field}"), "param": param});
        let incremental = json!({"cursor": field, "key": "id", "start": 0});
        let mut options = json!({"records": "/data", "pagination": pagination, "incremental": incremental});
        assert_eq!(runs(&server, &options, 2).await.concat().len(), 20, "{field}");
        // The first request has the cursor of the page, too.
        options["query"] = json!({param: "{{ since }}"});
        assert_eq!(runs(&server, &options, 2).await.concat().len(), 20, "{field} with since");
    }
    // A full page of equal times hides the rows behind it.
    let full = json_response(json!({"data": [{"id": 1, "t": 5}, {"id": 2, "t": 5}]}));
    let pagination = json!({"type": "cursor", "cursor": "/data/-1/t", "param": "t"});
    let options = json!({"records": "/data", "pagination": pagination, "query": {"t": 5, "limit": 2}});
    assert_contains(&failure_of(full, options).await, &["repeats and leads to a page that was already read"]);
}
