//! Columns of CSV: one header for all pages of a walk, and types that later responses and runs keep.

use super::*;

fn csv(text: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_raw(text, "text/csv")
}

/// Options with a field that is added to the rows, so that they are JSON.
fn polled(rows: Value) -> Value {
    json!({"codec": "csv", "csv": rows, "add": {"p": 1}})
}

/// An API with these pages, requested by `?page=` from 1.
async fn pages(pages: &'static [&'static str]) -> MockServer {
    respond(move |request: &Request| {
        let page = number(request, "page").expect("a page");
        csv(pages.get(page - 1).copied().unwrap_or_default())
    })
    .await
}

fn by_page(rows: Value) -> Value {
    json!({"codec": "csv", "csv": rows, "add": {"p": 1}, "pagination": {"type": "page", "param": "page"}})
}

#[tokio::test]
async fn page_without_a_header_is_an_error_in_each_run() {
    let server = pages(&["name,city\nann,rome\nbob,oslo\n", "cid,paris\ndan,bonn\n"]).await;
    let first = run(&server, by_page(json!({})), None, usize::MAX).await;
    assert_eq!(first.bodies.len(), 2);
    let failure = first.failure();
    assert!(failure.starts_with("fatal: "), "{failure}");
    assert!(failure.contains("not the header of the page before, which names `name`, `city`"), "{failure}");
    assert!(failure.contains("csv.header = false") && !failure.contains("paris"), "{failure}");
    // The saved page is the second one.
    let second = run(&server, by_page(json!({})), first.position, usize::MAX).await;
    assert_eq!((second.bodies.len(), second.failure()), (0, failure));
    let server = pages(&["ann,rome\nbob,oslo\n", "cid,paris\n"]).await;
    let named = json!({"header": false, "columns": ["name", "city"]});
    assert_eq!(run_once(&server, by_page(named)).await.bodies.len(), 3);
}

#[tokio::test]
async fn only_row_of_a_page_without_a_header_is_not_lost() {
    let server = pages(&["name,city\nann,rome\n", "cid,paris\n"]).await;
    assert!(run_once(&server, by_page(json!({}))).await.failure().contains("not the header"));
    let renamed = by_page(json!({"columns": ["a", "b"]}));
    assert!(run_once(&server, renamed).await.failure().contains("not the header"));
}

