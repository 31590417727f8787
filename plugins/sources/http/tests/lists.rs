//! Elements of `for_each` on several pages.

use wiremock::matchers::path;

use super::*;

/// Five elements, two per page, requested by `?page=` from 1 or by the header `Link`; behind them `behind`.
async fn list_server(behind: fn() -> ResponseTemplate) -> MockServer {
    let server = MockServer::builder().start().await;
    let response = move |request: &Request| {
        let first = 2 * (number(request, "page").unwrap_or(1) - 1);
        if first >= 5 {
            return behind();
        }
        let list: Vec<Value> = (first..5.min(first + 2)).map(|id| json!({"id": id})).collect();
        let next = first / 2 + 2;
        let next = (first + 2 < 5).then(|| format!("/list?page={next}"));
        let response = json_response(json!({"list": list, "next": next, "total": 5}));
        match next {
            Some(next) => response.insert_header("Link", format!("<{next}>; rel=next")),
            None => response,
        }
    };
    Mock::given(path("/list")).respond_with(response).with_priority(1).mount(&server).await;
    let row = |request: &Request| json_response(json!([request.url.query()]));
    Mock::given(path("/prices")).respond_with(row).with_priority(2).mount(&server).await;
    server
}

fn options(server: &MockServer, pagination: Value) -> Value {
    let mut each = json!({"records": "/list", "fields": {"id": "/id"}});
    each["endpoint"] = json!(format!("{}/list", server.uri()));
    if !pagination.is_null() {
        each["pagination"] = pagination;
    }
    json!({"for_each": each, "query": {"id": "{{ id }}"}})
}

fn rows(n_elements: usize) -> Vec<String> {
    (0..n_elements).map(|id| format!("\"id={id}\"")).collect()
}

#[tokio::test]
async fn elements_of_all_pages_are_walked() {
    let empty = || json_response(json!({"list": []}));
    for (pagination, n_requests) in [
        (json!({"type": "link"}), 3),
        (json!({"type": "next_url", "next": "/next"}), 3),
        (json!({"type": "page", "param": "page"}), 4),
        (json!({"type": "page", "param": "page", "total": "/total"}), 3),
    ] {
        let server = list_server(empty).await;
        let read = run_once(&server, options(&server, pagination.clone())).await;
        assert!(read.error.is_none() && read.bodies == rows(5), "{pagination} {read:?}");
        let asked = requests_to(&server).await;
        let n_lists = asked.iter().filter(|request| request.url.path() == "/list").count();
        assert_eq!(n_lists, n_requests, "{pagination}");
    }
    let server = list_server(empty).await;
    let read =
        run_once(&server, options(&server, json!({"type": "page", "param": "page", "max_pages": 2}))).await;
    assert_eq!(read.bodies, rows(4));
    let read = run_once(&server, options(&server, Value::Null)).await;
    assert_eq!(read.bodies, rows(2));
}

#[tokio::test]
async fn end_of_the_list_may_be_missing_refused_or_repeated() {
    let page = || json!({"type": "page", "param": "page"});
    for behind in [
        || ResponseTemplate::new(404),
        || json_response(json!({"list": null})),
        || json_response(json!({"list": [{"id": 4}]})),
    ] {
        let server = list_server(behind).await;
        let read = run_once(&server, options(&server, page())).await;
        assert!(read.error.is_none() && read.bodies == rows(5), "{read:?}");
    }
    let server = list_server(|| ResponseTemplate::new(400)).await;
    let failure = run_once(&server, options(&server, page())).await.failure();
    assert_contains(&failure, &["`last`", "400 Bad Request"]);
}

#[tokio::test]
async fn cursor_of_the_list_that_repeats_is_an_error() {
    let server = MockServer::builder().start().await;
    let list = json_response(json!({"list": [{"id": 1}], "next": "a"}));
    Mock::given(path("/list")).respond_with(list).mount(&server).await;
    let pagination = json!({"type": "cursor", "cursor": "/next", "param": "after"});
    let failure = run_once(&server, options(&server, pagination)).await.failure();
    assert_contains(&failure, &["the cursor `a` at `/next` repeats"]);
}
