//! OAuth 2.0 client credentials and signed requests.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use wiremock::matchers::{body_string, header, path};

use super::*;

fn oauth2(server: &MockServer, more: Value) -> Value {
    let mut auth = json!({
        "strategy": "oauth2", "token_url": format!("{}/token", server.uri()),
        "client_id": "me", "client_secret": "hush hush/7", "scope": "a b",
    });
    auth.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"auth": auth})
}

/// Gives the tokens `t1`, `t2` … and accepts only the newest `n_valid` of them.
async fn token_server(
    lifetime: Value,
    is_valid: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> MockServer {
    let (n_tokens, n_asked) = (AtomicUsize::new(0), AtomicUsize::new(0));
    respond(move |request: &Request| {
        if request.url.path() == "/token" {
            assert_eq!(request.method.as_str(), "POST");
            let token = format!("t{}", n_tokens.fetch_add(1, Ordering::Relaxed) + 1);
            return json_response(
                json!({"access_token": token, "token_type": "bearer", "expires_in": lifetime}),
            );
        }
        let n_asked = n_asked.fetch_add(1, Ordering::Relaxed) + 1;
        let sent = request.headers.get("authorization").and_then(|it| it.to_str().ok()).unwrap_or_default();
        if sent != format!("Bearer t{}", n_tokens.load(Ordering::Relaxed)) || !is_valid(n_asked) {
            return ResponseTemplate::new(401).set_body_string(format!("{sent} is bad"));
        }
        json_response(json!([n_asked]))
    })
    .await
}

async fn n_tokens(server: &MockServer) -> usize {
    let requests = requests_to(server).await;
    requests.iter().filter(|request| request.url.path() == "/token").count()
}

#[tokio::test]
async fn token_is_requested_once_and_sent_with_every_request() {
    let server = token_server(json!(3600), |_| true).await;
    let mut options = oauth2(&server, json!({}));
    options["interval"] = json!("1ms");
    let run = run(&server, options, None, 3).await;
    assert_eq!(run.bodies, numbers(1..4), "{run:?}");
    assert_eq!(n_tokens(&server).await, 1);
    let request = &requests_to(&server).await[0];
    let body = String::from_utf8(request.body.clone()).unwrap();
    assert_eq!(body, "grant_type=client_credentials&scope=a+b&client_id=me&client_secret=hush+hush%2F7");
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
}

#[tokio::test]
async fn client_credentials_are_sent_in_a_header_if_asked_for() {
    let server = MockServer::builder().start().await;
    let pair = BASE64_STANDARD.encode("me:hush+hush%2F7");
    Mock::given(path("/token"))
        .and(header("authorization", format!("Basic {pair}")))
        .and(body_string("grant_type=client_credentials&scope=a+b&audience=api"))
        .respond_with(json_response(json!({"access_token": "t1"})))
        .mount(&server)
        .await;
    Mock::given(path("/prices"))
        .and(header("authorization", "Bearer t1"))
        .respond_with(json_response(json!([1])))
        .mount(&server)
        .await;
    let run = run_once(&server, oauth2(&server, json!({"client_auth": "basic", "audience": "api"}))).await;
    assert!(run.error.is_none() && run.bodies == ["1"], "{run:?}");
}

#[tokio::test]
async fn token_is_renewed_before_it_expires_and_once_on_401() {
    // A token that lives for no time is requested anew each time.
    let server = token_server(json!("0"), |_| true).await;
    let mut options = oauth2(&server, json!({}));
    options["interval"] = json!("1ms");
    assert_eq!(run(&server, options.clone(), None, 3).await.bodies, numbers(1..4));
    assert_eq!(n_tokens(&server).await, 3);
    // The API rejects the second request, and accepts the new token.
    let server = token_server(json!(3600), |n_asked| n_asked != 2).await;
    options = oauth2(&server, json!({}));
    options["interval"] = json!("1ms");
    assert_eq!(run(&server, options, None, 2).await.bodies, ["1", "3"]);
    assert_eq!(n_tokens(&server).await, 2);
    // The API rejects every token.
    let server = token_server(json!(3600), |_| false).await;
    let failure = run_once(&server, oauth2(&server, json!({}))).await.failure();
    assert_contains(&failure, &["fatal: ", "`auth.scope`", "Response body: `Bearer *** is bad`"]);
    assert_eq!(n_tokens(&server).await, 2);
}

#[tokio::test]
async fn refresh_token_is_sent_and_replaced_until_the_run_ends() {
    let server = MockServer::builder().start().await;
    // Every token is valid for one request, and every refresh token for one token.
    let n_given = Mutex::new(0);
    Mock::given(path("/token"))
        .respond_with(move |request: &Request| {
            let mut n_given = n_given.lock().unwrap();
            let sent = format!("grant_type=refresh_token&refresh_token=hush%2F{n_given}&scope=a+b&");
            let body = String::from_utf8_lossy(&request.body).into_owned();
            if !body.starts_with(&sent) {
                return ResponseTemplate::new(400).set_body_string(body);
            }
            *n_given += 1;
            let token = format!("t{n_given}");
            json_response(
                json!({"access_token": token, "expires_in": 0, "refresh_token": format!("hush/{n_given}")}),
            )
        })
        .mount(&server)
        .await;
    Mock::given(path("/prices"))
        .respond_with(|request: &Request| {
            json_response(json!([request.headers["authorization"].to_str().unwrap()]))
        })
        .mount(&server)
        .await;
    let mut options = oauth2(&server, json!({"refresh_token": "hush/0"}));
    options["interval"] = json!("1ms");
    let first = run(&server, options.clone(), None, 2).await;
    assert_eq!(first.bodies, [r#""Bearer t1""#, r#""Bearer t2""#]);
    let failure = run(&server, options, None, 1).await.failure();
    assert_contains(&failure, &["fatal: ", "`auth.refresh_token` (which may have expired)"]);
    assert!(failure.contains("grant_type=refresh_token") && !failure.contains("hush"), "{failure}");
}

#[tokio::test]
async fn refused_client_is_fatal_and_its_secret_is_not_shown() {
    let server = MockServer::builder().start().await;
    let echo = |request: &Request| {
        ResponseTemplate::new(400)
            .set_body_string(format!("invalid_client {}", String::from_utf8_lossy(&request.body)))
    };
    Mock::given(path("/token")).respond_with(echo).mount(&server).await;
    let failure = run_once(&server, oauth2(&server, json!({}))).await.failure();
    assert_contains(&failure, &["fatal: ", "`auth.client_secret`"]);
    assert!(failure.contains("invalid_client") && !failure.contains("hush"), "{failure}");
    let busy = serve([ResponseTemplate::new(503).insert_header("Retry-After", "3")]).await;
    let mut source = open(&busy, oauth2(&busy, json!({}))).await;
    let failure = source.next().await.unwrap_err();
    assert_eq!((failure.class(), failure.retry_after()), (Class::Transient, Some(Duration::from_secs(3))));
    let page = serve([ResponseTemplate::new(200).set_body_string("<html>")]).await;
    let failure = run_once(&page, oauth2(&page, json!({}))).await.failure();
    assert_contains(&failure, &["contains no `access_token`"]);
    let error =
        serve([json_response(json!({"error": "invalid_client", "error_description": "no such client"}))])
            .await;
    let failure = run_once(&error, oauth2(&error, json!({}))).await.failure();
    assert_contains(&failure, &["contains no `access_token`", "no such client"]);
    let other = serve([json_response(json!({"accessToken": "t0ken"}))]).await;
    let failure = run_once(&other, oauth2(&other, json!({}))).await.failure();
    assert!(!failure.contains("t0ken"), "{failure}");
}

#[tokio::test]
async fn request_is_signed_anew_for_every_page_and_redirect() {
    use hmac::{KeyInit as _, Mac as _};

    let server = respond(|request: &Request| {
        if request.url.path() == "/moved" {
            return json_response(json!(["moved"]));
        }
        let get = |name: &str| request.headers[name].to_str().unwrap().to_owned();
        let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let message = format!(
            "{}{}{}{query}{}",
            get("x-time"),
            request.method,
            request.url.path(),
            String::from_utf8_lossy(&request.body)
        );
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"hush").unwrap();
        mac.update(message.as_bytes());
        assert_eq!(get("x-sign"), BASE64_STANDARD.encode(mac.finalize().into_bytes()), "{message}");
        assert_eq!(get("x-key"), "key-1");
        match request.url.query() {
            Some("page=1") => ResponseTemplate::new(307).insert_header("Location", "/moved?page=1"),
            Some("page=3") => json_response(json!([])),
            _ => json_response(json!([query])),
        }
    })
    .await;
    let options = json!({
        "method": "POST", "body": "{\"q\": 1}",
        "pagination": {"type": "page", "param": "page"},
        "auth": {
            "strategy": "hmac", "secret": "aHVzaA==", "secret_encoding": "base64", "encoding": "base64",
            "message": "{{ timestamp }}{{ method }}{{ path_and_query }}{{ body }}",
            "headers": {"X-Key": "key-1", "X-Time": "{{ timestamp }}", "X-Sign": "{{ signature }}"},
        },
    });
    let run = run_once(&server, options).await;
    assert!(run.error.is_none() && run.bodies.len() == 2, "{run:?}");
    let requests = requests_to(&server).await;
    let signs: std::collections::HashSet<_> =
        requests.iter().map(|request| request.headers["x-sign"].clone()).collect();
    assert_eq!(signs.len(), requests.len());
}
