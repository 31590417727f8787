//! Requests to Athena and its responses, with a mock server.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use wiremock::matchers::{any, header};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;

fn client(server: &MockServer) -> Client {
    Client::new(Access::to_test_server("Athena", server.uri()))
}

fn query() -> Query {
    Query { sql: "SELECT 1".into(), ..Query::default() }
}

/// Answers with an error of this code, `n_errors` times, and then as usual.
async fn failing(code: &'static str, n_errors: usize) -> MockServer {
    let server = MockServer::builder().start().await;
    let n_requests = AtomicUsize::new(0);
    let answer = move |_: &Request| {
        if n_requests.fetch_add(1, Ordering::Relaxed) < n_errors {
            let error = json!({ "__type": code, "Message": "Rate exceeded" });
            return ResponseTemplate::new(400).set_body_json(error);
        }
        ResponseTemplate::new(200).set_body_json(json!({
            "QueryExecutionId": "1",
            "QueryExecution": { "QueryExecutionId": "1", "Status": { "State": "SUCCEEDED" } },
        }))
    };
    Mock::given(any()).respond_with(answer).mount(&server).await;
    server
}

#[tokio::test]
async fn throttled_requests_are_repeated_with_the_same_token() {
    for code in ["TooManyRequestsException", "ThrottlingException", "RequestLimitExceeded"] {
        let server = failing(code, 2).await;
        assert_eq!(client(&server).start(&query()).await.unwrap(), "1", "{code}");
        let requests = server.received_requests().await.unwrap();
        let tokens: Vec<Value> = requests
            .iter()
            .map(|it| it.body_json::<Value>().unwrap()["ClientRequestToken"].clone())
            .collect();
        assert_eq!(tokens.len(), 3);
        assert!(
            tokens.iter().all(|token| *token == tokens[0] && token.as_str().unwrap().len() >= 32),
            "{tokens:?}"
        );
    }
    let server = failing("TooManyRequestsException", 2).await;
    client(&server).wait("1", |_| {}).await.unwrap();
}

#[tokio::test]
async fn invalid_request_is_not_repeated() {
    let server = failing("InvalidRequestException", 9).await;
    let error = format!("{:#}", client(&server).start(&query()).await.unwrap_err());
    assert!(error.contains("starting the query") && error.contains("InvalidRequestException"), "{error}");
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn service_that_cannot_be_reached_is_not_waited_for_at_the_start() {
    let server = Client::new(Access::to_test_server("Athena", "http://127.0.0.1:9".into()));
    let error = server.start(&query()).await.unwrap_err();
    assert_eq!(runner_core::class_of(&error), runner_core::Class::Unreachable, "{error:#}");
}

#[tokio::test]
async fn two_starts_have_different_tokens() {
    let server = MockServer::builder().start().await;
    let started = ResponseTemplate::new(200).set_body_json(json!({ "QueryExecutionId": "1" }));
    let start = header("x-amz-target", "AmazonAthena.StartQueryExecution");
    Mock::given(start).respond_with(started).mount(&server).await;
    let client = client(&server);
    client.start(&query()).await.unwrap();
    client.start(&query()).await.unwrap();
    let requests = server.received_requests().await.unwrap();
    let token = |index: usize| requests[index].body_json::<Value>().unwrap()["ClientRequestToken"].clone();
    assert_ne!(token(0), token(1));
}