#[tokio::test]
async fn pages_may_have_their_columns_in_another_order() {
    let server = pages(&["a,b\n1,2\n", "b,a\n4,3\n", "a,b\n"]).await;
    let run = run_once(&server, by_page(json!({}))).await;
    assert!(run.error.is_none(), "{run:?}");
    assert_eq!(run.bodies, [r#"{"a":1,"b":2,"p":1}"#, r#"{"b":4,"a":3,"p":1}"#]);
}

#[tokio::test]
async fn columns_may_change_between_two_polls() {
    let server = serve([csv("a,b\n1,2\n"), csv("a,c\n1,x\n")]).await;
    let options = json!({"codec": "csv", "add": {"p": 1}, "interval": "1ms"});
    let run = run(&server, options, None, 2).await;
    assert_eq!(run.bodies, [r#"{"a":1,"b":2,"p":1}"#, r#"{"a":1,"c":"x","p":1}"#]);
}

#[tokio::test]
async fn column_takes_its_type_from_the_first_page_with_values() {
    let server = pages(&["d,v\n1,\n2,\n", "d,v\n3,0.25\n4,7\n"]).await;
    let expected = [
        r#"{"d":1,"v":null,"p":1}"#,
        r#"{"d":2,"v":null,"p":1}"#,
        r#"{"d":3,"v":0.25,"p":1}"#,
        r#"{"d":4,"v":7.0,"p":1}"#,
    ];
    assert_eq!(run_once(&server, by_page(json!({}))).await.bodies, expected);
}

#[tokio::test]
async fn fraction_after_integers_is_delivered_unless_the_type_is_declared() {
    let server = pages(&["d,v,w\n1,100,5\n", "d,v,w\n2,50.5,6\n3,7,8\n4,x,9\n"]).await;
    let read = run_once(&server, by_page(json!({}))).await;
    let expected =
        [r#"{"d":1,"v":100,"w":5,"p":1}"#, r#"{"d":2,"v":50.5,"w":6,"p":1}"#, r#"{"d":3,"v":7,"w":8,"p":1}"#];
    assert_eq!(read.bodies, expected);
    assert_eq!(read.rejected.len(), 1);
    let read = run_once(&server, by_page(json!({"types": {"v": "integer"}}))).await;
    assert_eq!((read.bodies.len(), read.rejected.len()), (2, 2));
}

#[tokio::test]
async fn later_run_keeps_the_types_until_options_of_rows_change() {
    let before = "day,v\n2024-01-01,100\n2024-01-02,200\n";
    let after = "day,v\n2024-01-01,100\n2024-01-02,200\n2024-01-03,12.5\n";
    let server = serve([csv(before), csv(after)]).await;
    let options = polled(json!({}));
    let first = run(&server, options.clone(), None, usize::MAX).await;
    let position = first.position.unwrap();
    assert_eq!(position["csv"]["types"], json!({"day": "string", "v": "integer"}));
    let second = run(&server, options.clone(), Some(position.clone()), usize::MAX).await;
    assert_eq!(second.bodies, [r#"{"day":"2024-01-03","v":12.5,"p":1}"#]);
    let float = polled(json!({"types": {"v": "float"}}));
    let declared = run(&server, float, Some(position.clone()), usize::MAX).await;
    assert_eq!(declared.bodies.len(), 3);
    let changed = polled(json!({"null_values": ["-"]}));
    let changed = run(&server, changed, Some(position.clone()), usize::MAX).await;
    assert_eq!(changed.bodies[0], r#"{"day":"2024-01-01","v":100.0,"p":1}"#);
    // An earlier release has not stored them.
    let mut old = position;
    old.as_object_mut().unwrap().remove("csv");
    let read = run(&server, options, Some(old), usize::MAX).await;
    assert_eq!(read.bodies.len(), 3);
}

#[tokio::test]
async fn response_that_is_not_csv_is_an_error_with_its_format() {
    for (body, what) in [
        ("[{\"a\":1},{\"a\":2}]", "expected CSV, got JSON; should it be codec = \"json\"?"),
        ("{\"a\":1}\n{\"a\":2}\n", "expected CSV, got NDJSON; should it be codec = \"ndjson\"?"),
        ("\u{feff}<?xml version=\"1.0\"?><a/>", "the response is XML"),
        ("<Error><Code>AccessDenied</Code></Error>", "the response is XML"),
        ("version https://git-lfs.github.com/spec/v1\noid x\n", "expected CSV, got a pointer of Git LFS"),
    ] {
        let failure = run_once(&serve([csv(body)]).await, json!({"codec": "csv"})).await.failure();
        assert!(failure.contains(what), "{failure}");
    }
    // The content type alone may be the default of a gateway.
    let typed = |body: &str| ResponseTemplate::new(200).set_body_raw(body, "application/json");
    let failure = run_once(&serve([typed("null")]).await, json!({"codec": "csv"})).await.failure();
    assert!(failure.contains("expected CSV, got JSON"), "{failure}");
    let read = run_once(&serve([typed("n\n1\n")]).await, json!({"codec": "csv"})).await;
    assert_eq!(read.bodies, ["1"], "{read:?}");
}

#[tokio::test]
async fn csv_rows_are_read_in_the_dialect_of_the_option() {
    let rows = ResponseTemplate::new(200).set_body_string("Date;Close\n02.01.2024;1.234,5\n03.01.2024;N/D\n");
    let dialect = json!({
        "delimiter": ";",
        "decimal": ",",
        "thousands": ".",
        "null_values": ["N/D"],
        "types": {"Date": {"type": "date", "parse": "%d.%m.%Y"}, "Close": "float"},
    });
    let options = json!({"codec": "csv", "csv": dialect, "add": {"Index": "NYA"}});
    let read = run(&serve([rows]).await, options, None, usize::MAX).await;
    let expected = [
        r#"{"Date":"2024-01-02","Close":1234.5,"Index":"NYA"}"#,
        r#"{"Date":"2024-01-03","Close":null,"Index":"NYA"}"#,
    ];
    assert_eq!(read.bodies, expected, "{read:?}");
}
