//! Pages that are one value: an object of rows, or an array for each column.

use std::collections::BTreeMap;

use super::*;

/// 25 rows by offset, at most `cap` per page, as `shape` writes those of a page.
async fn value_server(cap: usize, shape: fn(std::ops::Range<usize>) -> Value) -> MockServer {
    respond(move |request: &Request| {
        let limit = number(request, "limit").unwrap_or(10).min(cap);
        let offset = number(request, "offset").unwrap_or(0);
        let first = number(request, "page").map_or(offset, |page| (page - 1) * limit);
        json_response(json!({"total": 25, "data": shape(first.min(25)..25.min(first + limit))}))
    })
    .await
}

fn rows_by_name(range: std::ops::Range<usize>) -> Value {
    range.map(|n| (format!("k{n:02}"), json!({"v": n}))).collect::<BTreeMap<_, _>>().into_iter().collect()
}

fn columns(range: std::ops::Range<usize>) -> Value {
    json!({"v": range.clone().collect::<Vec<_>>(), "w": range.collect::<Vec<_>>()})
}

fn columns_and_name(range: std::ops::Range<usize>) -> Value {
    let mut value = columns(range);
    value["name"] = json!("NYA");
    value
}

const OF_ROWS: &str = "rows = []\nfor_each(object!(.)) -> |_, row| { rows = push(rows, row.v) }\n. = rows";
const OF_COLUMNS: &str = ". = .v";

#[tokio::test]
async fn page_that_is_one_value_is_followed_and_delivered_once() {
    let offset = json!({"type": "offset", "param": "offset"});
    let limited = json!({"type": "offset", "param": "offset", "limit_param": "limit", "limit": 10});
    let above = json!({"type": "offset", "param": "offset", "limit_param": "limit", "limit": 100});
    let total =
        json!({"type": "offset", "param": "offset", "limit_param": "limit", "limit": 10, "total": "/total"});
    let page = json!({"type": "page", "param": "page"});
    for (shape, program) in
        [(rows_by_name as fn(_) -> Value, OF_ROWS), (columns, OF_COLUMNS), (columns_and_name, OF_COLUMNS)]
    {
        for (pagination, n_requests) in [(&offset, 4), (&limited, 4), (&above, 4), (&total, 3), (&page, 4)] {
            let server = value_server(10, shape).await;
            let options = json!({"records": "/data", "pagination": pagination, "remap": program});
            let read = run_once(&server, options).await;
            assert!(read.error.is_none() && read.bodies == numbers(0..25), "{pagination} {read:?}");
            let asked = requests_to(&server).await.len();
            assert_eq!(asked, n_requests, "{pagination} {program}");
        }
    }
}

#[tokio::test]
async fn program_that_leaves_out_rows_moves_no_offset() {
    let server = value_server(10, rows_by_name).await;
    let program = "rows = []\nfor_each(object!(.)) -> |_, row| { if row.v != 3 && row.v != 4 { rows = push(rows, row.v) } }\n. = rows";
    let pagination = json!({"type": "offset", "param": "offset", "limit_param": "limit", "limit": 10});
    let read =
        run_once(&server, json!({"records": "/data", "pagination": pagination, "remap": program})).await;
    assert_eq!(read.bodies.len(), 23, "{read:?}");
    // The same for a program that gets the whole answer.
    let remap = json!({"source": ". = .[0].v", "on": "answer"});
    let server = value_server(10, columns).await;
    let read = run_once(&server, json!({"records": "/data", "pagination": pagination, "remap": remap})).await;
    assert!(read.error.is_none() && read.bodies == numbers(0..25), "{read:?}");
}

#[tokio::test]
async fn interrupted_page_that_is_one_value_continues_where_it_was() {
    let server = value_server(10, columns).await;
    let pagination = json!({"type": "offset", "param": "offset", "limit_param": "limit", "limit": 10});
    let options = json!({"records": "/data", "pagination": pagination, "remap": OF_COLUMNS});
    assert_eq!(run_in_parts(&server, &options, 7, 25).await.bodies, numbers(0..25));
}

#[tokio::test]
async fn empty_object_without_a_program_ends_the_pages() {
    let pages = [json!({"data": {"n": 1}}), json!({"data": {"n": 2}}), json!({"data": {}})];
    let read = run_once(&serve(pages.map(json_response)).await, page_options()).await;
    assert!(
        read.error.is_none() && read.bodies == [r#"{"n": 1}"#, r#"{"n": 2}"#].map(|it| it.replace(' ', "")),
        "{read:?}"
    );
}
