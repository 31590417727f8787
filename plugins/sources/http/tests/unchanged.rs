//! `unchanged`, conditional requests, and positions of earlier releases.

use wiremock::matchers::{any, header, header_exists};

use super::*;

#[tokio::test]
async fn unchanged_rows_are_skipped_within_a_run_and_across_runs() {
    let responses =
        || [json!([1, 1, 2]), json!([1, 1, 2]), json!([2, 1, 3, 1, 1]), json!([])].map(json_response);
    let options = json!({"interval": "1ms"});
    let run_of_all = run(&serve(responses()).await, options, None, 5).await;
    assert_eq!(run_of_all.bodies, ["1", "1", "2", "3", "1"]);
    let bodies = runs(&serve(responses()).await, &json!({}), 5).await;
    assert_eq!(bodies, [vec!["1", "1", "2"], vec![], vec!["3", "1"], vec![], vec![]]);
}

#[tokio::test]
async fn row_whose_members_come_in_another_order_is_unchanged() {
    let responses = || {
        let texts = [r#"[{"id":1,"n":{"x":1,"y":2}}]"#, r#"[{"n": {"y":2, "x":1}, "id":1}, {"id":2}]"#];
        texts.map(|text| ResponseTemplate::new(200).set_body_raw(text, "application/json"))
    };
    for (options, n) in [(json!({}), 1), (json!({"incremental": {"cursor": "id"}}), 1)] {
        let bodies = runs(&serve(responses()).await, &options, 3).await;
        assert_eq!(bodies.iter().map(Vec::len).collect::<Vec<_>>(), [1, n, 0], "{options} {bodies:?}");
    }
}

#[tokio::test]
async fn deliver_delivers_every_answer() {
    let server = serve([json_response(json!([1, 2]))]).await;
    let options = json!({"unchanged": "deliver"});
    let first = run(&server, options.clone(), None, usize::MAX).await;
    let second = run(&server, options.clone(), first.position, 1).await;
    let third = run(&server, options, second.position, usize::MAX).await;
    assert_eq!([first.bodies, second.bodies, third.bodies], [vec!["1", "2"], vec!["1"], vec!["2"]]);
    assert_eq!([second.offsets, third.offsets], [[2], [3]]);
}

#[tokio::test]
async fn empty_answer_takes_nothing_back() {
    let server = serve([json!([1]), json!([]), json!([1, 2])].map(json_response)).await;
    let options = json!({"interval": "1ms"});
    let read = run(&server, options, None, 2).await;
    assert_eq!(read.bodies, ["1", "2"]);
}

#[tokio::test]
async fn validators_are_sent_back_after_a_delivered_answer() {
    let server = MockServer::builder().start().await;
    let known = Mock::given(header("if-none-match", "\"v1\"")).and(header("if-modified-since", "yesterday"));
    known.respond_with(ResponseTemplate::new(304)).with_priority(1).expect(1).mount(&server).await;
    let answer = json_response(json!([1, 2])).insert_header("ETag", "\"v1\"");
    let answer = answer.insert_header("Last-Modified", "yesterday");
    Mock::given(any()).respond_with(answer).with_priority(9).expect(2).mount(&server).await;
    let part = run(&server, json!({}), None, 1).await;
    // Part of the answer was not delivered, so it is asked for again.
    let rest = run(&server, json!({}), part.position, usize::MAX).await;
    assert_eq!(rest.bodies, ["2"]);
    let none = run(&server, json!({}), rest.position, usize::MAX).await;
    assert!(none.error.is_none() && none.bodies.is_empty(), "{none:?}");
}

#[tokio::test]
async fn validators_are_not_sent_with_deliver_or_after_changed_options() {
    let server = MockServer::builder().start().await;
    let conditional = Mock::given(header_exists("if-none-match")).respond_with(ResponseTemplate::new(500));
    conditional.with_priority(1).expect(0).mount(&server).await;
    let answer = json_response(json!([{"a": 1}])).insert_header("ETag", "\"v1\"");
    Mock::given(any()).respond_with(answer).with_priority(9).mount(&server).await;
    let deliver = json!({"unchanged": "deliver"});
    let first = run(&server, deliver.clone(), None, usize::MAX).await;
    let second = run(&server, deliver, first.position, usize::MAX).await;
    assert_eq!(second.bodies.len(), 1);
    let first = run(&server, json!({}), None, usize::MAX).await;
    let edited = run(&server, json!({"add": {"b": 1}}), first.position.clone(), usize::MAX).await;
    assert_eq!(edited.bodies, [r#"{"a":1,"b":1}"#]);
    let edited = run(&server, json!({"query": {"c": "1"}}), first.position, usize::MAX).await;
    assert_eq!(edited.bodies, [""; 0]);
}

#[tokio::test]
async fn not_modified_answers_a_condition_of_the_pipeline_file() {
    let server = serve([ResponseTemplate::new(304)]).await;
    let read = run_once(&server, json!({"headers": {"If-None-Match": "\"v1\""}})).await;
    assert!(read.error.is_none() && read.bodies.is_empty(), "{read:?}");
}

#[tokio::test]
async fn position_of_an_earlier_release_is_continued() {
    use super::super::source::RecordsHash;
    let hash = |records: &[&str]| {
        let hash = records.iter().fold(RecordsHash::default(), |hash, record| hash.with(record.as_bytes()));
        serde_json::to_value(hash).unwrap()
    };
    let saved = json!({"request": {"page": 2}, "taken": 1, "hash": hash(&["2"]), "offset": 3});
    let first = run(&page_server(5, 2).await, page_options(), Some(saved), usize::MAX).await;
    assert_eq!((first.bodies, first.offsets), (numbers(3..5), vec![3, 4]));
    let second = run(&page_server(6, 2).await, page_options(), first.position, usize::MAX).await;
    // The pages before the saved one are not known.
    assert_eq!(second.bodies, ["0", "1", "5"]);
    let saved = json!({"request": "first", "taken": 2, "hash": hash(&["1", "2"]), "offset": 2});
    let server = serve([json_response(json!([1, 2, 3]))]).await;
    let read = run(&server, json!({}), Some(saved), usize::MAX).await;
    assert_eq!(read.bodies, ["3"]);
}
