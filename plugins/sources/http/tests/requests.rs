//! What is sent, and to which host.

use wiremock::Match;
use wiremock::matchers::{header, path};

use super::*;

#[tokio::test]
async fn credentials_are_sent_only_to_the_host_of_the_endpoint() {
    struct Bare;
    impl Match for Bare {
        fn matches(&self, request: &Request) -> bool {
            ["authorization", "x-team"].iter().all(|name| !request.headers.contains_key(*name))
        }
    }
    let other = serve([]).await;
    other.reset().await;
    Mock::given(Bare).respond_with(json_response(json!([1]))).mount(&other).await;
    let options = json!({
        "auth": {"strategy": "basic", "user": "ada", "password": "x"},
        "headers": {"X-Team": "blue"},
        "redirects": "any",
    });
    let away = ResponseTemplate::new(302).insert_header("Location", format!("{}/there", other.uri()));
    assert_eq!(run_once(&serve([away]).await, options.clone()).await.bodies, ["1"]);

    let home = MockServer::builder().start().await;
    let moved = ResponseTemplate::new(308).insert_header("Location", "/there");
    Mock::given(path("/prices")).respond_with(moved).mount(&home).await;
    Mock::given(header("authorization", "Basic YWRhOng="))
        .and(header("x-team", "blue"))
        .and(path("/there"))
        .respond_with(json_response(json!([2])))
        .mount(&home)
        .await;
    assert_eq!(run_once(&home, options).await.bodies, ["2"]);

    let circle = ResponseTemplate::new(302).insert_header("Location", "/prices");
    assert!(failure_of(circle, json!({})).await.contains("redirected more than 10 times"));
}

#[tokio::test]
async fn request_matches_the_options() {
    let server = serve([json_response(json!([1]))]).await;
    let options = json!({
        "method": "POST", "body": "{\"q\": 1}", "query": {"symbol": "A B", "limit": 100, "raw": true},
        "headers": {"Accept": "application/vnd.prices+json"},
    });
    let mut source = build(&server, options.clone()).unwrap();
    let identity = source.identity();
    let shown = format!("POST {}/prices?limit=***&raw=***&symbol=***#", server.uri());
    assert!(identity.starts_with(&shown), "{identity}");
    source.open(&Start::default()).await.unwrap();
    assert!(requests_to(&server).await.is_empty());
    let batch = next_batch(&mut *source).await;
    assert_eq!(batch.records()[0].origin.source.as_str(), format!("{}/prices", server.uri()));
    let request = &requests_to(&server).await[0];
    assert_eq!((request.method.as_str(), request.body.as_slice()), ("POST", br#"{"q": 1}"#.as_slice()));
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.headers["accept"], "application/vnd.prices+json");
    assert!(request.headers["accept-encoding"].to_str().unwrap().contains("gzip"));
}

#[tokio::test]
async fn identity_depends_on_all_values_and_shows_none() {
    let server = MockServer::builder().start().await;
    let identity = |options: Value| build(&server, options).unwrap().identity();
    let request = |symbol: &str, body: &str| json!({"query": {"symbol": symbol}, "body": body});
    let own = identity(request("hush", "pssst"));
    assert!(!own.contains("hush") && !own.contains("pssst"), "{own}");
    assert_eq!(own, identity(request("hush", "pssst")));
    assert_ne!(own, identity(request("hush", "other")));
    assert_ne!(own, identity(request("other", "pssst")));
    assert_eq!(identity(json!({})), format!("GET {}/prices", server.uri()));
}

#[tokio::test]
async fn source_resumes_from_the_identity_of_an_earlier_release() {
    let server = MockServer::builder().start().await;
    let source = build(&server, json!({"query": {"symbol": "A B", "token": "hush"}})).unwrap();
    let former = |query: &str| format!("GET {}/prices?{query}", server.uri());
    assert!(source.can_resume_from(&former("symbol=A+B&token=***")));
    for other in ["symbol=A+C&token=***", "symbol=A+B", "token=***&symbol=A+B", "symbol=A+B&token=x"] {
        assert!(!source.can_resume_from(&former(other)), "{other}");
    }
    assert!(!source.can_resume_from(&former("symbol=A+B&token=***").replace("GET", "POST")));
}

#[tokio::test]
async fn options_that_do_not_go_together_are_refused() {
    let server = MockServer::builder().start().await;
    let error = |options: Value| build(&server, options).err().expect("an error").to_string();
    let cursor = json!({"type": "cursor", "cursor": "/next", "param": "after"});
    let auth = json!({"strategy": "bearer", "token": "x"});
    for (options, option) in [
        (json!({"codec": "csv", "records": "/data"}), "records"),
        (json!({"csv": {"delimiter": ";"}}), "csv"),
        (json!({"codec": "csv", "csv": {"decimal": ",", "thousands": ","}}), "csv.thousands"),
        (json!({"codec": "ndjson", "pagination": cursor}), "pagination"),
        (json!({"interval": "0s"}), "interval"),
        (json!({"endpoint": "ftp://a/"}), "endpoint"),
        (json!({"auth": auth, "headers": {"authorization": "y"}}), "headers.authorization"),
    ] {
        assert!(error(options.clone()).starts_with(&format!("`{option}`: ")), "{}", error(options));
    }
    let message = error(json!({"endpoint": "http://ada:hidden@a/"}));
    assert!(message.contains("strategy = \"basic\"") && !message.contains("hidden"), "{message}");
}

#[tokio::test]
async fn place_of_a_record_joins_the_endpoint_without_an_empty_part() {
    let server = serve([json_response(json!([{"a": 1}]))]).await;
    for (path, place) in [("", "/0/0"), ("/", "/0/0"), ("/v1/", "/v1/0/0"), ("/v1", "/v1/0/0")] {
        let mut source = open(&server, json!({"endpoint": format!("{}{path}", server.uri())})).await;
        let batch = next_batch(&mut *source).await;
        assert_eq!(batch.records()[0].origin.to_string(), format!("{}{place}", server.uri()));
    }
}
