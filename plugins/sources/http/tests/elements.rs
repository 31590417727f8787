//! `for_each`: one walk per element.

use std::sync::atomic::{AtomicUsize, Ordering};

use wiremock::matchers::{header, path, query_param};

use super::*;

/// Three rows per symbol, as `?symbol=` names it.
async fn symbol_server() -> MockServer {
    respond(|request: &Request| {
        let symbol = parameter(request, "symbol").expect("a symbol");
        let rows: Vec<Value> = (1..4).map(|n| json!({"s": symbol, "n": n})).collect();
        json_response(rows.into())
    })
    .await
}

fn options(for_each: Value) -> Value {
    json!({"for_each": for_each, "query": {"symbol": "{{ symbol }}"}})
}

fn rows(symbols: &[&str]) -> Vec<String> {
    let row = |symbol: &&str, n: usize| json!({"s": symbol, "n": n}).to_string();
    symbols.iter().flat_map(|symbol| (1..4).map(move |n| row(symbol, n))).collect()
}

#[tokio::test]
async fn elements_are_walked_in_order_with_one_numbering() {
    let server = symbol_server().await;
    for more in
        [json!({}), json!({"unchanged": "deliver"}), json!({"incremental": {"cursor": "n", "by": "s"}})]
    {
        for n_at_once in 1..9 {
            let options = with(options(json!({"symbol": ["B", "A", "C"]})), &more);
            let all = run_in_parts(&server, &options, n_at_once, 9).await;
            assert_eq!(all.bodies, rows(&["B", "A", "C"]), "{n_at_once} at once, {options}");
            assert_eq!(all.offsets, (0..9).collect::<Vec<u64>>());
            let again = run(&server, options, all.position, usize::MAX).await;
            let n_again = if more.get("unchanged").is_some() { 9 } else { 0 };
            assert_eq!(again.bodies.len(), n_again, "{n_at_once} at once, {more}");
        }
    }
}

#[tokio::test]
async fn edited_elements_keep_the_positions_of_the_others() {
    let server = symbol_server().await;
    let first = run(&server, options(json!({"symbol": ["A", "B"]})), None, usize::MAX).await;
    assert_eq!(first.bodies, rows(&["A", "B"]));
    let edited = options(json!([{"symbol": "C"}, {"symbol": "B"}]));
    let second = run(&server, edited, first.position, usize::MAX).await;
    assert_eq!(second.bodies, rows(&["C"]));
    assert_eq!(second.offsets, [6, 7, 8]);
    let all = run(&server, options(json!({"symbol": ["A", "B", "C"]})), second.position, usize::MAX).await;
    assert_eq!(all.bodies, [""; 0]);
}

#[tokio::test]
async fn field_that_no_request_contains_may_change() {
    let server = symbol_server().await;
    let with_rank = |ranks: [u32; 2]| {
        let [a, b] = ranks.map(|rank| json!(rank));
        let mut options = options(json!([{"symbol": "A", "rank": a}, {"symbol": "B", "rank": b}]));
        options["incremental"] = json!({"cursor": "n", "key": "n"});
        options
    };
    let first = run(&server, with_rank([1, 2]), None, usize::MAX).await;
    assert_eq!(first.bodies, rows(&["A", "B"]));
    let second = run(&server, with_rank([2, 1]), first.position.clone(), usize::MAX).await;
    assert_eq!(second.bodies, [""; 0]);
    // A position under all fields is the one of the same element.
    let mut saved = first.position.unwrap();
    let elements = saved["elements"].as_object_mut().unwrap();
    for (new, old) in [("symbol=A", "rank=1&symbol=A"), ("symbol=B", "rank=2&symbol=B")] {
        let element = elements.remove(new).unwrap();
        elements.insert(old.to_owned(), element);
    }
    let third = run(&server, with_rank([2, 1]), Some(saved), usize::MAX).await;
    assert_eq!(third.bodies, [""; 0]);
}

#[tokio::test]
async fn elements_come_from_a_file_or_another_request() {
    let server = symbol_server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("symbols.csv");
    std::fs::write(&file, "symbol\nA\n\"B\"\n").unwrap();
    let read = run_once(&server, options(json!({"file": file}))).await;
    assert_eq!(read.bodies, rows(&["A", "B"]));

    let symbols = json!({"data": [{"id": "B"}, {"id": "A"}]});
    let asked = Mock::given(path("/symbols")).and(header("x-key", "s3cret"));
    asked.respond_with(json_response(symbols)).expect(1).mount(&server).await;
    let endpoint = format!("{}/symbols", server.uri());
    let mut options = options(json!({"endpoint": endpoint, "records": "/data", "fields": {"symbol": "/id"}}));
    options["auth"] = json!({"strategy": "api_key", "in": "header", "name": "X-Key", "value": "s3cret"});
    let read = run_once(&server, options).await;
    assert!(read.error.is_none() && read.bodies == rows(&["B", "A"]), "{read:?}");
}

#[tokio::test]
async fn element_that_fails_is_tried_again_after_the_others() {
    for (status, n_fails, recovers) in [(404, 1, true), (500, 1, true), (404, 9, false)] {
        let server = symbol_server().await;
        let bad = Mock::given(query_param("symbol", "A")).respond_with(ResponseTemplate::new(status));
        bad.up_to_n_times(n_fails).with_priority(1).mount(&server).await;
        let read = run_once(&server, options(json!({"symbol": ["A", "B", "C"]}))).await;
        if recovers {
            assert!(read.error.is_none() && read.bodies == rows(&["B", "C", "A"]), "{status}: {read:?}");
        } else {
            assert_eq!(read.bodies, rows(&["B", "C"]));
            let failure = read.failure();
            assert_contains(&failure, &["fatal: 1 of 3 elements have failed", "symbol = `A`", "404"]);
        }
    }
}

