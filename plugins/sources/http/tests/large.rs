//! Responses that are kept in a temporary file.

use super::*;

/// A source for which responses of more than `max_in_memory` bytes are large.
async fn run_with(server: &MockServer, options: Value, position: Option<Value>, max_in_memory: usize) -> Run {
    let mut http = build_http(server, options).unwrap();
    let body_options =
        super::super::responses::BodyOptions { max_in_memory, ..(*http.client.body_options).clone() };
    http.client.body_options = body_options.into();
    http.open(&Start { position, from_start: false }).await.unwrap();
    read(&mut http, usize::MAX).await
}

fn rows(n_rows: usize) -> Vec<Value> {
    (0..n_rows).map(|n| json!({"n": n, "text": "x".repeat(n % 50)})).collect()
}

#[tokio::test]
async fn large_response_gives_the_records_and_pages_of_a_small_one() {
    let page = json!({"meta": {"next": "2"}, "data": rows(200), "total": 201});
    let last = json!({"data": [{"n": "last"}], "meta": {}, "total": 201});
    let mut runs = Vec::new();
    for max_in_memory in [100, usize::MAX] {
        let server = serve([json_response(page.clone()), json_response(last.clone())]).await;
        let options = json!({"records": "/data", "pagination": {
            "type": "cursor", "cursor": "/meta/next", "param": "after", "total": "/total"}});
        let run = run_with(&server, options, None, max_in_memory).await;
        assert!(run.error.is_none(), "{:?}", run.error);
        assert_eq!(requests_to(&server).await.len(), 2);
        runs.push((run.bodies, run.offsets, run.position));
    }
    assert_eq!(runs[0].0.len(), 201);
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn large_response_resumes_at_the_next_record() {
    let server = serve([json_response(json!({"data": rows(30)}))]).await;
    let options = || json!({"records": "/data"});
    let first = run(&server, options(), None, 11).await;
    let rest = run_with(&server, options(), first.position, 100).await;
    let all = [first.bodies, rest.bodies].concat();
    assert_eq!(all, rows(30).iter().map(Value::to_string).collect::<Vec<_>>());
}

#[tokio::test]
async fn compressed_response_that_is_large_when_unpacked_is_read() {
    let text = rows(2000).iter().map(|row| format!("{row}\n")).collect::<String>();
    let csv = rows(2000).iter().map(|row| format!("{},{}\n", row["n"], row["text"])).collect::<String>();
    let bodies = [
        (gzip(&text), "ndjson"),
        (gzip(json!(rows(2000)).to_string()), "json"),
        (gzip(format!("n,text\n{csv}")), "csv"),
    ];
    for (body, codec) in bodies {
        assert!(body.len() < 20_000);
        for max_in_memory in [1000, 20_000] {
            let server = serve([ResponseTemplate::new(200).set_body_bytes(body.clone())]).await;
            let run = run_with(&server, json!({"codec": codec}), None, max_in_memory).await;
            assert!(run.error.is_none(), "{:?}", run.error);
            assert_eq!(run.bodies.len(), 2000, "{codec}");
        }
    }
}

#[tokio::test]
async fn large_response_that_is_cut_delivers_nothing_and_says_so() {
    let text = json!(rows(200)).to_string();
    let server = serve([ResponseTemplate::new(200).set_body_string(&text[..text.len() - 1])]).await;
    let run = run_with(&server, json!({}), None, 100).await;
    assert!(run.bodies.is_empty());
    let failure = run.failure();
    assert!(
        failure.contains(&format!("incomplete JSON: the response ends at byte {}", text.len() - 1)),
        "{failure}"
    );
    let server = serve([ResponseTemplate::new(200).set_body_string(text)]).await;
    let run = run_with(&server, json!({"max_answer": "1KiB"}), None, 100).await;
    assert!(run.failure().contains("larger than 1KiB, the maximum"), "{}", run.failure());
}

#[tokio::test]
async fn matchers_and_cursors_inside_of_records_see_a_large_response_whole() {
    let text = json!({"data": rows(200)}).to_string();
    let server = serve([ResponseTemplate::new(200).set_body_string(text)]).await;
    for matcher in [json!({"text": "\"n\":150"}), json!("/data/150/n")] {
        let options = json!({"records": "/data", "responses": {"fail": [matcher]}});
        let run = run_with(&server, options, None, 100).await;
        assert!(run.failure().contains("`responses.fail` matches it"), "{}", run.failure());
    }
    let options = json!({"records": "/data", "pagination": {
        "type": "cursor", "cursor": "/data/-1/n", "param": "after", "max_pages": 3}});
    let server = serve([json_response(json!({"data": rows(200)})), json_response(json!({"data": []}))]).await;
    run_with(&server, options, None, 100).await;
    let requests = requests_to(&server).await;
    assert_eq!(requests[1].url.query(), Some("after=199"));
}

#[tokio::test]
async fn other_encodings_of_a_large_response_are_read() {
    let text = json!(rows(100)).to_string().replace('x', "é");
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
    let latin: Vec<u8> = text.chars().map(|it| it as u32 as u8).collect();
    let guarded = [b")]}'\n", text.as_bytes()].concat();
    for (body, content_type) in [
        (utf16, "application/json"),
        (marked, "application/json"),
        (guarded.clone(), "application/json"),
        (guarded, "application/json; charset=UTF-8"),
        (latin, "application/json; charset=iso-8859-1"),
        (text.clone().into_bytes(), "application/json; charset=UTF-8"),
        (text.clone().into_bytes(), "application/json; charset=us-ascii"),
    ] {
        let server = serve([ResponseTemplate::new(200).set_body_raw(body, content_type)]).await;
        for max_in_memory in [100, usize::MAX] {
            let run = run_with(&server, json!({}), None, max_in_memory).await;
            assert!(run.error.is_none(), "{:?}", run.error);
            assert_eq!(format!("[{}]", run.bodies.join(",")), text, "{content_type}");
        }
    }
}

#[tokio::test]
async fn large_response_has_the_errors_and_encoding_of_a_small_one() {
    let partial = json_response(json!({"data": rows(50), "errors": [{"message": "one source is late"}]}));
    let latin =
        [&b"[{\"a\": \"Caf\xE9\"}, "[..], &b"{\"a\": \"x\"}, ".repeat(50), b"{\"a\": \"y\"}]"].concat();
    let latin = ResponseTemplate::new(200).set_body_raw(latin, "application/json");
    for max_in_memory in [100, usize::MAX] {
        let server = serve([partial.clone()]).await;
        let run = run_with(&server, json!({"records": "/data"}), None, max_in_memory).await;
        assert!(run.error.is_none() && run.bodies.len() == 50, "{max_in_memory} {:?}", run.error);
        let accepted = serve([ResponseTemplate::new(202).set_body_json(json!(rows(50)))]).await;
        let run = run_with(&accepted, json!({}), None, max_in_memory).await;
        assert!(run.error.is_none() && run.bodies.len() == 50, "{max_in_memory} {:?}", run.error);
        let options = json!({"encoding": "windows-1252"});
        let run = run_with(&serve([latin.clone()]).await, options, None, max_in_memory).await;
        assert!(run.error.is_none() && run.bodies.len() == 52, "{max_in_memory} {:?}", run.error);
        assert_eq!(run.bodies[0], r#"{"a": "Café"}"#);
    }
}
