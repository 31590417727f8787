//! `incremental` against a server: what is asked for, and what is delivered once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn day(n: usize) -> String {
    format!("2024-01-{:02}", n + 1)
}

fn row(n: usize) -> Value {
    json!({"Date": day(n), "Close": n})
}

/// What was asked for, one query after another.
async fn queries(server: &MockServer) -> Vec<String> {
    let requests = requests_to(server).await;
    requests.iter().map(|request| request.url.query().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn since_asks_for_what_is_new_only() {
    let server =
        serve([json_response(json!([row(0), row(1)])), json_response(json!([row(1), row(2)]))]).await;
    let options = json!({
        "incremental": {"cursor": "Date", "start": "2023-12-01", "lag": "1d"}, "query": {"from": "{{ since }}"},
    });
    let first = run(&server, options.clone(), None, usize::MAX).await;
    let second = run(&server, options.clone(), first.position, usize::MAX).await;
    let third = run(&server, options, second.position, usize::MAX).await;
    assert_eq!(second.bodies, [row(2).to_string()]);
    assert_eq!(third.bodies, [""; 0]);
    assert_eq!(queries(&server).await, ["from=2023-12-01", "from=2024-01-01", "from=2024-01-02"]);
}

#[tokio::test]
async fn start_and_saved_values_are_read_with_format() {
    let dates = |dates: &[&str]| json_response(dates.iter().map(|date| json!({"d": date})).collect());
    for start in [json!("01/01/2024"), json!("2024-01-01"), Value::Null] {
        let server =
            serve([dates(&["30/01/2024", "31/01/2024"]), dates(&["31/01/2024", "01/02/2024"])]).await;
        let mut options =
            json!({"incremental": {"cursor": "d", "format": "%d/%m/%Y"}, "query": {"to": "{{ now }}"}});
        if !start.is_null() {
            options["incremental"]["start"] = start.clone();
            options["query"] = json!({"from": "{{ since }}"});
        }
        let first = run(&server, options.clone(), None, usize::MAX).await;
        assert!(first.bodies.len() == 2 && first.rejected.is_empty(), "{start}: {first:?}");
        let second = run(&server, options, first.position, usize::MAX).await;
        assert!(second.rejected.is_empty(), "{start}: {second:?}");
        assert_eq!(second.bodies, [json!({"d": "01/02/2024"}).to_string()], "{start}");
        if start.as_str().is_some_and(|start| start.contains('/')) {
            assert_eq!(queries(&server).await, ["from=01%2F01%2F2024", "from=31%2F01%2F2024"]);
        }
    }
}

#[tokio::test]
async fn dates_that_are_not_read_are_rejected_and_not_skipped() {
    let dates = |dates: &[&str]| json_response(dates.iter().map(|date| json!({"d": date})).collect());
    let server = serve([dates(&["30.01.2024", "31.01.2024", "01.02.2024"])]).await;
    let read = run_once(&server, json!({"incremental": {"cursor": "d"}})).await;
    assert_eq!((read.bodies.len(), read.rejected.len()), (0, 3), "{read:?}");
    assert!(read.rejected[0].contains("set `incremental.format`, such as \"%d.%m.%Y\""), "{read:?}");
}

#[tokio::test]
async fn text_whose_numbers_sort_in_another_order_is_rejected_and_not_skipped() {
    let answers = [json!([{"key": "P-8"}, {"key": "P-9"}]), json!([{"key": "P-9"}, {"key": "P-10"}])];
    let server = serve(answers.map(json_response)).await;
    let options = json!({"incremental": {"cursor": "key"}});
    let first = run_once(&server, options.clone()).await;
    assert_eq!(first.bodies.len(), 2, "{first:?}");
    let second = run(&server, options.clone(), first.position, usize::MAX).await;
    assert_eq!((second.bodies.len(), second.rejected.len()), (0, 1), "{second:?}");
    assert_contains(&second.rejected[0], &["the field `key` is text with a number in it", "with `remap`"]);
    let server = serve([json_response(json!([{"key": "P-9"}, {"key": "P-10"}]))]).await;
    let one = run_once(&server, options).await;
    assert_eq!((one.bodies.len(), one.rejected.len()), (1, 1), "{one:?}");
    let ids = serve([json_response(json!([{"id": "64f1e2"}]))]).await;
    let id = run_once(&ids, json!({"incremental": {"cursor": "id", "start": "0"}})).await;
    assert_contains(&id.rejected[0], &["`incremental.start` is a number", "write `start` in their form"]);
}

#[tokio::test]
async fn position_moves_only_when_the_whole_walk_is_delivered() {
    let server = serve([json_response(json!([row(2), row(1), row(0)]))]).await;
    let options = json!({
        "incremental": {"cursor": "Date", "start": "2023-12-01"}, "query": {"from": "{{ since }}"},
    });
    let all = run_in_parts(&server, &options, 1, 3).await;
    assert_eq!(all.bodies, [2, 1, 0].map(|n| row(n).to_string()));
    let last = run(&server, options, all.position, usize::MAX).await;
    assert_eq!(last.bodies, [""; 0]);
    let start = "from=2023-12-01";
    assert_eq!(queries(&server).await, [start, start, start, "from=2024-01-03"]);
}

#[tokio::test]
async fn newest_first_walk_stops_after_a_page_of_older_rows() {
    let newest = Arc::new(AtomicUsize::new(9));
    let n_rows = Arc::clone(&newest);
    let server = paged(move |page| {
        let rows = (0..n_rows.load(Ordering::Relaxed)).rev().skip((page - 1) * 2).take(2);
        json!({"data": rows.map(row).collect::<Vec<_>>()})
    })
    .await;
    let mut options = page_options();
    options["incremental"] = json!({"cursor": "Date", "order": "newest_first"});
    let first = run(&server, options.clone(), None, usize::MAX).await;
    assert_eq!(first.bodies.len(), 9);
    newest.store(12, Ordering::Relaxed);
    let n_before = queries(&server).await.len();
    let second = run(&server, options, first.position, usize::MAX).await;
    assert_eq!(second.bodies, [11, 10, 9].map(|n| row(n).to_string()));
    // Rows 11 to 6; the page of 7 and 6 is all older than 8.
    assert_eq!(queries(&server).await.len() - n_before, 3);
}

#[tokio::test]
async fn step_asks_window_by_window_and_delivers_a_row_of_two_windows_once() {
    let server = respond(|request: &Request| {
        let (from, to) = (parameter(request, "from").unwrap(), parameter(request, "to").unwrap());
        let page = number(request, "page").unwrap();
        let rows = (0..20).filter(|n| from <= day(*n) && day(*n) <= to);
        let rows: Vec<Value> = rows.rev().skip((page - 1) * 3).take(3).map(row).collect();
        json_response(json!({"data": rows}))
    })
    .await;
    let mut options = page_options();
    options["incremental"] = json!({"cursor": "Date", "start": day(0), "step": "3650d"});
    options["query"] = json!({"from": "{{ from }}", "to": "{{ to }}"});
    let once = run(&server, options.clone(), None, usize::MAX).await;
    assert_eq!(once.bodies.len(), 20);
    // Windows of five days until now would be many; those of rows come first.
    options["incremental"]["step"] = json!("5d");
    for n_at_once in [1, 4, 7] {
        let bodies = run_in_parts(&server, &options, n_at_once, 20).await.bodies;
        let mut sorted = bodies.clone();
        sorted.sort();
        let mut expected: Vec<String> = (0..20).map(|n| row(n).to_string()).collect();
        expected.sort();
        assert_eq!(sorted, expected, "{n_at_once} at once: {bodies:?}");
    }
}

#[tokio::test]
async fn held_rows_are_not_lost_to_conditional_requests() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let answer = json_response(json!([{"t": now - 9000}, {"t": now}])).insert_header("ETag", "\"v\"");
    let server = respond(answer).await;
    let options = json!({"incremental": {"cursor": "t", "hold": "1h"}});
    let first = run(&server, options.clone(), None, usize::MAX).await;
    assert_eq!(first.bodies, [json!({"t": now - 9000}).to_string()]);
    let options = json!({"incremental": {"cursor": "t", "hold": "0s"}});
    let second = run(&server, options, first.position, usize::MAX).await;
    assert_eq!(second.bodies, [json!({"t": now}).to_string()]);
    let requests = requests_to(&server).await;
    assert!(requests.iter().all(|request| !request.headers.contains_key("if-none-match")));
}

#[tokio::test]
async fn record_without_the_cursor_is_rejected_once() {
    let server = serve([json_response(json!([row(0), {"Close": 1}, row(1)]))]).await;
    let options = json!({"incremental": {"cursor": "Date"}});
    let first = run(&server, options.clone(), None, usize::MAX).await;
    assert_eq!((first.bodies.len(), first.rejected.len()), (2, 1));
    assert!(first.rejected[0].contains("no field `Date`, which `incremental.cursor` names"), "{first:?}");
    let nested = json!({"incremental": {"cursor": "meta.t"}});
    let dotted = run_once(&serve([json_response(json!([{"meta": {"t": 1}}]))]).await, nested).await;
    assert!(dotted.rejected[0].contains("named by a JSON pointer, as in \"/meta/t\""), "{dotted:?}");
    let second = run(&server, options, first.position, usize::MAX).await;
    assert!(second.bodies.is_empty() && second.rejected.is_empty(), "{second:?}");
}

#[tokio::test]
async fn csv_rows_have_a_cursor_too() {
    let csv = |text: &str| ResponseTemplate::new(200).set_body_string(text);
    let server =
        serve([csv("Date,Close\n2024-01-02,1.5\n"), csv("Date,Close\n2024-01-02,1.5\n2024-01-03,2\n")]).await;
    let options = json!({"codec": "csv", "incremental": {"cursor": "Date"}, "add": {"Index": "NYA"}});
    let first = run(&server, options.clone(), None, usize::MAX).await;
    assert_eq!(first.bodies, [r#"{"Date":"2024-01-02","Close":1.5,"Index":"NYA"}"#]);
    let second = run(&server, options, first.position, usize::MAX).await;
    assert_eq!(second.bodies, [r#"{"Date":"2024-01-03","Close":2.0,"Index":"NYA"}"#]);
}

/// A list that grows by a row with every second request, in some order, whole or in pages of two.
async fn growing(order: &'static str, paged: bool) -> MockServer {
    let n_requests = AtomicUsize::new(0);
    respond(move |request: &Request| {
        let n_rows = (3 + n_requests.fetch_add(1, Ordering::Relaxed) / 2).min(25);
        let mut rows: Vec<usize> = (0..n_rows).collect();
        match order {
            "newest first" => rows.reverse(),
            "mixed" => rows.sort_by_key(|n| n * 7 % 25),
            _ => {}
        }
        if paged {
            let page = number(request, "page").unwrap();
            rows = rows.into_iter().skip((page - 1) * 2).take(2).collect();
        }
        json_response(json!({"data": rows.into_iter().map(row).collect::<Vec<_>>()}))
    })
    .await
}

#[tokio::test]
async fn growing_list_polled_under_kills_shows_each_row_once() {
    for (order, paged, incremental) in [
        ("oldest first", false, json!({"cursor": "Date"})),
        ("newest first", false, json!({"cursor": "Date"})),
        ("mixed", false, json!({"cursor": "Date", "lag": "60d", "key": "Date"})),
        ("oldest first", true, json!({"cursor": "Date"})),
        ("newest first", true, json!({"cursor": "Date"})),
        ("newest first", true, json!({"cursor": "Date", "order": "newest_first", "lag": "60d"})),
        ("oldest first", false, Value::Null),
        ("newest first", false, Value::Null),
        ("mixed", false, Value::Null),
        ("oldest first", true, Value::Null),
    ] {
        let server = growing(order, paged).await;
        let mut options = if paged { page_options() } else { json!({"records": "/data"}) };
        if !incremental.is_null() {
            options["incremental"] = incremental.clone();
        }
        let (mut position, mut bodies, mut offsets) = (None, Vec::new(), Vec::new());
        for turn in 0..400 {
            // A kill after so many records, or after a whole poll.
            let at_most = [1, 2, usize::MAX, 3][turn % 4];
            let part = run(&server, options.clone(), position, at_most).await;
            assert!(part.error.is_none(), "{order}, {paged}, {incremental}: {part:?}");
            bodies.extend(part.bodies);
            offsets.extend(part.offsets);
            position = part.position;
            if bodies.len() >= 25 && turn % 4 == 2 {
                break;
            }
        }
        bodies.sort();
        let mut expected: Vec<String> = (0..25).map(|n| row(n).to_string()).collect();
        expected.sort();
        assert_eq!(bodies, expected, "{order}, paged: {paged}, {incremental}");
        assert_eq!(offsets, (0..25).collect::<Vec<u64>>());
    }
}

#[tokio::test]
async fn changing_row_is_emitted_with_each_change_or_once() {
    let answers = || {
        (1..5).map(|n| {
            let mut rows: Vec<Value> = (0..n).map(row).collect();
            rows.push(json!({"Date": day(n), "Close": n as f64 / 100.0}));
            json_response(rows.into())
        })
    };
    let poll = async |incremental: Value| {
        runs(&serve(answers()).await, &json!({"incremental": incremental}), 6).await.concat()
    };
    let bodies = poll(json!({"cursor": "Date", "key": "Date"})).await;
    // Four closed rows, and each open one as it was.
    assert_eq!(bodies.len(), 8, "{bodies:?}");
    let bodies = poll(json!({"cursor": "Date", "key": "Date", "compare": []})).await;
    assert_eq!(bodies.len(), 5, "{bodies:?}");
}

#[tokio::test]
async fn row_that_changes_behind_a_walk_is_delivered_by_the_next_one() {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let page = |id: u64, t: u64| json_response(json!({"data": [{"id": id, "t": t}]}));
    let end = || json_response(json!({"data": []}));
    let server = serve(
        [
            [page(1, now - 100), page(2, now + 60), end()],
            [page(1, now + 30), page(2, now + 60), end()],
            [page(1, now + 30), page(2, now + 60), end()],
        ]
        .concat(),
    )
    .await;
    let options = with(page_options(), &json!({"incremental": {"cursor": "t", "key": "id"}}));
    let bodies = runs(&server, &options, 3).await;
    assert_eq!(bodies[0].len(), 2);
    assert_eq!(bodies[1], [json!({"id": 1, "t": now + 30}).to_string()]);
    assert_eq!(bodies[2], [""; 0]);
    // Local times are ahead of the clock.
    let local = now + 32_400;
    let server = serve([page(1, local - 100), page(2, local), end()]).await;
    let incremental = json!({"cursor": "t", "key": "id", "start": 0});
    let options = with(options, &json!({"incremental": incremental, "query": {"from": "{{ since }}"}}));
    runs(&server, &options, 2).await;
    assert_eq!(queries(&server).await[3], format!("from={local}&page=1"));
}