#[tokio::test]
async fn transient_failure_of_an_element_is_retried_by_the_engine_in_turn() {
    let server = symbol_server().await;
    let busy = Mock::given(query_param("symbol", "A")).respond_with(ResponseTemplate::new(503));
    busy.up_to_n_times(3).with_priority(1).mount(&server).await;
    let mut source = open(&server, options(json!({"symbol": ["A", "B"]}))).await;
    let first = read(&mut *source, usize::MAX).await;
    assert_eq!(first.bodies, rows(&["B"]));
    assert!(first.failure().starts_with("retry: "), "{first:?}");
    assert!(read(&mut *source, usize::MAX).await.failure().starts_with("retry: "));
    let last = read(&mut *source, usize::MAX).await;
    assert!(last.error.is_none() && last.bodies == rows(&["A"]), "{last:?}");
}

#[tokio::test]
async fn failed_element_is_tried_again_at_the_next_poll() {
    let server = symbol_server().await;
    let bad = Mock::given(query_param("symbol", "A")).respond_with(ResponseTemplate::new(404));
    bad.up_to_n_times(4).with_priority(1).mount(&server).await;
    let mut options = options(json!({"symbol": ["A", "B"]}));
    options["interval"] = json!("1ms");
    let read = run(&server, options, None, 6).await;
    assert!(read.error.is_none() && read.bodies == rows(&["B", "A"]), "{read:?}");
}

#[tokio::test]
async fn interrupted_walk_of_a_failed_element_continues_where_it_was() {
    let server = respond(|request: &Request| {
        let page = number(request, "page").unwrap();
        let rows: Vec<Value> = (1..=2).map(|n| json!([parameter(request, "symbol"), page, n])).collect();
        json_response(if page < 4 { json!({"data": rows}) } else { json!({"data": []}) })
    })
    .await;
    let bad = Mock::given(query_param("symbol", "A")).and(query_param("page", "3"));
    bad.respond_with(ResponseTemplate::new(500)).up_to_n_times(1).with_priority(1).mount(&server).await;
    let mut options = page_options();
    options["for_each"] = json!({"symbol": ["A", "B"]});
    options["query"] = json!({"symbol": "{{ symbol }}"});
    let read = run_once(&server, options).await;
    assert!(read.error.is_none(), "{read:?}");
    let row = |symbol: &str, page: usize, n: usize| json!([symbol, page, n]).to_string();
    let pages = |symbol: &'static str, pages: std::ops::Range<usize>| {
        pages.flat_map(move |page| (1..=2).map(move |n| row(symbol, page, n))).collect::<Vec<_>>()
    };
    assert_eq!(read.bodies, [pages("A", 1..3), pages("B", 1..4), pages("A", 3..4)].concat());
    let requests = requests_to(&server).await;
    assert_eq!(requests.iter().filter(|it| it.url.query().unwrap().contains("symbol=A&page=1")).count(), 1);
}

#[tokio::test]
async fn list_of_elements_with_unusable_items_is_an_error_with_its_place() {
    let server = symbol_server().await;
    let symbols = json!([{"id": {}}]);
    Mock::given(path("/symbols")).respond_with(json_response(symbols)).mount(&server).await;
    let endpoint = format!("{}/symbols", server.uri());
    let failure =
        run_once(&server, options(json!({"endpoint": endpoint, "fields": {"symbol": "id"}}))).await.failure();
    assert_contains(&failure, &["`for_each.fields.symbol` names"]);
    let refused = build(&server, options(json!({"file": "/nowhere/symbols.csv"}))).err().unwrap();
    assert!(format!("{refused:#}").contains("`for_each`: reading the elements in"), "{refused:#}");
}

#[tokio::test]
async fn walk_without_new_rows_continues_at_the_page_that_failed() {
    let n_requests = AtomicUsize::new(0);
    let server = respond(move |request: &Request| {
        let n_before = n_requests.fetch_add(1, Ordering::Relaxed);
        // In the first run each of the two walks reads six pages.
        if n_before >= 12 && n_before.is_multiple_of(3) {
            return ResponseTemplate::new(500);
        }
        let page = number(request, "page").expect("a page");
        let rows: Vec<Value> = (page..6.min(page + 1)).map(|id| json!({"id": id})).collect();
        json_response(json!({"data": rows}))
    })
    .await;
    let each = json!({"for_each": {"s": ["A", "B"]}, "query": {"s": "{{ s }}"}});
    let options = with(page_options(), &each);
    let first = run_once(&server, options.clone()).await;
    assert_eq!(first.bodies.len(), 10, "{first:?}");
    let mut source = build(&server, options).unwrap();
    source.open(&Start { position: first.position, from_start: false }).await.unwrap();
    let mut n_failures = 0;
    loop {
        match source.next().await {
            Ok(Next::End) => break,
            Ok(Next::Idle) => {}
            Ok(Next::Batch(batch)) => assert!(batch.records().is_empty(), "no row is new"),
            Err(failure) => {
                assert!(failure.is_retryable());
                n_failures += 1;
                assert!(n_failures < 20, "the walks do not end");
            }
        }
    }
}
