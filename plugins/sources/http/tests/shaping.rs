//! `remap`: records made by a program.

use super::*;

/// Reads everything, with a restart after every `n_at_once` records.
async fn read_in_parts(
    server: &MockServer,
    options: &Value,
    n_at_once: usize,
    n_records: usize,
) -> Vec<String> {
    let all = run_in_parts(server, options, n_at_once, n_records).await;
    let rest = run(server, options.clone(), all.position, usize::MAX).await;
    assert!(rest.bodies.is_empty(), "{rest:?}");
    all.bodies
}

#[tokio::test]
async fn program_makes_records_of_elements_with_the_fields_of_for_each() {
    let server = serve([json_response(json!([[1, "1.5"], [2, "."], [3, "2.5"]]))]).await;
    let options = json!({
        "for_each": {"symbol": ["NYA", "IXIC"]},
        "remap": "if .[1] == \".\" { . = null } else { . = {\"Index\": %symbol, \"n\": .[0], \"p\": to_float!(.[1])} }",
        "add": {"from": "{{ symbol }}"},
    });
    let row =
        |symbol: &str, n: usize, p: f64| json!({"Index": symbol, "n": n, "p": p, "from": symbol}).to_string();
    let expected = [row("NYA", 1, 1.5), row("NYA", 3, 2.5), row("IXIC", 1, 1.5), row("IXIC", 3, 2.5)];
    for n_at_once in 1..5 {
        assert_eq!(read_in_parts(&server, &options, n_at_once, 4).await, expected);
    }
}

#[tokio::test]
async fn array_result_is_many_records_with_a_number_each() {
    let series =
        json!({"series": {"2024-01-03": {"p": "3"}, "2024-01-02": {"p": "2"}, "2024-01-01": {"p": "1"}}});
    let server = serve([json_response(series)]).await;
    let program = "rows = []\nfor_each(object!(.series)) -> |date, bar| {\n  \
                   rows = push(rows, {\"Date\": date, \"p\": to_int!(bar.p)})\n}\n. = rows";
    for more in [json!({}), json!({"incremental": {"cursor": "Date"}})] {
        let options = with(json!({"remap": program}), &more);
        let run = run_once(&server, options.clone()).await;
        assert_eq!(run.offsets, [0, 1, 2]);
        for n_at_once in 1..4 {
            let expected: Vec<String> =
                (1..4).map(|n| json!({"Date": format!("2024-01-0{n}"), "p": n}).to_string()).collect();
            assert_eq!(read_in_parts(&server, &options, n_at_once, 3).await, expected);
        }
    }
}

#[tokio::test]
async fn program_gets_the_whole_answer_or_any_value() {
    let server = serve([json_response(json!({"data": [{"a": 1}, {"a": 2}]}))]).await;
    let whole = json!({"records": "/data", "remap": {"source": ". = {\"n\": length!(.), \"first\": .[0].a}", "on": "answer"}});
    assert_eq!(run_once(&server, whole).await.bodies, [r#"{"first":1,"n":2}"#]);
    let csv = serve([ResponseTemplate::new(200).set_body_string("a,b\n1,x\n2,y\n")]).await;
    let whole = json!({"codec": "csv", "remap": {"source": ". = {\"n\": length!(.), \"b\": .[1].b}", "on": "answer"}});
    assert_eq!(run_once(&csv, whole).await.bodies, [r#"{"b":"y","n":2}"#]);
    let rows = json!({"codec": "csv", "remap": ". = {\"c\": to_int!(.a) + 1}"});
    assert_eq!(run_once(&csv, rows).await.bodies, [r#"{"c":2}"#, r#"{"c":3}"#]);
    for (value, program, expected) in
        [(json!(7), ". = {\"n\": .}", r#"{"n":7}"#), (json!("x"), ". = {\"s\": .}", r#"{"s":"x"}"#)]
    {
        let server = serve([json_response(json!({"data": value}))]).await;
        let run = run_once(&server, json!({"records": "/data", "remap": program})).await;
        assert!(run.error.is_none() && run.bodies == [expected], "{run:?}");
    }
}

#[tokio::test]
async fn error_of_a_program_is_one_bad_record_that_holds_the_input() {
    let server = serve([json_response(json!([{"p": "1"}, {"p": "s3cret"}, {"p": "3"}]))]).await;
    let options = json!({"remap": ". = {\"p\": to_int!(.p)}"});
    let first = run(&server, options.clone(), None, usize::MAX).await;
    assert_eq!(first.bodies, [r#"{"p":1}"#, r#"{"p":3}"#]);
    assert_eq!(first.rejected.len(), 1);
    assert!(!first.rejected[0].contains("s3cret"), "{first:?}");
    let mut source = open(&server, options.clone()).await;
    let batch = next_batch(&mut *source).await;
    assert_eq!(batch.rejects()[0].record.to_bytes().unwrap(), r#"{"p":"s3cret"}"#);
    let second = run(&server, options, first.position, usize::MAX).await;
    assert!(second.bodies.is_empty() && second.rejected.is_empty(), "{second:?}");
}

#[tokio::test]
async fn program_that_does_not_compile_is_refused() {
    let server = serve([json_response(json!([]))]).await;
    for options in [json!({"remap": ". = {"}), json!({"remap": {"file": "/nowhere/shape.vrl"}})] {
        assert!(build(&server, options.clone()).is_err(), "{options}");
    }
}
