//! Pagination, polling and resuming.

use wiremock::matchers::query_param;

use super::super::pages::END_CHECK_DELAYS;
use super::*;

#[tokio::test]
async fn pages_are_read_until_one_is_empty() {
    let server = page_server(7, 2).await;
    let run = run_once(&server, page_options()).await;
    assert_eq!(run.bodies, numbers(0..7));
    assert_eq!(requests_to(&server).await.len(), 5);
}

#[tokio::test]
async fn page_404_is_the_end_after_all_checks() {
    // The request for it may have been the last one that is allowed.
    let exhausted = ResponseTemplate::new(404).insert_header("x-ratelimit-remaining", "0");
    let for_long = exhausted.clone().insert_header("x-ratelimit-reset", "7200");
    for not_found in [ResponseTemplate::new(404), exhausted, for_long] {
        let server = page_server(3, 2).await;
        let missing = Mock::given(query_param("page", "3")).respond_with(not_found);
        missing.with_priority(1).expect(1 + END_CHECK_DELAYS.len() as u64).mount(&server).await;
        let run = run_once(&server, page_options()).await;
        assert!(run.error.is_none() && run.bodies == numbers(0..3), "{run:?}");
    }
    assert!((9..=11).contains(&END_CHECK_DELAYS.iter().sum::<Duration>().as_secs()));
}

#[tokio::test]
async fn temporary_404_or_null_loses_no_records() {
    for passing in [ResponseTemplate::new(404), json_response(json!({"data": null}))] {
        let server = page_server(10, 2).await;
        let missing = Mock::given(query_param("page", "3")).respond_with(passing);
        missing.up_to_n_times(END_CHECK_DELAYS.len() as u64).with_priority(1).mount(&server).await;
        let run = run_once(&server, page_options()).await;
        assert!(run.error.is_none() && run.bodies == numbers(0..10), "{run:?}");
    }
}

#[tokio::test]
async fn temporary_null_without_cursor_loses_no_records() {
    let server = cursor_server(8).await;
    let passing =
        Mock::given(query_param("after", "at 4")).respond_with(json_response(json!({"data": null})));
    passing.up_to_n_times(2).with_priority(1).mount(&server).await;
    let run = run_once(&server, cursor_options()).await;
    assert!(run.error.is_none() && run.bodies == numbers(0..8), "{run:?}");
}

#[tokio::test]
async fn end_checks_continue_after_an_error() {
    let server = page_server(3, 2).await;
    let missing = Mock::given(query_param("page", "3")).respond_with(ResponseTemplate::new(404));
    missing.with_priority(2).mount(&server).await;
    let busy = Mock::given(query_param("page", "3")).respond_with(ResponseTemplate::new(500));
    busy.up_to_n_times(1).with_priority(1).mount(&server).await;
    let mut source = open(&server, page_options()).await;
    let first = read(&mut *source, usize::MAX).await;
    assert!(first.failure().starts_with("retry: ") && first.bodies == numbers(0..3), "{first:?}");
    let rest = read(&mut *source, usize::MAX).await;
    assert!(rest.error.is_none() && rest.bodies.is_empty(), "{rest:?}");
}

#[tokio::test]
async fn page_404_is_left_to_the_next_poll() {
    let server = page_server(10, 2).await;
    let missing = Mock::given(query_param("page", "3")).respond_with(ResponseTemplate::new(404));
    missing.up_to_n_times(1).with_priority(1).mount(&server).await;
    let mut options = page_options();
    options["interval"] = json!("1ms");
    let run = run(&server, options, None, 10).await;
    assert!(run.error.is_none() && run.bodies == numbers(0..10), "{run:?}");
}

#[tokio::test]
async fn run_resumes_after_the_last_delivered_record() {
    let (paged, chained, whole) = (
        page_server(9, 4).await,
        cursor_server(9).await,
        serve([json_response(json!({"data": [0, 1, 2, 3, 4, 5, 6, 7, 8]}))]).await,
    );
    for (server, options) in
        [(paged, page_options()), (chained, cursor_options()), (whole, json!({"records": "/data"}))]
    {
        for n_at_once in 1..9 {
            let all = run_in_parts(&server, &options, n_at_once, 9).await;
            assert_eq!(all.bodies, numbers(0..9), "{n_at_once} at once, {options}");
            assert_eq!(all.offsets, (0..9).collect::<Vec<u64>>());
        }
    }
}

