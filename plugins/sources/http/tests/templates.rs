//! Variables in requests and records.

use super::*;

#[tokio::test]
async fn variables_are_encoded_for_their_place() {
    let server = serve([json_response(json!([{"p": 1.50}]))]).await;
    let options = json!({
        "endpoint": format!("{}/chart/{{{{ symbol }}}}/day?s={{{{ symbol }}}}", server.uri()),
        "method": "POST",
        "query": {"q": "x {{ symbol }}", "list": ["{{ symbol }}", "b"]},
        "headers": {"X-Symbol": "<{{ symbol }}>"},
        "body": "{\"symbol\": \"{{ symbol }}\"}",
        "for_each": [{"symbol": "^a/b \"&", "index": "N", "year": 2024}],
        "add": {"Index": "{{ index }}-{{ symbol }}", "Year": "{{ year }}"},
    });
    let run = run_once(&server, options).await;
    assert!(run.error.is_none(), "{run:?}");
    assert_eq!(run.bodies, [r#"{"p":1.5,"Index":"N-^a/b \"&","Year":2024}"#]);
    let requests = requests_to(&server).await;
    let request = &requests[0];
    assert_eq!(request.url.path(), "/chart/%5Ea%2Fb%20%22%26/day");
    let pairs: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
    let value = "^a/b \"&";
    let expected = [("s", value), ("list", value), ("list", "b"), ("q", &format!("x {value}"))];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(request.headers["x-symbol"], "<^a/b \"&>");
    assert_eq!(request.body, br#"{"symbol": "^a/b \"&"}"#);
}

#[tokio::test]
async fn unusable_variables_are_refused_with_their_place() {
    let server = serve([json_response(json!([]))]).await;
    for (options, expected) in [
        (json!({"query": {"since": "{{ last.id }}"}}), "`query.since`: `{{ last.id }}` is not known"),
        (json!({"query": {"since": "{{ since }}"}}), "`query.since`: `{{ since }}` requires `incremental`"),
        (
            json!({"body": "{{ since }}", "incremental": {"cursor": "t"}}),
            "`body`: `{{ since }}` requires `incremental.start`",
        ),
        (
            json!({"headers": {"X-A": "{{ from }}"}}),
            "`headers.X-A`: `{{ from }}` requires `incremental.step`",
        ),
        (json!({"add": {"a": "{{ b }}"}}), "`add.a`: `{{ b }}` is not known"),
        (json!({"records": "/result/{{ s }}"}), "`records`: variables have no value here"),
        (json!({"add": {"a": []}}), "`add.a`: expected a string, a number or a boolean"),
        (
            json!({"endpoint": "http://{{ host }}/a"}),
            "`endpoint`: `{{ host }}` stands in the scheme, host or port",
        ),
        (
            json!({"endpoint": "http://h/{{ a }}", "for_each": [{"a": "1"}, {"b": "2"}]}),
            "`endpoint`: `{{ a }}` is not known",
        ),
        (
            json!({"incremental": {"cursor": "t"}, "unchanged": "deliver"}),
            "`unchanged`: \"deliver\" is not allowed with `incremental`",
        ),
    ] {
        let error = build(&server, options).err().map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn value_that_cannot_stand_in_a_path_fails_its_element() {
    let server = serve([json_response(json!([1]))]).await;
    let endpoint = format!("{}/a/{{{{ s }}}}/b", server.uri());
    let run = run_once(&server, json!({"endpoint": endpoint, "for_each": {"s": ["..", "x"]}})).await;
    assert_eq!(run.bodies, ["1"]);
    assert!(run.failure().contains("the value `..` cannot be a part of the path"), "{}", run.failure());
    assert_eq!(requests_to(&server).await.len(), 1);
}

#[tokio::test]
async fn added_field_of_a_record_that_is_not_an_object_is_a_bad_record_once() {
    let server = serve([json_response(json!([7, {"a": 1}]))]).await;
    let options = json!({"add": {"b": 2}});
    let first = run(&server, options.clone(), None, usize::MAX).await;
    assert_eq!(first.bodies, [r#"{"a":1,"b":2}"#]);
    assert!(first.rejected[0].contains("`add` cannot add fields"), "{first:?}");
    let second = run(&server, options, first.position, usize::MAX).await;
    assert!(second.bodies.is_empty() && second.rejected.is_empty(), "{second:?}");
}

#[tokio::test]
async fn body_in_the_form_of_a_web_form_is_sent_as_one() {
    for (headers, content_type, body) in [
        (json!({}), Some("application/x-www-form-urlencoded"), "symbol=a%26b%3D%C3%A9+%2B&x=1"),
        (json!({"Content-Type": "text/plain"}), Some("text/plain"), "symbol=a&b=é +&x=1"),
    ] {
        let server = serve([json_response(json!([1]))]).await;
        let options = json!({
            "method": "POST",
            "headers": headers,
            "body": "symbol={{ symbol }}&x=1",
            "for_each": {"symbol": ["a&b=é +"]},
        });
        assert_eq!(run_once(&server, options).await.bodies, ["1"]);
        let request = &requests_to(&server).await[0];
        assert_eq!(request.headers.get("content-type").and_then(|it| it.to_str().ok()), content_type);
        assert_eq!(String::from_utf8(request.body.clone()).unwrap(), body);
    }
}
