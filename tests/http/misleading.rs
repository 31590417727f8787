//! Warnings where pages are repeated or missed, once in a run, with the option that helps.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;

/// 25 records in pages of ten, with what `around` adds for the number of a page, which is counted from 0.
async fn paged(param: &'static str, around: fn(usize) -> Value) -> MockServer {
    serve(move |request: &Request| {
        let page = parameter(request, param).unwrap_or(0);
        let mut body = around(page);
        body["data"] = (page * 10..25.min(page * 10 + 10)).map(|n| json!({"n": n})).collect();
        answer(body)
    })
    .await
}

fn rows(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| json!({"n": n}).to_string()).collect()
}

fn run_with(server: &MockServer, options: &str) -> (TestEnv, Outcome) {
    let env = TestEnv::new();
    pipeline(&env, server, options);
    let outcome = run(&env);
    (env, outcome)
}

fn run_paged(server: &MockServer, pagination: &str) -> (TestEnv, Outcome) {
    run_with(server, &format!("records = \"/data\"\npagination = {{ {pagination} }}"))
}

/// Runs a pipeline on one response and returns the records. Fails the test unless the run warns with these texts, or does
/// not warn if there are none.
async fn run_on_response(options: &str, body: Value, parts: &[&str]) -> Vec<String> {
    let server = serve_in_turn(vec![answer(body)]).await;
    let (env, outcome) = run_with(&server, options);
    outcome.assert_code(0).assert_says(parts);
    assert_eq!(outcome.stderr.contains("WARN"), !parts.is_empty(), "{options}: {}", outcome.stderr);
    lines(&env)
}