#[tokio::test]
async fn cursor_in_a_header_is_sent_in_the_query_a_header_or_the_body() {
    // Two records per page; all but the last one are partial content.
    let server = respond(|request: &Request| {
        let header = |name| Some(request.headers.get(name)?.to_str().ok()?.to_owned());
        let body = || Some(request.body_json::<Value>().ok()?["after"].as_str()?.to_owned());
        let sent = parameter(request, "after").or_else(|| header("range")).or_else(body).unwrap_or_default();
        let first: usize = sent.trim_start_matches("id ").parse().unwrap_or(0);
        let end = first + 2;
        let page = ResponseTemplate::new(if end < 9 { 206 } else { 200 })
            .set_body_json((first..end.min(9)).collect::<Vec<_>>());
        match end {
            ..9 => page.insert_header("Next-Range", format!("id {end}")),
            // As Salesforce does.
            _ if parameter(request, "after").is_some() => page.insert_header("Next-Range", "null"),
            _ => page,
        }
    })
    .await;
    let cursor = json!({"header": "Next-Range"});
    let body = json!({"method": "POST", "body": "{\"after\": null}"});
    for (param, sent_in, mut options) in [
        ("after", "query", json!({})),
        ("Range", "header", json!({"headers": {"Range": "id 0"}})),
        ("/after", "body", body),
    ] {
        options["pagination"] = json!({"type": "cursor", "cursor": cursor, "param": param, "in": sent_in});
        for n_at_once in [1, 3, 9] {
            let all = run_in_parts(&server, &options, n_at_once, 9).await;
            assert_eq!(all.bodies, numbers(0..9), "{n_at_once} at once, {options}");
        }
    }
    // The API does not read the parameter.
    let ignored = json!({"pagination": {"type": "cursor", "cursor": cursor, "param": "page"}});
    let run = run_once(&server, ignored).await;
    assert!(run.failure().contains("in the header `next-range` repeats"), "{run:?}");
}

#[tokio::test]
async fn run_after_the_last_page_returns_only_new_records() {
    for options in [page_options(), cursor_options()] {
        let serve = async |n_records| {
            if options == page_options() {
                page_server(n_records, 2).await
            } else {
                cursor_server(n_records).await
            }
        };
        let first = run(&serve(5).await, options.clone(), None, usize::MAX).await;
        let again = run(&serve(5).await, options.clone(), first.position.clone(), usize::MAX).await;
        assert_eq!(again.bodies, numbers(0..0));
        let grown = run(&serve(8).await, options.clone(), first.position, usize::MAX).await;
        assert_eq!(grown.bodies, numbers(5..8));
        assert_eq!(grown.offsets, [5, 6, 7]);
    }
}

#[tokio::test]
async fn changed_response_repeats_no_delivered_record() {
    let server = serve([json_response(json!([1, 2, 3])), json_response(json!([1, 9, 3]))]).await;
    let first = run(&server, json!({}), None, 2).await;
    let second = run(&server, json!({}), first.position, usize::MAX).await;
    assert_eq!(second.bodies, ["9", "3"]);
}

#[tokio::test]
async fn repeated_page_is_an_error() {
    let circle = json_response(json!({"data": [1], "meta": {"next": "a"}}));
    let run = run_once(&serve([circle]).await, cursor_options()).await;
    assert_eq!(run.bodies, ["1"]);
    let failure = run.failure();
    assert_contains(&failure, &["the cursor `a` at `/meta/next` repeats", "`after`"]);

    let run = run_once(&serve([json_response(json!({"data": [1]}))]).await, page_options()).await;
    let failure = run.failure();
    assert_contains(
        &failure,
        &[
            "page=2 returned 200 OK: this page and the next one hold every record",
            "does the API read `page`?",
            "`max_pages`",
        ],
    );
    assert_eq!(run.bodies, ["1"]);

    let back = json_response(json!([1])).insert_header("Link", "</prices>; rel=next");
    let run = run_once(&serve([back]).await, json!({"pagination": {"type": "link"}})).await;
    assert!(run.failure().contains("the next link repeats"), "{}", run.failure());
    assert!(run.bodies.is_empty());
}

#[tokio::test]
async fn empty_page_with_its_own_cursor_is_the_end() {
    let end = json_response(json!({"data": [], "meta": {"next": "a"}}));
    let run = run_once(
        &serve([json_response(json!({"data": [1], "meta": {"next": "a"}})), end]).await,
        cursor_options(),
    )
    .await;
    assert!(run.error.is_none() && run.bodies == ["1"], "{run:?}");
}

#[tokio::test]
async fn polling_waits_for_the_interval_and_returns_new_records() {
    let answer = |data: Value| json_response(json!({"data": data}));
    let server =
        serve([answer(json!([1])), answer(json!([])), answer(json!([1, 2])), answer(json!([]))]).await;
    let mut options = page_options();
    options["interval"] = json!("50ms");
    let started = std::time::Instant::now();
    let run = run(&server, options, None, 2).await;
    assert_eq!(run.bodies, ["1", "2"]);
    assert!(started.elapsed().as_millis() >= 50);
}

#[tokio::test]
async fn position_of_another_pagination_reads_all_pages_and_repeats_nothing() {
    let first = run(&page_server(3, 2).await, page_options(), None, 3).await;
    let second = run(&cursor_server(4).await, cursor_options(), first.position, usize::MAX).await;
    assert_eq!(second.bodies, ["3"]);
    assert_eq!(second.offsets, [3]);
}

