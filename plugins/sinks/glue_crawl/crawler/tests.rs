//! Requests to Glue and its responses, with a mock server.

use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::tests::spec;
use super::*;

/// A server with one response for each operation: a status and JSON.
async fn glue(responses: &[(&str, u16, Value)]) -> MockServer {
    let server = MockServer::builder().start().await;
    for (operation, status, body) in responses {
        Mock::given(header("x-amz-target", &*format!("AWSGlue.{operation}")))
            .respond_with(ResponseTemplate::new(*status).set_body_json(body))
            .mount(&server)
            .await;
    }
    server
}

async fn open(server: &MockServer, update: bool) -> Result<Crawler> {
    let spec = Arc::new(spec(&json!({ "update": update })));
    Crawler::open(Access::to_test_server("Glue", server.uri()), spec).await
}

fn crawler(path: &str, last: &Value) -> Value {
    json!({ "Crawler": {
        "Name": "stock-market-crawler", "Role": "AWSGlueServiceRole-stock-market", "DatabaseName": "realtime-de-db", "State": "READY",
        "Targets": { "S3Targets": [{ "Path": path }] },
        "Schedule": { "ScheduleExpression": "cron(0 3 * * ? *)", "State": "SCHEDULED" },
        "LastCrawl": last,
    }})
}

fn not_found() -> Value {
    json!({ "__type": "EntityNotFoundException", "Message": "not found" })
}

async fn requests(server: &MockServer, operation: &str) -> Vec<Value> {
    let target = format!("AWSGlue.{operation}");
    let requests = server.received_requests().await.unwrap();
    let ours = requests.iter().filter(|request| request.headers["x-amz-target"] == *target);
    ours.map(|request| request.body_json().unwrap()).collect()
}

#[tokio::test]
async fn different_crawler_is_changed_only_with_update() {
    let found = crawler("s3://lake/other/", &Value::Null);
    let server = glue(&[
        ("GetDatabase", 200, json!({})),
        ("GetCrawler", 200, found),
        ("UpdateCrawler", 200, json!({})),
    ])
    .await;
    let error = open(&server, false).await.err().unwrap().to_string();
    assert!(error.contains("its target is `s3://lake/other/`") && error.contains("update = true"), "{error}");
    assert!(requests(&server, "UpdateCrawler").await.is_empty());

    open(&server, true).await.unwrap();
    let update = &requests(&server, "UpdateCrawler").await[0];
    assert_eq!(
        update["Targets"]["S3Targets"],
        json!([{ "Path": "s3://lake/stockmarket_project/", "SampleSize": 100 }])
    );
    assert_eq!(update["Schedule"], "", "a schedule that the pipeline file does not have is removed");
}

#[tokio::test]
async fn role_that_may_not_be_passed_is_named() {
    let denied = json!({
        "__type": "AccessDeniedException",
        "Message": "User: u is not authorized to perform: iam:PassRole on resource: AWSGlueServiceRole-stock-market",
    });
    let server = glue(&[
        ("GetDatabase", 200, json!({})),
        ("GetCrawler", 400, not_found()),
        ("CreateCrawler", 400, denied),
    ])
    .await;
    let error = format!("{:#}", open(&server, false).await.err().unwrap());
    assert!(
        error.contains(
            "may not pass the role `AWSGlueServiceRole-stock-market` to Glue; they need iam:PassRole"
        ),
        "{error}"
    );
}

#[tokio::test]
async fn failed_crawl_has_its_reason_and_log() {
    let last = json!({
        "Status": "FAILED", "ErrorMessage": "Access Denied to s3://lake", "LogGroup": "/aws-glue/crawlers",
        "LogStream": "stock-market-crawler", "MessagePrefix": "1", "StartTime": 1_767_225_600,
    });
    let found = crawler("s3://lake/stockmarket_project/", &last);
    let server = glue(&[("GetDatabase", 200, json!({})), ("GetCrawler", 200, found)]).await;
    let crawler = open(&server, false).await.unwrap();
    let failure = crawler.status().await.unwrap().last_crawl.unwrap().failure.unwrap();
    assert!(failure.contains("FAILED: Access Denied") && failure.contains("s3:GetObject"), "{failure}");
    assert!(
        failure.contains("aws logs tail /aws-glue/crawlers --log-stream-names stock-market-crawler"),
        "{failure}"
    );
}

#[tokio::test]
async fn throttled_glue_counts_as_unreachable() {
    let throttled = json!({ "__type": "ThrottlingException", "Message": "Rate exceeded" });
    let server = glue(&[("GetDatabase", 400, throttled)]).await;
    let error = open(&server, false).await.err().unwrap();
    assert!(runner_core::class_of(&error) == runner_core::Class::Unreachable, "{error:#}");
}