#[tokio::test(flavor = "multi_thread")]
async fn records_before_the_first_page_are_missed_with_a_warning() {
    let server = paged("page", |_| json!({"total": 25})).await;
    let (env, outcome) = run_paged(&server, r#"type = "page", param = "page""#);
    outcome.assert_code(0).assert_says(&["`/total` is greater than the 15 records", "(`start`)"]);
    assert_eq!(lines(&env), rows(10..25));
    let (env, outcome) = run_paged(&server, r#"type = "page", param = "page", start = 0"#);
    assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
    assert_eq!(lines(&env), rows(0..25));
    // The page at which the walk ends may lack the number.
    let server = paged("page", |page| if page < 3 { json!({"total": 99}) } else { json!({}) }).await;
    let (_, outcome) = run_paged(&server, r#"type = "page", param = "page", start = 0, total = "/total""#);
    outcome.assert_code(0).assert_says(&["`/total` is greater than the 25 records"]);
    // The options may name what is not known by its name.
    let server = paged("page", |_| json!({"n_all": 25, "n_pages": 9})).await;
    for (option, says) in [
        (r#"total = "/n_all""#, "`/n_all` is greater than the 15 records"),
        (r#"last = "/n_pages""#, "`/n_pages` says that there are more pages"),
    ] {
        let (env, outcome) = run_paged(&server, &format!(r#"type = "page", param = "page", {option}"#));
        outcome.assert_code(0).assert_says(&[says, "(`start`)"]);
        assert_eq!(lines(&env), rows(10..25));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_that_are_named_around_the_records_are_warned_of_where_they_are_not_read() {
    for (records, body, says) in [
        (
            "/content",
            json!({"content": [{"n": 1}], "totalElements": 90}),
            "`/totalElements` is greater than the 1",
        ),
        ("/d/results", json!({"d": {"results": [{"n": 1}], "__next": "http://a/b"}}), "next = \"/d/__next\""),
        ("/hits/hits", json!({"hits": {"total": {"value": 90}, "hits": [{"n": 1}]}}), "`/hits/total/value`"),
        ("/records", json!({"records": [{"n": 1}], "offset": "itrA/recB"}), "cursor = \"/offset\""),
        ("/payments", json!({"payments": [{"n": 1}], "cursor": "abc"}), "cursor = \"/cursor\""),
        (
            "/data/issues/nodes",
            json!({"data": {"issues": {"nodes": [{"n": 1}], "pageInfo": {"hasNextPage": true}}}}),
            "`/data/issues/pageInfo/hasNextPage` says that there are more",
        ),
        ("/features", json!({"features": [{"n": 1}], "exceededTransferLimit": true}), "has_more = \"/exc"),
        ("/values", json!({"values": [{"n": 1}], "isLast": false}), "with `last = \"/isLast\"`"),
        (
            "/entry",
            json!({"entry": [{"n": 1}], "link": [{"relation": "next", "url": "http://a/b?c=d"}]}),
            "type = \"next_url\", next = \"/link\"",
        ),
    ] {
        run_on_response(&format!("records = \"{records}\""), body, &[says, "only this page is read"]).await;
    }
    let last = json!({"records": [{"n": 1}], "offset": "20", "count": 1});
    run_on_response("records = \"/records\"", last, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn program_that_makes_nothing_is_warned_of_until_it_has_made_a_record() {
    let server = serve_in_turn(vec![answer(json!([{"n": 1}, {"n": 2}]))]).await;
    let (env, outcome) = run_with(&server, "remap = '. = .m'");
    outcome.assert_code(0).assert_says(&["`remap` makes no record of any row"]);
    for program in ["if .n == 1 { . = null }", ". = null"] {
        pipeline(&env, &server, &format!("remap = '{program}'"));
        assert!(!run(&env).assert_code(0).stderr.contains("WARN"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_no_row_has_are_warned_of() {
    for (fields, says) in [
        (r#"key = "ID""#, "`incremental.key` names, so that each row is identified by all its fields"),
        (r#"key = "id", compare = ["c"]"#, "`incremental.compare` names, so that a row that has changed"),
    ] {
        let rows = json!([{"id": 1, "t": "2024-01-01"}, {"id": 2, "t": "2024-01-01"}]);
        let options = format!("incremental = {{ cursor = \"t\", {fields} }}");
        assert_eq!(run_on_response(&options, rows, &[says]).await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_not_objects_are_warned_of() {
    let body = "[{\"n\":1},{\"n\":2}]\n";
    let server = serve_in_turn(vec![ResponseTemplate::new(200).set_body_string(body)]).await;
    let (_, outcome) = run_with(&server, "codec = \"ndjson\"");
    outcome.assert_code(0).assert_says(&["a record is an array, not an object", "codec = \"json\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn offset_that_the_api_takes_for_a_page_is_warned_of() {
    let server = paged("at", |_| json!({"meta": {"total_pages": 3}})).await;
    let (_, outcome) = run_paged(&server, r#"type = "offset", param = "at""#);
    outcome.assert_code(0).assert_says(&["`/meta/total_pages` says", r#"not pages (type = "page")"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn total_without_a_value_or_of_pages_is_warned_of_once() {
    let server = paged("page", |_| json!({"n_pages": 3, "pages": 3})).await;
    for (total, warning) in [
        ("/missing", "no value at `/missing`, which `pagination.total` names"),
        ("/n_pages", "`/n_pages` is smaller than the 10 records"),
        ("/pages", "looks like a number of pages; `last` is for that"),
    ] {
        let pagination = format!(r#"type = "page", param = "page", start = 0, total = "{total}""#);
        let (env, outcome) = run_paged(&server, &pagination);
        outcome.assert_code(0).assert_says(&[warning]);
        assert_eq!(outcome.stderr.matches("WARN").count(), 1, "{}", outcome.stderr);
        assert_eq!(lines(&env), rows(0..25));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn page_that_repeats_another_is_warned_of() {
    // As an API that counts from 1, and takes 0 for 1.
    let server = serve(|request: &Request| {
        let page = parameter(request, "page").unwrap_or(0).max(1);
        answer(json!({"data": if page < 3 { vec![page * 2, page * 2 + 1] } else { Vec::new() }}))
    })
    .await;
    let (env, outcome) = run_paged(&server, r#"type = "page", param = "page", start = 0"#);
    outcome.assert_code(0).assert_says(&["holds every record of the page before", "`start = 1`"]);
    assert_eq!(lines(&env), ["2", "3", "2", "3", "4", "5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_beside_records_are_warned_of_whatever_the_method() {
    let errors = json!({"data": [{"n": 1}], "errors": [{"message": "one source is late"}]});
    let parts = ["has records and `/errors`", "fail = [\"/errors\"]"];
    assert_eq!(run_on_response("records = \"/data\"", errors, &parts).await, [r#"{"n":1}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn relative_address_of_the_next_page_is_told_from_a_cursor() {
    for next in ["prices?page=2", "prices/page/2", "./prices?page=2"] {
        let body = json!({"data": [{"n": 1}], "next": next});
        run_on_response("records = \"/data\"", body, &[r#"{ type = "next_url", next = "/next" }"#]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_a_variable_is_warned_of_before_the_run() {
    let server = serve_in_turn(vec![answer(json!([{"n": 1}]))]).await;
    let env = TestEnv::new();
    pipeline(&env, &server, "query = { from = \"%Y-%m-%d\", format = \"%Y-%m-%d\", where = \"x%20y\" }");
    let checked = env.run(["validate", "api.toml"]);
    checked.assert_code(0).assert_says(&["`query.from`", "{{ since }}", "format = \"%Y-%m-%d\""]);
    assert_eq!(checked.stderr.matches("is sent as it is").count(), 1, "{}", checked.stderr);
    assert_eq!(run(&env).assert_code(0).stderr.matches("is sent as it is").count(), 1);
}

#[test]
fn list_as_the_endpoint_names_for_each() {
    let env = TestEnv::new();
    env.write(
        "api.toml",
        "[sources.api]\ntype = \"http\"\nendpoint = [\"http://a/1\", \"http://a/2\"]\n\n\
         [sinks.out]\ntype = \"null\"\ninputs = [\"api\"]\n",
    );
    let outcome = env.run(["validate", "api.toml"]);
    outcome.assert_code(78).assert_says(&["`endpoint`", "for_each = { symbol = ["]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_element_of_nested_members_is_warned_of() {
    let columns = json!({"meta": {"symbol": "NYA"}, "time": [1, 2], "close": [1.5, 2.5]});
    for (body, place) in [(json!({"data": [columns]}), "/data/0/"), (json!({"data": columns}), "/data/")] {
        let parts = ["members are all objects or arrays", place, "with `remap`"];
        run_on_response("records = \"/data\"", body, &parts).await;
    }
    run_on_response("records = \"/data\"", json!({"data": [{"n": 1, "legs": []}]}), &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_named_by_a_header_give_one_warning() {
    let rows = |n: usize| answer((0..n).map(|n| json!({"n": n})).collect::<Vec<_>>());
    let csv = ResponseTemplate::new(200).set_body_raw("n\n0\n1\n", "text/csv");
    let partial = ResponseTemplate::new(206).set_body_json([{ json!({"n": 1}) }]);
    for (options, cut_off, warning) in [
        ("", rows(2).insert_header("X-Total-Count", "5"), "`x-total-count` is greater than the 2 records"),
        ("", rows(2).insert_header("X-Next-Page", "2"), "`x-next-page` names a next page"),
        ("", partial.insert_header("Content-Range", "0-0/5"), "`Content-Range` says"),
        (
            "codec = \"csv\"",
            csv.insert_header("Link", "</prices?page=2>; rel=\"next\""),
            "{ type = \"link\" }",
        ),
    ] {
        let whole = rows(3).insert_header("X-Total-Count", "3").insert_header("X-Next-Page", "");
        let whole = whole.insert_header("Content-Range", "0-2/3");
        let whole = if options.is_empty() {
            whole
        } else {
            ResponseTemplate::new(200).set_body_raw("n\n5\n", "text/csv")
        };
        let server = serve_in_turn(vec![whole.clone(), cut_off, whole]).await;
        let env = TestEnv::new();
        pipeline(
            &env,
            &server,
            &format!("for_each = {{ s = [1, 2, 3] }}\nquery = {{ s = \"{{{{ s }}}}\" }}\n{options}"),
        );
        let outcome = run(&env);
        outcome.assert_code(0).assert_says(&[warning]);
        assert_eq!(outcome.stderr.matches("only this page is read").count(), 1, "{}", outcome.stderr);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn object_of_as_many_rows_as_the_total_is_not_warned_of() {
    let rows: Value =
        (0..25).map(|n| (format!("k{n}"), json!({"n": n}))).collect::<serde_json::Map<_, _>>().into();
    let options = "records = \"/data\"\nremap = \". = values(object!(.))\"";
    assert_eq!(run_on_response(options, json!({"total": 25, "data": rows}), &[]).await.len(), 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_empty_pages_give_a_warning_that_names_the_option() {
    let endless = |request: &Request| {
        let at = parameter(request, "at").unwrap_or(0);
        let rows: Vec<Value> = (at..25.min(at + 10)).map(|n| json!({"n": n})).collect();
        answer(json!({"rows": rows, "next": format!("/prices?at={}", at + 10)}))
    };
    let server = serve(endless).await;
    let env = TestEnv::new();
    let options = |more: &str| {
        format!("records = \"/rows\"\npagination = {{ type = \"next_url\", next = \"/next\"{more} }}")
    };
    pipeline(&env, &server, &options(""));
    let outcome = env.run(["run", "api.toml", "--for", "3s"]);
    outcome.assert_says(&["10 pages in a row hold no records", "`has_more = \"/rows/0\"`"]);
    assert_eq!(outcome.stderr.matches("hold no records").count(), 1, "{}", outcome.stderr);
    let env = TestEnv::new();
    pipeline(&env, &server, &options(", has_more = \"/rows/0\""));
    let outcome = run(&env);
    assert!(!outcome.assert_code(0).stderr.contains("WARN"), "{}", outcome.stderr);
    assert_eq!(lines(&env), rows(0..25));
}

#[tokio::test(flavor = "multi_thread")]
async fn elements_on_other_pages_are_warned_of() {
    let server = serve(|request: &Request| match request.url.path() {
        "/list" => answer(json!({"list": [{"id": 1}], "meta": {"next_cursor": "abc"}})),
        _ => answer([json!({"n": 1})]),
    })
    .await;
    let env = TestEnv::new();
    let each = format!(
        "{{ endpoint = \"{}/list\", records = \"/list\", fields = {{ id = \"/id\" }} }}",
        server.uri()
    );
    pipeline(&env, &server, &format!("for_each = {each}\nquery = {{ id = \"{{{{ id }}}}\" }}"));
    let outcome = run(&env);
    outcome.assert_code(0).assert_says(&[
        "`/meta/next_cursor` names a next page",
        "in the table `for_each`, `pagination = { type = \"cursor\"",
    ]);
    assert_eq!(outcome.stderr.matches("WARN").count(), 1, "{}", outcome.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn incomplete_results_are_warned_of_once() {
    for (records, body, says) in [
        (
            "/items",
            json!({"items": [{"n": 1}], "incomplete_results": true}),
            "fail = [{ at = \"/incomplete_results\", is = true }]",
        ),
        (
            "/hits/hits",
            json!({"hits": {"hits": [{"n": 1}]}, "timed_out": false, "_shards": {"failed": 1}}),
            "fail = [{ at = \"/_shards/failed\" }]",
        ),
        ("/elements", json!({"elements": [], "remark": "runtime error"}), "fail = [{ at = \"/remark\" }]"),
    ] {
        run_on_response(&format!("records = \"{records}\""), body, &[says, "records may be missing"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_deleted_while_pages_are_read_are_warned_of() {
    let requests = AtomicUsize::new(0);
    let server = serve(move |request: &Request| {
        let n_deleted = 2 * requests.fetch_add(1, Ordering::Relaxed).min(1);
        let first = n_deleted + parameter(request, "offset").unwrap_or(0);
        let rows: Vec<Value> = (first..20.min(first + 5)).map(|n| json!({"n": n})).collect();
        answer(json!({"data": rows, "total": 20 - n_deleted}))
    })
    .await;
    let (env, outcome) = run_paged(&server, r#"type = "offset", param = "offset", total = "/total""#);
    outcome.assert_code(0).assert_says(&["`/total` is smaller than on the page before", "the next poll"]);
    assert_eq!(lines(&env), [rows(0..5), rows(7..20)].concat());
    // It delivers what was missed, and nothing else.
    run(&env).assert_code(0);
    assert_eq!(lines(&env), [rows(0..5), rows(7..20), rows(5..7)].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn options_that_would_need_rows_before_the_position_are_warned_of() {
    let body = json!({"a": [{"n": 5, "t": 50}], "b": [{"n": 1, "t": 10}]});
    for (before, after, says) in [
        (r#""/a", "n", 3"#, r#""/b", "n", 3"#, "`records` has changed from \"/a\" to \"/b\""),
        (r#""/a", "t", 3"#, r#""/a", "n", 3"#, "`incremental.cursor` has changed from `t` to `n`"),
        (r#""/a", "n", 3"#, r#""/a", "n", 1"#, "`incremental.start` is earlier than before"),
    ] {
        let server = serve_in_turn(vec![answer(body.clone())]).await;
        let env = TestEnv::new();
        for (options, says) in [(before, None), (before, None), (after, Some(says))] {
            let parts: Vec<&str> = options.split(", ").collect();
            let [records, cursor, start] = parts[..] else { panic!("{options}") };
            pipeline(
                &env,
                &server,
                &format!("records = {records}\nincremental = {{ cursor = {cursor}, start = {start} }}"),
            );
            let outcome = run(&env);
            outcome.assert_code(0);
            assert_eq!(outcome.stderr.contains("WARN"), says.is_some(), "{}", outcome.stderr);
            if let Some(says) = says {
                outcome.assert_says(&[says, "runner run --from-start"]);
                pipeline(&env, &server, "records = \"/a\"");
                run(&env).assert_code(0).assert_says(&["`incremental` was removed"]);
                assert!(!run(&env).stderr.contains("WARN"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn has_more_that_is_true_on_the_last_page_is_warned_of() {
    let server = paged("page", |page| json!({"end_of_stream": page == 2})).await;
    let (_, outcome) =
        run_paged(&server, r#"type = "page", param = "page", start = 0, has_more = "/end_of_stream""#);
    outcome.assert_code(0).assert_says(&["which looks true on the last page; `last` is for that"]);
    let (env, _) = run_paged(&server, r#"type = "page", param = "page", start = 0, last = "/end_of_stream""#);
    assert_eq!(lines(&env), rows(0..25));
}
