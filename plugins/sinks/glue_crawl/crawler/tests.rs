//! Requests to Glue and its responses, with a mock server.

use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::super::tests::settings;
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

async fn open(server: &MockServer, update: bool) -> Result<GlueCrawler> {
    open_with(server, &json!({ "update": update })).await
}

async fn open_with(server: &MockServer, options: &Value) -> Result<GlueCrawler> {
    let settings = Arc::new(settings(options));
    let access = Access::to_test_server("Glue", server.uri());
    GlueCrawler::open(access, AccessOptions::default(), settings).await
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
async fn crawler_that_another_process_creates_meanwhile_is_compared() {
    let exists = json!({ "__type": "AlreadyExistsException", "Message": "exists" });
    for (path, is_same) in [("s3://lake/stockmarket_project/", true), ("s3://lake/other/", false)] {
        let server = glue(&[("GetDatabase", 200, json!({})), ("CreateCrawler", 400, exists.clone())]).await;
        let get = || Mock::given(header("x-amz-target", "AWSGlue.GetCrawler"));
        let missing = ResponseTemplate::new(400).set_body_json(not_found());
        get().respond_with(missing).up_to_n_times(1).mount(&server).await;
        let found = ResponseTemplate::new(200).set_body_json(crawler(path, &Value::Null));
        get().respond_with(found).mount(&server).await;
        let opened = open(&server, false).await.map(drop).map_err(|error| error.to_string());
        match opened {
            Ok(()) => assert!(is_same),
            Err(error) => assert!(!is_same && error.contains("its target is `s3://lake/other/`"), "{error}"),
        }
    }
}

#[tokio::test]
async fn change_of_a_crawler_that_keeps_running_is_given_up_after_the_timeout() {
    let running = json!({ "__type": "CrawlerRunningException", "Message": "running" });
    let server = glue(&[
        ("GetDatabase", 200, json!({})),
        ("GetCrawler", 200, crawler("s3://lake/other/", &Value::Null)),
        ("UpdateCrawler", 400, running),
    ])
    .await;
    let options = json!({ "update": true, "timeout": "20ms" });
    let error = open_with(&server, &options).await.err().unwrap().to_string();
    assert!(error.contains("`update = true`") && error.contains("20ms (`timeout`)"), "{error}");
    assert!(requests(&server, "UpdateCrawler").await.len() > 1);
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
    let mut crawler = open(&server, false).await.unwrap();
    let failure = crawler.status().await.unwrap().last_crawl.unwrap().failure.unwrap();
    assert!(failure.contains("FAILED: Access Denied") && failure.contains("s3:GetObject"), "{failure}");
    assert!(!failure.contains("aws logs"), "another server writes no log there: {failure}");
    crawler.connection.access.endpoint = None;
    let failure = crawler.status().await.unwrap().last_crawl.unwrap().failure.unwrap();
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
