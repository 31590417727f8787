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

#[tokio::test]
async fn list_that_a_failure_cuts_off_is_not_taken_for_a_whole_one() {
    let pages = |second: Value| {
        let list = |ids: &[u8]| json!({"list": ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>()});
        [list(&[0, 1]), second, list(&[2]), list(&[])].map(json_response)
    };
    let serve_list = async |second: Value| {
        let server = respond(|request: &Request| json_response(json!([request.url.query()]))).await;
        for page in pages(second) {
            Mock::given(path("/list"))
                .respond_with(page)
                .up_to_n_times(1)
                .with_priority(1)
                .mount(&server)
                .await;
        }
        server
    };
    let options = |server: &MockServer| options(server, json!({"type": "page", "param": "page"}));
    // It is requested again, also page 2 after the response for page 3 here.
    let server = serve_list(json!({"list": null})).await;
    let read = run_once(&server, options(&server)).await;
    assert!(read.error.is_none() && read.bodies == rows(3), "{read:?}");
    for second in
        [json!({"list": null, "error": "late"}), json!({"list": [], "errors": [{"message": "late"}]})]
    {
        let server = serve_list(second.clone()).await;
        let read = run_once(&server, options(&server)).await;
        assert!(read.bodies.is_empty(), "{second} {read:?}");
        assert_contains(&read.failure(), &["the response is an error"]);
    }
    for first in [json!({"list": null}), json!({"list": [], "error": "late"})] {
        let server = MockServer::builder().start().await;
        Mock::given(path("/list")).respond_with(json_response(first)).mount(&server).await;
        let read = run_once(&server, options(&server)).await;
        assert!(read.failure().starts_with("fatal: "), "{read:?}");
    }
}

#[tokio::test]
async fn matcher_for_missing_records_does_not_match_a_list_of_elements() {
    let server = list_server(|| json_response(json!({"list": []}))).await;
    let prices = |_: &Request| json_response(json!({"data": [1]}));
    Mock::given(path("/prices")).respond_with(prices).with_priority(1).mount(&server).await;
    let mut options = options(&server, json!({"type": "page", "param": "page"}));
    options["records"] = json!("/data");
    options["responses"] = json!({"empty": [{"missing": "/data"}]});
    let read = run_once(&server, options).await;
    assert!(read.error.is_none() && read.bodies == ["1"; 5], "{read:?}");
}
