//! Where redirects may lead, and what goes with them.

use wiremock::matchers::path;

use super::*;

fn redirect(status: u16, to: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).insert_header("Location", to)
}

/// A request with secrets in its header and its body.
fn secret_request(method: &str, redirects: &str) -> Value {
    json!({
        "method": method, "body": "{\"client_secret\": \"HUSH\"}", "headers": {"X-Key": "HUSH"},
        "redirects": redirects,
    })
}

#[tokio::test]
async fn redirect_to_another_host_is_refused_by_default() {
    let other = serve([json_response(json!([1]))]).await;
    for status in [301, 302, 303, 307, 308] {
        let server = serve([redirect(status, &format!("{}/there", other.uri()))]).await;
        let failure = run_once(&server, json!({})).await.failure();
        assert_contains(&failure, &["fatal: ", "/there: which is another host", "`redirects = \"any\"`"]);
    }
    assert!(requests_to(&other).await.is_empty());
}

#[tokio::test]
async fn body_and_headers_never_reach_another_host() {
    for method in ["GET", "POST"] {
        for status in [301, 302, 303, 307, 308] {
            let other = serve([json_response(json!([1]))]).await;
            let server = serve([redirect(status, &format!("{}/there", other.uri()))]).await;
            let run = run_once(&server, secret_request(method, "any")).await;
            for request in requests_to(&other).await {
                let text = format!("{:?} {}", request.headers, String::from_utf8_lossy(&request.body));
                assert!(!text.contains("HUSH"), "{method} {status} {text}");
            }
            // A request that must keep its body is not sent without it.
            if run.error.is_some() {
                assert!(
                    run.failure().contains("a body is sent only to the host of `endpoint`"),
                    "{}",
                    run.failure()
                );
            } else {
                assert_eq!((method, run.bodies.len()), ("POST", 1));
            }
        }
    }
}

#[tokio::test]
async fn local_services_are_not_reached_from_elsewhere() {
    for (target, part) in [
        ("http://169.254.169.254/latest/meta-data/", "loopback or link-local"),
        ("file:///etc/passwd", "only http:// and https://"),
    ] {
        let failure = failure_of(redirect(302, target), json!({"redirects": "any"})).await;
        assert_contains(&failure, &[part]);
    }
}

#[tokio::test]
async fn redirect_on_the_same_host_keeps_method_and_body_as_its_status_says() {
    for (status, kept) in [(307, "POST"), (308, "POST"), (301, "GET"), (302, "GET"), (303, "GET")] {
        let server = MockServer::builder().start().await;
        Mock::given(path("/prices")).respond_with(redirect(status, "v2")).mount(&server).await;
        Mock::given(path("/v2")).respond_with(json_response(json!([1]))).mount(&server).await;
        let run = run_once(&server, secret_request("POST", "same_host")).await;
        assert_eq!(run.bodies, ["1"], "{run:?}");
        let last = requests_to(&server).await.pop().unwrap();
        assert_eq!(last.method.as_str(), kept, "{status}");
        assert_eq!(last.body.is_empty(), kept == "GET", "{status}");
        assert_eq!(last.headers["x-key"], "HUSH");
        let failure = run_once(&server, json!({"redirects": "none"})).await.failure();
        assert_contains(&failure, &["/v2; set `endpoint` to that address"]);
    }
}

#[tokio::test]
async fn addresses_with_letters_that_are_not_escaped_are_followed() {
    let server = respond(|request: &Request| {
        let address = |to: &str| reqwest::header::HeaderValue::from_bytes(to.as_bytes()).unwrap();
        match (request.url.path(), request.url.query()) {
            ("/prices", None) => ResponseTemplate::new(302).insert_header("Location", address("/städte")),
            ("/st%C3%A4dte", None) => {
                let link = address("</prices?ort=köln>; rel=\"next\"");
                json_response(json!([1])).insert_header("Link", link)
            }
            (_, Some("ort=k%C3%B6ln")) => json_response(json!([2])),
            _ => ResponseTemplate::new(404),
        }
    })
    .await;
    let run = run_once(&server, json!({"pagination": {"type": "link"}})).await;
    assert!(run.error.is_none() && run.bodies == ["1", "2"], "{run:?}");
}

#[tokio::test]
async fn redirects_that_wait_for_a_cookie_name_the_option() {
    let server = serve([redirect(302, "/prices").insert_header("Set-Cookie", "sid=42; Path=/")]).await;
    let failure = run_once(&server, json!({})).await.failure();
    assert_contains(&failure, &["redirected more than", "set `cookies = true`"]);
}

#[tokio::test]
async fn cookies_are_kept_if_asked_for_and_named_if_missing() {
    let server = respond(|request: &Request| {
        let cookie = request.headers.get("cookie").and_then(|it| it.to_str().ok()).unwrap_or_default();
        match request.url.path() {
            "/prices" => redirect(302, "/data").insert_header("Set-Cookie", "sid=42; Path=/; HttpOnly"),
            _ if cookie == "sid=42" => json_response(json!([1])),
            _ => ResponseTemplate::new(403),
        }
    })
    .await;
    let run = run_once(&server, json!({"cookies": true})).await;
    assert!(run.error.is_none() && run.bodies == ["1"], "{run:?}");
    let failure = run_once(&server, json!({})).await.failure();
    assert_contains(&failure, &["set `cookies = true`"]);
}
