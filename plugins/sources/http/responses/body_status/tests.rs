//! Which responses are errors.

use super::*;

#[test]
fn errors_limits_and_no_data_are_not_records() {
    let (limit, error, empty) =
        (Some(BodyStatus::RateLimit), Some(BodyStatus::Error), Some(BodyStatus::Empty));
    for (body, message) in [
        (r#"{"Note": "our standard API call frequency is 5 calls per minute"}"#, limit),
        (r#"{"code": 429, "message": "You have run out of API credits.", "status": "error"}"#, limit),
        (r#"{"Information": "The limit is 25 requests per day."}"#, limit),
        (r#"{"retCode": 10006, "retMsg": "Too many requests", "result": {}, "time": 1}"#, limit),
        (r#"{"Error Message": "Invalid API call."}"#, error),
        (r#"{"error": {"code": 400, "reason": "x"}}"#, error),
        (r#"{"status": "error", "message": "no such symbol"}"#, error),
        (r#"{"success": false, "errors": []}"#, error),
        (r#"{"success": false}"#, error),
        (r#"{"statusCode": 500, "message": "oops"}"#, error),
        (r#"{"errors": [{"message": "unknown field", "locations": [{"line": 1}]}], "data": null}"#, error),
        (r#"{"errors": [{"message": "x"}], "data": {"prices": null}, "extensions": {"a": 1}}"#, error),
        (r#"{"code": -1121, "msg": "Invalid symbol."}"#, error),
        (r#"{"code": "51001", "msg": "Instrument ID does not exist", "data": []}"#, error),
        (r#"{"code": "INVALID_SYMBOL", "message": "x"}"#, error),
        (
            r#"{"retCode": 10001, "retMsg": "symbol invalid", "result": {}, "retExtInfo": {}, "time": 1672}"#,
            error,
        ),
        (r#"{"detail": "Not authenticated"}"#, error),
        (r#"{"detail": [{"loc": ["query", "q"], "msg": "field required"}]}"#, error),
        (r#"{"type": "about:blank", "title": "Not Found", "status": 404, "instance": "/x"}"#, error),
        (r#"{"error": ["EQuery:Unknown asset pair"]}"#, error),
        (r#"{"Response": "False", "Error": "Movie not found!"}"#, error),
        (r#"{"result": "error", "error-type": "invalid-key", "terms-of-use": "http://a"}"#, error),
        (r#"{"cod": "401", "message": "Invalid key"}"#, error),
        (r#"{"s": "error", "errmsg": "x"}"#, error),
        (r#"{"s": "no_data"}"#, empty),
        (r#"{"s": "no_data", "nextTime": 1522108800}"#, empty),
        (r#"{"message": "hello", "timestamp": 5}"#, None),
        (r#"{"status": "ok", "code": 0}"#, None),
        (r#"{"error": null, "status": "ok"}"#, None),
        (r#"{"error": [], "result": {}}"#, None),
        (r#"{"errcode": 0, "errmsg": "ok", "data": []}"#, None),
        (r#"{"retCode": 0, "retMsg": "OK", "result": {}}"#, None),
        (r#"{"code": "200000", "msg": "", "data": null}"#, None),
        (r#"{"code": 10001, "message": "Request was a success"}"#, None),
        (r#"{"code": "0", "msg": "", "data": []}"#, None),
        (r#"{"error": "x", "price": 1}"#, None),
        (r#"{"error": "x", "data": [{"a": 1}]}"#, None),
        (r#"{"code": -1, "msg": "x", "result": [1]}"#, None),
        (r#"{"code": "NYA", "type": "index"}"#, None),
        (r#"{"code": "NYA", "description": "NYSE Composite"}"#, None),
        (r#"{"code": 1003, "type": "index"}"#, None),
        (r#"{"detail": "x", "title": "y"}"#, None),
        (r#"{"s": "ok", "status": "pending"}"#, None),
        ("{}", None),
        ("[]", None),
    ] {
        assert_eq!(of_json(body.as_bytes()), message, "{body}");
    }
}

#[test]
fn error_among_other_members_or_one_level_deeper_is_recognized() {
    for body in [
        r#"{"status": {"timestamp": "2024-01-31T00:00:00Z", "error_code": 1001, "error_message": "This key is not valid.", "elapsed": 3, "credit_count": 0}, "data": {}}"#,
        r#"{"status": {"error_code": 400, "error_message": "no such symbol", "elapsed": 3}}"#,
        r#"{"chart": {"result": null, "error": {"code": "Not Found", "description": "delisted?"}}}"#,
        r#"{"finance": {"result": [], "error": {"code": "Unauthorized", "description": "x"}}}"#,
        r#"{"response": {"header": {"resultCode": "30", "resultMsg": "key not registered"}}}"#,
        r#"{"quandl_error": {"code": "QECx02", "message": "a bad code"}}"#,
        r#"{"errorResponse": {"message": "no access"}}"#,
        r#"{"request": {"type": "City", "query": "x"}, "error": {"code": 601, "info": "no query"}}"#,
        r#"{"error": {"code": "validation", "message": "x", "context": {"symbols": [{"key": "a"}]}}}"#,
        r#"{"symbol": "NYA", "error": {"message": "no such symbol"}}"#,
        r#"{"jsonrpc": "2.0", "id": 7, "error": {"code": -32601, "message": "Method not found"}, "usIn": 1, "usOut": 2}"#,
        r#"{"label": "INVALID_SYMBOL", "message": "x"}"#,
        r#"{"name": "NotFoundError", "message": "x", "code": 5}"#,
        r#"{"data": null, "message": null, "status": {"rCode": 400, "bCodeMessage": [{"code": 1001, "errorMessage": "x"}]}}"#,
        r#"{"meta": {"code": 403, "errorType": "invalid_auth", "errorDetail": "x"}, "response": {}}"#,
        r#"{"meta": {"status": 500, "msg": "x", "response_id": "a"}, "data": []}"#,
        r#"{"Error": {"Code": "AccessDenied", "Message": "x", "HostId": "h"}}"#,
        r#"{"get": "prices", "parameters": [], "errors": {"token": "it is missing"}, "results": 0, "paging": {"current": 1, "total": 1}, "response": []}"#,
        r#"{"errors": {"symbol": ["is not valid"]}, "trace": "a"}"#,
        r#"{"status": "NOT_AUTHORIZED", "request_id": "a", "message": "not in this plan"}"#,
        r#"{"errors": [{"status": "404", "title": "x", "detail": "y"}], "jsonapi": {"version": "1.1"}}"#,
    ] {
        assert_eq!(of_json(body.as_bytes()), Some(BodyStatus::Error), "{body}");
        assert!(has_error(body.as_bytes()), "{body}");
    }
    for body in [
        r#"{"status": {"error_code": 1008, "error_message": "You've exceeded your minute rate limit."}}"#,
        r#"{"quandl_error": {"code": "QELx01", "message": "You have exceeded the anonymous user limit"}}"#,
    ] {
        assert_eq!(of_json(body.as_bytes()), Some(BodyStatus::RateLimit), "{body}");
    }
}

#[test]
fn record_beside_what_describes_the_response_is_not_an_error() {
    for body in [
        r#"{"status": {"error_code": 0, "error_message": null, "elapsed": 3}, "data": {"BTC": {"price": 1.5}}}"#,
        r#"{"status": {"error_code": 0, "error_message": null, "elapsed": 3}, "data": {}}"#,
        r#"{"status": {"error_code": 0, "error_message": ""}, "data": []}"#,
        r#"{"chart": {"result": [{"timestamp": [1]}], "error": null}}"#,
        r#"{"chart": {"result": [{"timestamp": [1]}], "error": {"code": "partial", "description": "x"}}}"#,
        r#"{"quote": {"code": 404, "type": "index"}}"#,
        r#"{"error": {"code": 0, "message": "ok"}, "symbol": "NYA"}"#,
        r#"{"error": {"code": 200, "message": "done"}, "symbol": "NYA"}"#,
        r#"{"error": {"message": "stale"}, "symbol": "NYA", "price": 1.5}"#,
        r#"{"error": {"message": "stale"}, "symbol": "NYA", "price": "1.5"}"#,
        r#"{"error": {"message": "x"}, "quotes": [{"symbol": "NYA"}]}"#,
        r#"{"error": {"message": "x"}, "data": {"symbol": "NYA"}}"#,
        r#"{"error": {"message": "x"}, "data": {"bid": null, "symbol": "NYA"}}"#,
        r#"{"standard_error": 0.25}"#,
        r#"{"errors": {"read": 1, "write": 2}, "host": "a"}"#,
        r#"{"status": "unknown", "message": "no heartbeat"}"#,
        r#"{"standard_error": 0.25, "mean": 4}"#,
        r#"{"tracking_error": {"value": 0.25, "file_part": "1y"}}"#,
        r#"{"job": "a", "error": null, "errors": []}"#,
        r#"{"meta": {"code": 200}, "response": {"venues": []}}"#,
        r#"{"meta": {"status": 200, "msg": "OK"}, "data": []}"#,
        r#"{"response": {"header": {"resultCode": "00", "resultMsg": "NORMAL SERVICE."}, "body": {"items": []}}}"#,
        r#"{"name": "NYSE Composite", "code": 1003, "message": "x"}"#,
        r#"{"label": "open", "message": "x"}"#,
        r#"{"data": {"symbol": "NYA", "close": 1}}"#,
        r#"{"data": {"message": "hello"}}"#,
    ] {
        assert_eq!(of_json(body.as_bytes()), None, "{body}");
    }
}

#[test]
fn single_line_about_a_limit_is_not_a_table() {
    let limit = b"Exceeded the daily hits limit\n";
    assert_eq!(
        (of_text(limit, true), of_text(limit, false)),
        (Some(BodyStatus::RateLimit), Some(BodyStatus::RateLimit))
    );
    assert_eq!(of_text(b"No data", true), None);
    assert!(names_an_error(b"Error: no such symbol, please check\n"));
    for header in [&b"Date,Error"[..], b"error code,time\n1,2\n", b"Day of week,Close"] {
        assert!(!names_an_error(header), "{}", String::from_utf8_lossy(header));
    }
    assert_eq!(of_text(b"quota\n1\n", true), None);
}

#[test]
fn header_or_row_with_the_words_of_a_limit_is_a_table() {
    for line in [
        "time,speed,throttle",
        "2024-01-01,carbon credits,12.5",
        "a;my quota",
        "a\tmy quota",
        "a|my quota",
        "quota",
    ] {
        assert_eq!(of_text(line.as_bytes(), true), None, "{line}");
    }
    assert_eq!(of_text(b"Quota used up, slow down", false), Some(BodyStatus::RateLimit));
}

#[test]
fn record_with_the_words_of_an_error_or_a_limit_is_not_a_note() {
    for body in [
        // A name that ends as that of an error.
        r#"{"items": [], "default": {"name": "standard", "description": "x"}}"#,
        r#"{"default": {"name": "EUR", "type": "currency"}, "locale": "de"}"#,
        r#"{"name": "svc", "is_default": {"name": "x", "description": "y"}}"#,
        r#"{"user": {"name": "Bob", "mail": "b@x"}, "default": {"name": "home"}}"#,
        // Texts and dates are data.
        r#"{"job": "etl", "started": "2024-01-01T00:00:00Z", "state": "failed", "last_error": {"message": "late"}}"#,
        r#"{"device": "pump-1", "status": {"error": "E1 overheating", "state": "stopped"}}"#,
        r#"{"id": "pump-1", "type": "pump", "status": {"error": "E1 overheating"}}"#,
        r#"{"id": 7, "state": "failed", "error": {"message": "late"}}"#,
        r#"{"type": "holiday", "title": "Closing", "exception": {"description": "early close 13:00"}}"#,
        r#"{"job": "etl", "error": {"message": "late"}}"#,
        // Parts of words, and texts that say that there is nothing.
        r#"{"name": "failover-1", "message": "standby ready", "status": "ok"}"#,
        r#"{"name": "failover-1", "message": "standby ready"}"#,
        r#"{"name": "Failed logins", "message": "x"}"#,
        r#"{"data": [], "status": "No failures found", "message": "0 rows"}"#,
        r#"{"data": [], "result": "no exceptions", "message": "done"}"#,
        // Successes.
        r#"{"results": [], "meta": {"status": "ok", "returncode": "OK", "message": "no rows"}}"#,
        r#"{"items": [], "meta": {"message": "No trades", "result_code": 1}}"#,
        r#"{"code": 1000, "message": "Request processed", "data": []}"#,
        r#"{"code": 51001, "message": "x", "status": "ok", "data": []}"#,
        // Words of a limit.
        r#"{"title": "Basic", "description": "60 requests per minute", "type": "plan"}"#,
        r#"{"timestamp": 1, "type": "access", "message": "GET /v1/quota 200"}"#,
    ] {
        assert_eq!(of_json(body.as_bytes()), None, "{body}");
        assert!(!has_error(body.as_bytes()), "{body}");
    }
}

#[test]
fn error_or_limit_beside_members_of_records_is_recognized() {
    for (body, message) in [
        (
            r#"{"type": "about:blank", "title": "Too Many Requests", "detail": "rate limit", "status": 429}"#,
            BodyStatus::RateLimit,
        ),
        (r#"{"timestamp": 1, "message": "API rate limit exceeded"}"#, BodyStatus::RateLimit),
        (r#"{"id": 1, "result": null, "error": {"message": "x"}}"#, BodyStatus::Error),
        (r#"{"fault": {"faultstring": "x"}}"#, BodyStatus::Error),
        (r#"{"exception": "java.io.IOException", "message": "x"}"#, BodyStatus::Error),
        (r#"{"data": [], "error": "No data found"}"#, BodyStatus::Error),
        (r#"{"code": 51001, "message": "Request not processed", "data": []}"#, BodyStatus::Error),
    ] {
        assert_eq!(of_json(body.as_bytes()), Some(message), "{body}");
    }
}
