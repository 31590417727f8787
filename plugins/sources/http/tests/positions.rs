//! What a saved position means after the options, the rows or the API have changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

/// An API with at most five rows of two symbols, from `?from=` on.
async fn limited(n_rows: &Arc<AtomicUsize>) -> MockServer {
    let n_rows = Arc::clone(n_rows);
    respond(move |request: &Request| {
        let rows = (number(request, "from").unwrap()..n_rows.load(Ordering::Relaxed)).take(5);
        json_response(
            rows.map(|n| json!({"n": n, "s": if n.is_multiple_of(2) { "A" } else { "B" }})).collect(),
        )
    })
    .await
}

#[tokio::test]
async fn position_moves_on_after_by_was_added_or_removed() {
    let options = |by: bool| {
        let mut incremental = json!({"cursor": "n", "start": 0});
        if by {
            incremental["by"] = json!("s");
        }
        json!({"incremental": incremental, "query": {"from": "{{ since }}"}})
    };
    for has_by in [false, true] {
        let n_rows = Arc::new(AtomicUsize::new(5));
        let server = limited(&n_rows).await;
        let (mut position, mut bodies) = (None, Vec::new());
        for turn in 0..12 {
            let by = if turn < 3 { has_by } else { !has_by };
            let part = run(&server, options(by), position, usize::MAX).await;
            assert!(part.error.is_none() && part.rejected.is_empty(), "{part:?}");
            bodies.extend(part.bodies);
            position = part.position;
            n_rows.fetch_add(2, Ordering::Relaxed);
        }
        let n_delivered = bodies.len();
        bodies.sort();
        bodies.dedup();
        assert!(bodies.len() >= 25, "by at first: {has_by}, {} rows", bodies.len());
        assert!(n_delivered - bodies.len() <= 2, "by at first: {has_by}, {n_delivered} rows delivered");
    }
}

#[tokio::test]
async fn first_walk_that_was_interrupted_begins_again_with_another_by() {
    let n_rows = Arc::new(AtomicUsize::new(5));
    let server = limited(&n_rows).await;
    let query = json!({"from": "{{ since }}"});
    let options = json!({"incremental": {"cursor": "n", "start": 0}, "query": query});
    let part = run(&server, options, None, 2).await;
    let options = json!({"incremental": {"cursor": "n", "start": 0, "by": "s"}, "query": query});
    let rest = run(&server, options.clone(), part.position, usize::MAX).await;
    assert_eq!(rest.bodies.len(), 5);
    n_rows.store(8, Ordering::Relaxed);
    let next = run(&server, options, rest.position, usize::MAX).await;
    assert_eq!(next.bodies.len(), 3, "{next:?}");
}

#[tokio::test]
async fn equal_rows_of_a_walk_are_all_delivered_once() {
    let trade = |t: u32| json!({"t": t, "price": 1});
    let server = serve([json_response(json!([trade(1), trade(1), trade(2)]))]).await;
    let options = json!({"incremental": {"cursor": "t"}});
    let first = run(&server, options.clone(), None, 1).await;
    let rest = run(&server, options.clone(), first.position, usize::MAX).await;
    assert_eq!((first.bodies.len(), rest.bodies.len()), (1, 2), "{rest:?}");
    assert_eq!(run(&server, options, rest.position, usize::MAX).await.bodies, [""; 0]);
    // Also those on two pages, under kills.
    let server = paged(move |page| {
        let rows = (0..9).skip((page - 1) * 4).take(4).map(|n| trade(n / 3));
        json!({"data": rows.collect::<Vec<_>>()})
    })
    .await;
    let mut options = page_options();
    options["incremental"] = json!({"cursor": "t"});
    for at_most in [1, 2, 3, 5, usize::MAX] {
        let (mut position, mut n_rows) = (None, 0);
        for _ in 0..12 {
            let part = run(&server, options.clone(), position, at_most).await;
            n_rows += part.bodies.len();
            position = part.position;
        }
        assert_eq!(n_rows, 9, "{at_most} at once");
    }
}