#[tokio::test]
async fn refused_saved_page_restarts_the_walk_and_repeats_nothing() {
    let part = run(&cursor_server(7).await, cursor_options(), None, 5).await;
    let server = cursor_server(7).await;
    let refused = Mock::given(query_param("after", "at 4")).respond_with(ResponseTemplate::new(400));
    refused.up_to_n_times(1).with_priority(1).mount(&server).await;
    let rest = run(&server, cursor_options(), part.position.clone(), usize::MAX).await;
    assert!(rest.error.is_none() && rest.bodies == numbers(5..7), "{rest:?}");
    let failure = run(&serve([ResponseTemplate::new(400)]).await, cursor_options(), part.position, 1).await;
    assert!(failure.failure().starts_with("fatal: "), "{failure:?}");
}

#[tokio::test]
async fn newest_first_pages_are_read_again_from_the_front() {
    let served = |newest: usize| {
        paged(move |page| {
            let rows: Vec<usize> = (0..newest).rev().skip((page - 1) * 2).take(2).collect();
            json!({"data": rows})
        })
    };
    let mut position = None;
    for (newest, expected) in
        [(5, vec!["4", "3", "2", "1", "0"]), (5, vec![]), (6, vec!["5"]), (9, vec!["8", "7", "6"])]
    {
        let server = served(newest).await;
        let part = run(&server, page_options(), position, usize::MAX).await;
        assert!(part.error.is_none() && part.bodies == expected, "{newest}: {part:?}");
        position = part.position;
    }
}

/// An API of rows sorted by their name, with two rows per page, by page, cursor and URL.
async fn sorted_server(rows: &'static [&'static str]) -> MockServer {
    respond(move |request: &Request| {
        let first = match (number(request, "page"), parameter(request, "after")) {
            (Some(page), _) => 2 * (page - 1),
            (None, after) => rows.iter().filter(|row| Some(**row) <= after.as_deref()).count(),
        };
        let page: Vec<&str> = rows.iter().skip(first).take(2).copied().collect();
        let next = page.last().filter(|_| first + 2 < rows.len());
        let url = next.map(|next| format!("/prices?after={next}"));
        json_response(json!({"data": page, "meta": {"next": next}, "url": url}))
    })
    .await
}

#[tokio::test]
async fn row_that_is_new_on_any_page_is_delivered_by_the_next_walk() {
    let next_url = json!({"records": "/data", "pagination": {"type": "next_url", "next": "/url"}});
    for options in [page_options(), cursor_options(), next_url] {
        let first = run(&sorted_server(&["a", "c", "e", "g"]).await, options.clone(), None, usize::MAX).await;
        assert_eq!(first.bodies.len(), 4, "{options} {first:?}");
        let mut position = first.position.unwrap();
        // An earlier release saved the last page that had rows.
        position["elements"][""]["state"]["tail"] = json!({"cursor": "e", "page": 2});
        let server = sorted_server(&["a", "c", "d", "e", "g"]).await;
        let second = run(&server, options.clone(), Some(position), usize::MAX).await;
        assert_eq!(second.bodies, ["\"d\""], "{options} {second:?}");
        let third = run(&server, options.clone(), second.position, usize::MAX).await;
        assert!(third.error.is_none() && third.bodies.is_empty(), "{options} {third:?}");
    }
}

#[tokio::test]
async fn next_url_may_be_in_a_list_of_links() {
    // HAPI FHIR puts the link to the page before behind that to the next one.
    let server = paged(|page| {
        let link =
            |relation: &str, page: usize| json!({"relation": relation, "url": format!("?page={page}")});
        let mut links = vec![link("self", page)];
        links.extend((page < 3).then(|| link("next", page + 1)));
        links.extend((page > 1).then(|| link("previous", page - 1)));
        json!({"entry": [page], "link": links})
    })
    .await;
    let pagination = json!({"type": "next_url", "next": "/link"});
    let run = run_once(&server, json!({"records": "/entry", "pagination": pagination})).await;
    assert!(run.error.is_none() && run.bodies == numbers(1..4), "{run:?}");
    let lists = json!({"records": "/entry", "pagination": {"type": "next_url", "next": "/entry"}});
    assert!(run_once(&server, lists).await.failure().contains("check `pagination.next`"));
}

#[tokio::test]
async fn cursor_that_is_an_object_is_sent_as_query_parameters() {
    let server = respond(|request: &Request| {
        let page = number(request, "offset").unwrap_or(0);
        assert_eq!(parameter(request, "continue"), (page > 0).then(|| "-||".to_owned()));
        let next = (page < 3).then(|| json!({"offset": page + 1, "continue": "-||"}));
        let mut response = json!({"query": {"pages": [2 * page, 2 * page + 1]}});
        if let Some(next) = next {
            response["continue"] = next;
        }
        json_response(response)
    })
    .await;
    let pagination = json!({"type": "cursor", "cursor": "/continue", "param": "continue"});
    let options = json!({"records": "/query/pages", "query": {"action": "query"}, "pagination": pagination});
    for n_at_once in 1..9 {
        let all = run_in_parts(&server, &options, n_at_once, 8).await;
        assert_eq!(all.bodies, numbers(0..8), "{n_at_once}");
    }
    for bad in [json!([1]), json!({"a": [1]})] {
        let response = json_response(json!({"query": {"pages": [1]}, "continue": bad}));
        let failure = failure_of(response, options.clone()).await;
        assert_contains(&failure, &["a number, or an object of", "`pagination.cursor`"]);
    }
}
