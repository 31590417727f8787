//! What Glue is asked for, and what its answers become, over a server that plays Glue.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Builder;
use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

/// A server that answers each operation with the same status and JSON every time.
async fn glue(answers: &[(&str, u16, Value)]) -> MockServer {
    let server = MockServer::builder().start().await;
    for (operation, status, body) in answers {
        Mock::given(header("x-amz-target", &*format!("AWSGlue.{operation}")))
            .respond_with(ResponseTemplate::new(*status).set_body_json(body))
            .mount(&server)
            .await;
    }
    server
}

fn access(server: &MockServer) -> Access {
    let credentials = Credentials::new("key", "secret", None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(Builder::new().build_http())
        .build();
    Access { config, endpoint: Some(server.uri()), region: "eu-central-1".into() }
}

fn plan() -> Plan {
    Plan {
        name: "stock-market-crawler".into(),
        database: "realtime-de-db".into(),
        role: "glue-role".into(),
        target: Folder::try_from("s3://lake/stocks/".to_owned()).unwrap(),
        table_prefix: String::new(),
        sample_size: 100,
        schedule: None,
    }
}

fn crawler(path: &str, last: &Value) -> Value {
    json!({ "Crawler": {
        "Name": "stock-market-crawler", "Role": "glue-role", "DatabaseName": "realtime-de-db", "State": "READY",
        "Targets": { "S3Targets": [{ "Path": path }] },
        "Schedule": { "ScheduleExpression": "cron(0 3 * * ? *)", "State": "SCHEDULED" },
        "LastCrawl": last,
    }})
}

fn not_found() -> Value {
    json!({ "__type": "EntityNotFoundException", "Message": "there is none" })
}

async fn asked(server: &MockServer, operation: &str) -> Vec<Value> {
    let target = format!("AWSGlue.{operation}");
    let requests = server.received_requests().await.unwrap();
    let ours = requests.iter().filter(|request| request.headers["x-amz-target"] == *target);
    ours.map(|request| request.body_json().unwrap()).collect()
}

#[tokio::test]
async fn update_changes_another_crawler_into_the_one_asked_for() {
    let found = crawler("s3://lake/other/", &Value::Null);
    let server = glue(&[
        ("GetDatabase", 200, json!({})),
        ("GetCrawler", 200, found),
        ("UpdateCrawler", 200, json!({})),
    ])
    .await;
    let refused = Crawler::open(access(&server), plan(), false).await.err().unwrap().to_string();
    assert!(
        refused.contains("its target is `s3://lake/other/`") && refused.contains("update = true"),
        "{refused}"
    );
    assert!(asked(&server, "UpdateCrawler").await.is_empty());

    Crawler::open(access(&server), plan(), true).await.unwrap();
    let update = &asked(&server, "UpdateCrawler").await[0];
    assert_eq!(update["Targets"]["S3Targets"], json!([{ "Path": "s3://lake/stocks/", "SampleSize": 100 }]));
    assert_eq!(update["Schedule"], "", "the schedule that the file does not ask for is taken away");
}

#[tokio::test]
async fn a_role_that_may_not_be_handed_on_is_told_by_name() {
    let denied = json!({
        "__type": "AccessDeniedException",
        "Message": "User: u is not authorized to perform: iam:PassRole on resource: glue-role",
    });
    let server = glue(&[
        ("GetDatabase", 200, json!({})),
        ("GetCrawler", 400, not_found()),
        ("CreateCrawler", 400, denied),
    ])
    .await;
    let error = format!("{:#}", Crawler::open(access(&server), plan(), false).await.err().unwrap());
    assert!(error.contains("may not hand the role `glue-role` to Glue; they need iam:PassRole"), "{error}");
}

#[tokio::test]
async fn a_failed_crawl_says_why_and_where_its_log_is() {
    let last = json!({
        "Status": "FAILED", "ErrorMessage": "Access Denied to s3://lake", "LogGroup": "/aws-glue/crawlers",
        "LogStream": "stock-market-crawler", "MessagePrefix": "1", "StartTime": 1_767_225_600,
    });
    let found = crawler("s3://lake/stocks/", &last);
    let server = glue(&[("GetDatabase", 200, json!({})), ("GetCrawler", 200, found)]).await;
    let crawler = Crawler::open(access(&server), plan(), false).await.unwrap();
    let look = crawler.look().await.unwrap();
    let failure = look.last.unwrap().failure.unwrap();
    assert!(failure.contains("FAILED: Access Denied") && failure.contains("s3:GetObject"), "{failure}");
    assert!(
        failure.contains("aws logs tail /aws-glue/crawlers --log-stream-names stock-market-crawler"),
        "{failure}"
    );
}

#[tokio::test]
async fn glue_that_has_too_much_to_do_counts_as_not_reached_yet() {
    let busy = json!({ "__type": "ThrottlingException", "Message": "Rate exceeded" });
    let server = glue(&[("GetDatabase", 400, busy)]).await;
    let error = Crawler::open(access(&server), plan(), false).await.err().unwrap();
    assert!(error.is::<runner_core::Unreachable>(), "{error:#}");
}