#[tokio::test]
async fn known_key_is_not_delivered_again_at_each_poll() {
    let incremental = json!({"cursor": "d", "key": "d"});
    let options = json!({"interval": "1ms", "incremental": incremental});
    let two = json_response(json!([{"d": 5, "s": "A"}, {"d": 5, "s": "B"}]));
    let mixed = |text: &str| ResponseTemplate::new(200).set_body_string(text.to_owned());
    let order = [r#"[{"d":5,"a":{"x":1,"y":2}}]"#, r#"[{"a": {"y":2, "x":1}, "d": 5}]"#].map(mixed);
    let last = json_response(json!([{"d": 6}]));
    for (polls, n_expected) in [
        (vec![two.clone(), two.clone(), two, last.clone()], 3),
        (vec![order[0].clone(), order[1].clone(), order[0].clone(), last], 2),
    ] {
        let read = run(&serve(polls).await, options.clone(), None, n_expected).await;
        assert_eq!(read.bodies.last().unwrap(), r#"{"d":6}"#, "{read:?}");
    }
}

#[tokio::test]
async fn rows_of_walks_before_incremental_was_set_are_known() {
    let rows = |n: usize| json_response((0..n).map(|n| json!({"n": n})).collect());
    let server = serve([rows(3), rows(4)]).await;
    let first = run(&server, json!({}), None, usize::MAX).await;
    let options = json!({"incremental": {"cursor": "n"}});
    let second = run(&server, options.clone(), first.position, usize::MAX).await;
    assert_eq!(second.bodies, [r#"{"n":3}"#]);
    assert_eq!(run(&server, options, second.position, usize::MAX).await.bodies, [""; 0]);
}

#[tokio::test]
async fn values_of_two_kinds_in_the_first_walk_are_rejected() {
    for (values, part) in [
        (json!(["2024-01-05", "soon"]), "is text, but the rows before it have a point in time"),
        (json!(["soon", "2024-01-05"]), "is a point in time, but the rows before it have text"),
        (json!(["N/A", "2024-01-05"]), "is a mark for no value"),
        (json!(["0000-00-00 00:00:00", "2024-01-05 10:00:00"]), "is a mark for no value"),
    ] {
        let rows = values.as_array().unwrap().iter().map(|value| json!({"d": value})).collect();
        let server = serve([json_response(rows)]).await;
        let options = json!({"incremental": {"cursor": "d"}});
        let read = run_once(&server, options.clone()).await;
        assert_eq!((read.bodies.len(), read.rejected.len()), (1, 1), "{read:?}");
        assert!(read.rejected[0].contains(part), "{read:?}");
        let again = run(&server, options, read.position, usize::MAX).await;
        assert!(again.bodies.is_empty() && again.rejected.is_empty(), "{again:?}");
    }
    let ids = json!([{"_id": "65920081abcdef1234567890"}, {"_id": "659200821234567890123456"}]);
    let zeros = json!({"incremental": {"cursor": "_id", "start": "000000000000000000000000"}});
    let read = run_once(&serve([json_response(ids)]).await, zeros).await;
    assert!(read.bodies.len() == 2 && read.rejected.is_empty(), "{read:?}");
}

#[tokio::test]
async fn saved_page_that_the_api_refuses_with_any_error_begins_the_walk_again() {
    for refusal in [
        ResponseTemplate::new(403).set_body_string("link expired"),
        ResponseTemplate::new(401),
        json_response(json!({"ok": false, "error": "invalid_cursor"})),
        json_response(json!({"data": [], "meta": {"next": null}})),
    ] {
        let is_expired = Arc::new(AtomicBool::new(false));
        let expired = Arc::clone(&is_expired);
        let server = respond(move |request: &Request| {
            let cursor = parameter(request, "after");
            let (prefix, page) = match cursor.as_deref().and_then(|cursor| cursor.split_once('-')) {
                Some((prefix, page)) => (prefix.to_owned(), page.parse::<usize>().unwrap()),
                None => (String::new(), 0),
            };
            if prefix == "old" && expired.load(Ordering::Relaxed) {
                return refusal.clone();
            }
            let prefix = if expired.load(Ordering::Relaxed) { "new" } else { "old" };
            let next = (page < 3).then(|| format!("{prefix}-{}", page + 1));
            json_response(json!({"data": [page * 2, page * 2 + 1], "meta": {"next": next}}))
        })
        .await;
        let part = run(&server, cursor_options(), None, 5).await;
        is_expired.store(true, Ordering::Relaxed);
        let rest = run(&server, cursor_options(), part.position, usize::MAX).await;
        assert!(rest.error.is_none(), "{rest:?}");
        assert_eq!([part.bodies, rest.bodies].concat(), numbers(0..8));
    }
}

/// Two rows on a page, of numbered ones from which the first `n_deleted` are missing.
async fn shrinking(n_deleted: &Arc<AtomicUsize>) -> MockServer {
    let n_deleted = Arc::clone(n_deleted);
    paged(move |page| {
        let first = n_deleted.load(Ordering::Relaxed) + (page - 1) * 2;
        let rows: Vec<Value> = (first..10.min(first + 2)).map(|n| json!({"n": n})).collect();
        let next = (first + 2 < 10).then(|| format!("/prices?page={}", page + 1));
        json!({"data": rows, "next": next})
    })
    .await
}

#[tokio::test]
async fn rows_moved_before_an_interrupted_page_are_delivered_once() {
    for pagination in [json!({"type": "page", "param": "page"}), json!({"type": "next_url", "next": "/next"})]
    {
        for key in [json!({"cursor": "n"}), json!({"cursor": "n", "key": "n"}), Value::Null] {
            for (at_most, n_deleted) in [(5, 1), (5, 4), (6, 2), (5, 8), (1, 1), (3, 0)] {
                let deleted = Arc::new(AtomicUsize::new(0));
                let server = shrinking(&deleted).await;
                let mut options = json!({"records": "/data", "pagination": pagination});
                if !key.is_null() {
                    options["incremental"] = key.clone();
                }
                let first = run(&server, options.clone(), None, at_most).await;
                deleted.store(n_deleted, Ordering::Relaxed);
                // The second run is interrupted as well.
                let second = run(&server, options.clone(), first.position, 2).await;
                let third = run(&server, options, second.position, usize::MAX).await;
                assert!(third.error.is_none(), "{third:?}");
                let mut bodies = [first.bodies, second.bodies, third.bodies].concat();
                bodies.sort();
                let expected = (0..10).filter(|n| *n < at_most || *n >= n_deleted);
                let expected: Vec<String> = expected.map(|n| json!({"n": n}).to_string()).collect();
                assert_eq!(bodies, expected, "{pagination} {key} {at_most} {n_deleted}");
            }
        }
    }
}

#[tokio::test]
async fn rows_moved_behind_an_interrupted_page_are_delivered_once() {
    let n_rows = Arc::new(AtomicUsize::new(10));
    let listed = Arc::clone(&n_rows);
    let server = respond(move |request: &Request| {
        let behind = 2 * (number(request, "page").unwrap() - 1);
        let rows = (0..listed.load(Ordering::Relaxed)).rev().skip(behind).take(2);
        json_response(json!({"data": rows.collect::<Vec<_>>()}))
    })
    .await;
    for (at_most, n_more) in [(5, 1), (5, 4), (6, 3), (1, 1), (4, 0)] {
        n_rows.store(10, Ordering::Relaxed);
        let first = run(&server, page_options(), None, at_most).await;
        n_rows.store(10 + n_more, Ordering::Relaxed);
        let second = run(&server, page_options(), first.position, usize::MAX).await;
        assert!(second.error.is_none(), "{second:?}");
        let mut bodies: Vec<usize> =
            [first.bodies, second.bodies].concat().iter().map(|body| body.parse().unwrap()).collect();
        bodies.sort_unstable();
        assert_eq!(bodies, (0..10 + n_more).collect::<Vec<_>>(), "{at_most} {n_more}");
    }
}

#[tokio::test]
async fn walk_of_rows_that_change_all_the_time_reaches_its_last_page() {
    let n_requests = AtomicUsize::new(0);
    let server = respond(move |request: &Request| {
        let page = number(request, "page").unwrap();
        let price = n_requests.fetch_add(1, Ordering::Relaxed);
        let rows = (0..if page < 6 { 2 } else { 0 }).map(|n| json!({"id": 2 * page + n, "price": price}));
        json_response(json!({"data": rows.collect::<Vec<_>>()}))
    })
    .await;
    let (mut position, mut bodies) = (None, Vec::new());
    for _ in 0..8 {
        let part = run(&server, page_options(), position, 3).await;
        assert!(part.error.is_none(), "{part:?}");
        position = part.position;
        bodies.extend(part.bodies);
    }
    assert!(bodies.iter().any(|body| body.contains(r#""id":11"#)), "{bodies:?}");
}

#[tokio::test]
async fn walk_from_the_newest_row_reads_to_the_oldest_position_of_by() {
    let rows = Arc::new(Mutex::new(vec![("A", 9), ("A", 8), ("A", 7), ("A", 6), ("B", 1)]));
    let listed = Arc::clone(&rows);
    let server = paged(move |page| {
        let rows = listed.lock().unwrap();
        let rows = rows.iter().skip((page - 1) * 2).take(2).map(|(s, t)| json!({"s": s, "t": t}));
        json!({"data": rows.collect::<Vec<_>>()})
    })
    .await;
    let incremental = json!({"cursor": "t", "by": "s", "order": "newest_first"});
    let options = with(page_options(), &json!({"incremental": incremental}));
    let first = run(&server, options.clone(), None, usize::MAX).await;
    assert_eq!(first.bodies.len(), 5);
    rows.lock().unwrap().insert(4, ("B", 2));
    let second = run(&server, options, first.position, usize::MAX).await;
    assert_eq!(second.bodies, [r#"{"s":"B","t":2}"#], "{second:?}");
}
