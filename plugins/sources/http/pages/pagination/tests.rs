//! Tests of the `pagination` option.

use super::*;
use serde_json::{Value, json};

fn read(table: Value) -> Result<Pagination, String> {
    serde_json::from_value(table).map_err(|error| error.to_string())
}

#[test]
fn pagination_accepts_the_options_of_each_type() {
    let page = read(json!({"type": "page", "param": "p"})).unwrap();
    assert!(matches!(page, Pagination::Page { start: 1, .. }));
    assert!(matches!(read(json!({"type": "link"})), Ok(Pagination::Link { .. })));
    for (table, part) in [
        (json!({"type": "link", "param": "p"}), "param"),
        (json!({"type": "cursor", "param": "p"}), "cursor"),
        (json!({"type": "cursor", "param": "p", "cursor": "next"}), "\"/next\""),
    ] {
        assert!(read(table.clone()).unwrap_err().contains(part), "{table}");
    }
}

#[test]
fn pagination_does_not_accept_a_request_of_another_type() {
    let page = read(json!({"type": "page", "param": "p", "start": 1})).unwrap();
    for (pagination, place, accepts) in [
        (Some(&page), PagePlace::Page(3), true),
        (Some(&page), PagePlace::Cursor("x".into()), false),
        (Some(&page), PagePlace::First, false),
        (None, PagePlace::First, true),
        (None, PagePlace::Link("http://a/".into()), false),
    ] {
        assert_eq!(Pagination::accepts(pagination, &PageRequest::first(place)), accepts);
    }
}

#[test]
fn parameters_are_sent_in_the_query_or_the_body() {
    let shown = |table: Value, place: PagePlace| -> Vec<String> {
        let shown = |parameter: PageParameter<'_>| match parameter {
            PageParameter::Query { name, value } => format!("{name}={value}"),
            PageParameter::Body { pointer, json } => format!("{pointer}: {json}"),
            PageParameter::Header { name, value } => format!("{name}: {value}"),
        };
        read(table).unwrap().parameters(&place).into_iter().map(shown).collect()
    };
    let offset = json!({"type": "offset", "param": "skip", "limit_param": "top", "limit": 10});
    assert_eq!(shown(offset, PagePlace::Offset(20)), ["skip=20", "top=10"]);
    let body = json!({"type": "cursor", "cursor": "/c", "param": "/v/after", "in": "body"});
    assert_eq!(shown(body.clone(), PagePlace::Cursor("[1]".into())), ["/v/after: [1]"]);
    assert!(shown(body, PagePlace::First).is_empty());
    let many = json!({"type": "cursor", "cursor": "/continue", "param": "continue"});
    let object = r#"{"cmcontinue":"page|7","offset":10,"continue":"-||"}"#;
    assert_eq!(
        shown(many, PagePlace::Parameters(object.into())),
        ["cmcontinue=page|7", "offset=10", "continue=-||"]
    );
    let header = json!({"type": "cursor", "cursor": {"header": "Next"}, "param": "Range", "in": "header"});
    assert_eq!(shown(header, PagePlace::Cursor("id 7..".into())), ["Range: id 7.."]);
    let both = json!({"type": "offset", "param": "Skip", "limit_param": "Top", "limit": 9, "in": "header"});
    assert_eq!(shown(both, PagePlace::Offset(18)), ["Skip: 18", "Top: 9"]);
    assert!(shown(json!({"type": "next_url", "next": "/n"}), PagePlace::Link("http://a/".into())).is_empty());
}

#[test]
fn options_that_do_not_go_together_are_refused() {
    let in_body = |param: &str| json!({"type": "page", "param": param, "in": "body"});
    for (table, codec, body, part) in [
        (
            json!({"type": "offset", "param": "skip", "limit_param": "top"}),
            Codec::Json,
            None,
            "`pagination.limit_param`",
        ),
        (
            json!({"type": "offset", "param": "skip", "start": 2}),
            Codec::Json,
            None,
            "`pagination.start`: must be 0 or 1",
        ),
        (in_body("/page"), Codec::Json, None, "`pagination.param`"),
        (in_body("/page"), Codec::Json, Some("page=1"), "not valid JSON"),
        (in_body("page"), Codec::Json, Some("{}"), "\"/page\""),
        (json!({"type": "page", "param": "p", "total": "/t"}), Codec::Csv, None, "codec = \"json\""),
        (json!({"type": "link", "max_pages": 0}), Codec::Csv, None, "max_pages"),
        (json!({"type": "cursor", "cursor": "/next", "param": "c"}), Codec::Csv, None, "codec = \"json\""),
        (
            json!({"type": "cursor", "cursor": {"header": "Next"}, "param": "a b", "in": "header"}),
            Codec::Csv,
            None,
            "`pagination.param`",
        ),
        (
            json!({"type": "offset", "param": "Skip", "limit_param": "a b", "limit": 9, "in": "header"}),
            Codec::Csv,
            None,
            "`pagination.limit_param`",
        ),
    ] {
        let error = read(table).unwrap().check(codec, body).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
    assert!(read(in_body("/page")).unwrap().check(Codec::Json, Some("{}")).is_ok());
}
