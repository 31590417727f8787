//! Decoding of responses.

use super::*;

#[tokio::test]
async fn json_elements_are_delivered_byte_for_byte_in_order() {
    let body = r#"{"data": [ {"p": 1.50}, { "p" : 12345678901234567890 },3, 4 ]}"#;
    let server = serve([ResponseTemplate::new(200).set_body_string(body)]).await;
    let run = run_once(&server, json!({"records": "/data"})).await;
    assert_eq!(run.bodies, [r#"{"p": 1.50}"#, r#"{ "p" : 12345678901234567890 }"#, "3", "4"]);
    assert_eq!(run.offsets, [0, 1, 2, 3]);
}

#[tokio::test]
async fn invalid_ndjson_lines_are_rejected_and_the_rest_is_delivered() {
    let body = "{\"a\":1}\r\n{\"a\" 1}\n\n  \n{\"a\":2}\n";
    let server = serve([ResponseTemplate::new(200).set_body_string(body)]).await;
    let run = run_once(&server, json!({"codec": "ndjson", "query": {"token": "s3cret"}})).await;
    assert_eq!(run.bodies, [r#"{"a":1}"#, r#"{"a":2}"#]);
    assert_eq!(run.offsets, [0, 2]);
    assert!(run.rejected[0].starts_with("http://127.0.0.1:"), "{:?}", run.rejected);
    let what = "?token=***: line 2 of the response is not JSON at column 6: expected `:`";
    assert!(run.rejected[0].ends_with(what), "{:?}", run.rejected);
}

#[tokio::test]
async fn csv_rows_keep_the_types_of_the_first_response() {
    let answer = |text: &str| ResponseTemplate::new(200).set_body_raw(text, "text/csv");
    let server = serve([answer("n,s\n1.5,a\n"), answer("n,s\n2,b\nx,c\n"), answer("")]).await;
    let options = json!({"codec": "csv", "pagination": {"type": "page", "param": "page"}});
    let mut source = open(&server, options).await;
    let mut first = next_batch(&mut *source).await;
    let mut second = next_batch(&mut *source).await;
    assert_eq!(first.records_mut()[0].value().unwrap().to_string(), r#"{"n":1.5,"s":"a"}"#);
    assert_eq!(second.records_mut()[0].value().unwrap().to_string(), r#"{"n":2.0,"s":"b"}"#);
    assert_eq!(second.rejects().len(), 1);
    assert!(read(&mut *source, 1).await.bodies.is_empty());
}

#[tokio::test]
async fn status_204_is_no_records() {
    for codec in ["json", "ndjson", "csv"] {
        let run = run_once(&serve([ResponseTemplate::new(204)]).await, json!({"codec": codec})).await;
        assert!(run.error.is_none() && run.bodies.is_empty(), "{run:?}");
    }
}

#[tokio::test]
async fn null_is_an_error_before_the_first_records() {
    let (some, none) = (json_response(json!({"data": [1]})), json_response(json!({"data": null})));
    let failure = failure_of(none.clone(), json!({"records": "/data"})).await;
    assert_contains(&failure, &["`/data` is null"]);
    let run = run_once(&serve([some, none]).await, page_options()).await;
    assert!(run.error.is_none() && run.bodies == ["1"], "{run:?}");
}

#[tokio::test]
async fn compressed_files_are_read_by_what_they_are() {
    let file = |bytes: Vec<u8>| ResponseTemplate::new(200).set_body_raw(bytes, "application/gzip");
    let rows = file(gzip("a,b\n1,2\n")).insert_header("Content-Encoding", "gzip");
    assert_eq!(run_once(&serve([rows]).await, json!({"codec": "csv"})).await.bodies, ["1,2"]);
    let whole = gzip("[1, 2, 3]");
    let cut = file(whole[..whole.len() - 4].to_vec());
    let failure = failure_of(cut, json!({})).await;
    assert_contains(&failure, &["retry: ", "gzip data ends in the middle"]);
}

#[tokio::test]
async fn byte_order_mark_is_skipped_by_every_codec() {
    for (codec, body, record) in [
        ("json", "[{\"a\":1}]", "{\"a\":1}"),
        ("ndjson", "{\"a\":1}\r\n", "{\"a\":1}"),
        ("csv", "a\r\n1\r\n", "1"),
    ] {
        let marked = ResponseTemplate::new(200).set_body_string(format!("\u{feff}{body}"));
        let run = run_once(&serve([marked]).await, json!({"codec": codec})).await;
        assert!(run.error.is_none() && run.bodies == [record], "{codec} {run:?}");
    }
}

#[tokio::test]
async fn file_of_another_format_is_named() {
    let zip =
        ResponseTemplate::new(200).set_body_raw(&b"PK\x03\x04\x14\0\0\0\x08\0prices.csv"[..], "text/csv");
    for codec in ["csv", "json"] {
        let failure = failure_of(zip.clone(), json!({"codec": codec})).await;
        assert!(failure.contains("a zip archive") && !failure.contains("encoding"), "{failure}");
    }
}

#[tokio::test]
async fn encoding_holds_for_json_and_ndjson() {
    let latin = |body: &[u8]| ResponseTemplate::new(200).set_body_raw(body, "application/json");
    for (codec, body) in [("json", &b"[{\"a\":\"Caf\xE9\"}]"[..]), ("ndjson", b"{\"a\":\"Caf\xE9\"}\n")] {
        let server = serve([latin(body)]).await;
        let refused = run_once(&server, json!({"codec": codec})).await;
        assert!(refused.rejected[0].contains(r#"`encoding = "windows-1252"`"#), "{refused:?}");
        for encoding in ["windows-1252", "iso-8859-1"] {
            let run = run_once(&server, json!({"codec": codec, "encoding": encoding})).await;
            assert!(run.error.is_none() && run.bodies == [r#"{"a":"Café"}"#], "{run:?}");
        }
    }
    let declared = ResponseTemplate::new(200).set_body_raw(&b"[\"Caf\xE9\"]"[..], "a/json; charset=latin1");
    let run = run_once(&serve([declared]).await, json!({"encoding": "auto"})).await;
    assert_eq!(run.bodies, [r#""Café""#]);
    let server = MockServer::builder().start().await;
    let both = json!({"codec": "csv", "encoding": "latin1", "csv": {"encoding": "latin1"}});
    assert!(build(&server, both).err().unwrap().to_string().starts_with("`encoding`"));
    let options = json!({"codec": "csv", "encoding": "windows-1252"});
    let rows = ResponseTemplate::new(200).set_body_raw(&b"a,b\n1,Caf\xE9\n"[..], "text/csv");
    assert_eq!(run_once(&serve([rows]).await, options).await.bodies, ["1,Café"]);
}

#[tokio::test]
async fn xml_is_named() {
    let xml = "<?xml version=\"1.0\"?>\n<prices>\n<price>1</price>\n</prices>\n";
    for codec in ["csv", "json", "ndjson"] {
        let answer = ResponseTemplate::new(200).set_body_raw(xml, "application/xml");
        let run = run_once(&serve([answer]).await, json!({"codec": codec})).await;
        assert_eq!(run.bodies, [""; 0]);
        assert!(run.failure().contains("the response is XML"), "{}", run.failure());
    }
}

#[tokio::test]
async fn csv_encoding_wins_over_what_the_server_declares() {
    let body = b"a,b\n1,Caf\xE9\n2,x\n".to_vec();
    let answer = ResponseTemplate::new(200).set_body_raw(body, "text/csv; charset=utf-8");
    let run = run_once(&serve([answer.clone()]).await, json!({"codec": "csv"})).await;
    assert_eq!(run.bodies, ["2,x"]);
    assert!(
        run.rejected[0].contains(r#"encoding = "windows-1252" (options of rows go into the table `csv`)"#),
        "{run:?}"
    );
    let options = json!({"codec": "csv", "csv": {"encoding": "windows-1252"}});
    assert_eq!(run_once(&serve([answer]).await, options).await.bodies, ["1,Café", "2,x"]);
    let short = ResponseTemplate::new(200).set_body_raw("a,b\n1\n2,x\n", "text/csv");
    let run = run_once(&serve([short]).await, json!({"codec": "csv"})).await;
    assert!(run.rejected[0].contains("missing_cells = \"null\" (options of rows"), "{run:?}");
}
