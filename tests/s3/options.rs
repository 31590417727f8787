//! Options that change the requests: headers, roles, other servers. A server of the test answers and keeps them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::runtime::Runtime;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::{env, pipeline, run};
use crate::support::TestEnv;

/// A server that keeps its requests.
struct Server {
    server: Option<MockServer>,
    runtime: Runtime,
}

impl Server {
    fn start(answer: impl Fn(&Request) -> ResponseTemplate + Send + Sync + 'static) -> Server {
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(async {
            let server = MockServer::builder().start().await;
            Mock::given(any()).respond_with(answer).mount(&server).await;
            server
        });
        Server { server: Some(server), runtime }
    }

    fn configure(&self, env: &mut TestEnv) {
        let url = self.server.as_ref().expect("until the end").uri();
        env.set("AWS_ENDPOINT_URL", url)
            .set("AWS_REGION", "eu-central-1")
            .set("AWS_ACCESS_KEY_ID", "AKIDUSER")
            .set("AWS_SECRET_ACCESS_KEY", "secret");
    }

    /// The requests of one method.
    fn requests(&self, method: &str) -> Vec<Request> {
        let server = self.server.as_ref().expect("until the end");
        let all = self.runtime.block_on(server.received_requests()).expect("requests are kept");
        all.into_iter().filter(|request| request.method.as_str() == method).collect()
    }
}

/// The objects of a server: a conditional write of one that exists fails.
#[derive(Default)]
struct Objects(Mutex<HashMap<String, Vec<u8>>>);

impl Objects {
    fn answer(&self, request: &Request) -> ResponseTemplate {
        let mut objects = self.0.lock().expect("no test has failed");
        let mut query = request.url.query_pairs();
        if let Some((_, prefix)) = query.find(|(name, _)| name == "prefix") {
            let path = format!("{}/{prefix}", request.url.path().trim_end_matches('/'));
            let found =
                objects.contains_key(&path).then(|| format!("<Contents><Key>{prefix}</Key></Contents>"));
            let list = format!("<ListBucketResult>{}</ListBucketResult>", found.unwrap_or_default());
            return ResponseTemplate::new(200).set_body_raw(list, "application/xml");
        }
        let existing = objects.get(request.url.path());
        match request.method.as_str() {
            "PUT" if existing.is_some() && request.headers.contains_key("if-none-match") => error(
                412,
                "PreconditionFailed",
                "At least one of the pre-conditions you specified did not hold",
            ),
            "PUT" => {
                objects.insert(request.url.path().to_owned(), request.body.clone());
                ResponseTemplate::new(200)
            }
            "GET" => existing.map_or_else(
                || error(404, "NoSuchKey", "The specified key does not exist."),
                |body| ResponseTemplate::new(200).set_body_bytes(body.clone()),
            ),
            _ => ResponseTemplate::new(200),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let server = self.server.take();
        self.runtime.block_on(async { drop(server) });
    }
}

fn error(status: u16, code: &str, message: &str) -> ResponseTemplate {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    ResponseTemplate::new(status).set_body_raw(body, "application/xml")
}

fn header<'a>(request: &'a Request, name: &str) -> &'a str {
    request.headers.get(name).map_or("", |value| value.to_str().expect("text"))
}

#[test]
fn object_is_stored_with_class_encryption_acl_and_tags() {
    let objects = Objects::default();
    let server = Server::start(move |request| objects.answer(request));
    let mut env = env();
    server.configure(&mut env);
    pipeline(
        &env,
        "storage_class = \"STANDARD_IA\"\nserver_side_encryption = \"aws:kms\"\nssekms_key_id = \"alias/lake\"\n\
         acl = \"bucket-owner-full-control\"\ntags = { team = \"market data\", stage = \"raw\" }\n",
    );
    run(&env).assert_code(0);
    let puts = server.requests("PUT");
    assert_eq!(puts.len(), 4, "the first object is written twice, to try the condition");
    for put in &puts {
        assert_eq!(header(put, "x-amz-storage-class"), "STANDARD_IA");
        assert_eq!(header(put, "x-amz-server-side-encryption"), "aws:kms");
        assert_eq!(header(put, "x-amz-server-side-encryption-aws-kms-key-id"), "alias/lake");
        assert_eq!(header(put, "x-amz-acl"), "bucket-owner-full-control");
        assert_eq!(header(put, "x-amz-tagging"), "stage=raw&team=market%20data");
    }
    pipeline(&env, "storage_class = \"COLD\"\n");
    env.run(["validate", "lake.toml"]).assert_code(78).assert_says(&["`storage_class`", "STANDARD_IA"]);
}

#[test]
fn old_server_gets_no_checksum_and_its_lack_of_conditions_is_named() {
    let objects = Objects::default();
    let server = Server::start(move |request| {
        let is_new =
            |name: &str| name.starts_with("x-amz-checksum") || name.starts_with("x-amz-sdk-checksum");
        if let Some((name, _)) = request.headers.iter().find(|(name, _)| is_new(name.as_str())) {
            return error(
                400,
                "InvalidArgument",
                &format!("Unsupported header '{name}' received for this API call."),
            );
        }
        if request.headers.contains_key("if-none-match") {
            return error(400, "InvalidRequest", "Header If-None-Match is not supported.");
        }
        objects.answer(request)
    });
    let mut env = env();
    server.configure(&mut env);
    run(&env).assert_code(1).assert_says(&["does not support conditional writes", "overwrite = \"always\""]);
    pipeline(&env, "overwrite = \"always\"\n");
    run(&env).assert_code(0);

    env.set("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported");
    env.run(["run", "lake.toml", "--from-start"])
        .assert_code(1)
        .assert_says(&["Unsupported header", "AWS_REQUEST_CHECKSUM_CALCULATION=when_required"]);
}

#[test]
fn role_is_assumed_and_its_credentials_sign_the_requests() {
    let objects = Objects::default();
    let server = Server::start(move |request| {
        let form = String::from_utf8_lossy(&request.body);
        if !form.contains("Action=AssumeRole") {
            return objects.answer(request);
        }
        if !form.contains("ExternalId=ours") {
            let body = "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                <Code>AccessDenied</Code><Message>User: u is not authorized to perform: sts:AssumeRole</Message></Error>\
                </ErrorResponse>";
            return ResponseTemplate::new(403).set_body_raw(body, "text/xml");
        }
        let body = "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>\
            <AssumedRoleUser><AssumedRoleId>A:runner</AssumedRoleId><Arn>arn:aws:sts::123456789012:assumed-role/lake/runner\
            </Arn></AssumedRoleUser><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
            <SessionToken>session</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>\
            </AssumeRoleResult></AssumeRoleResponse>";
        ResponseTemplate::new(200).set_body_raw(body, "text/xml")
    });
    let mut env = env();
    server.configure(&mut env);
    let role = "assume_role = \"arn:aws:iam::123456789012:role/lake\"\n";
    pipeline(&env, &format!("{role}external_id = \"ours\"\n"));
    run(&env).assert_code(0);
    let puts = server.requests("PUT");
    assert_eq!(puts.len(), 4, "the first object is written twice, to try the condition");
    for put in &puts {
        assert!(
            header(put, "authorization").contains("Credential=ASIAROLE/"),
            "{}",
            header(put, "authorization")
        );
        assert_eq!(header(put, "x-amz-security-token"), "session");
    }
    let posts = server.requests("POST");
    assert_eq!(posts.len(), 1, "the credentials of the role are kept until they expire");
    assert!(header(&posts[0], "authorization").contains("Credential=AKIDUSER/"));

    pipeline(&env, role);
    env.run(["run", "lake.toml", "--from-start"]).assert_code(1).assert_says(&[
        "the role arn:aws:iam::123456789012:role/lake (`assume_role`) cannot be assumed (STS at http",
        "not authorized to perform: sts:AssumeRole",
        "must exist and trust this identity",
        "external_id",
    ]);
    // A port without a server: the error names STS, and is one of the network.
    env.set("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9");
    env.run(["run", "lake.toml", "--from-start"]).assert_code(69).assert_says(&[
        "cannot reach STS at http://127.0.0.1:9",
        "for `assume_role`",
        "AWS_ENDPOINT_URL_STS",
    ]);
    pipeline(&env, "assume_role = \"lake\"\n");
    env.run(["validate", "lake.toml"]).assert_code(78).assert_says(&["`assume_role`", "ARN of a role"]);
}

#[test]
fn access_point_at_another_server_is_refused_without_a_retry() {
    let server = Server::start(|_| ResponseTemplate::new(200));
    let mut env = env();
    server.configure(&mut env);
    let point = "arn:aws:s3:eu-central-1:123456789012:accesspoint/lake";
    env.write("lake.toml", env.read("lake.toml").replace("\"lake\"\nkey", &format!("\"{point}\"\nkey")));
    env.run(["validate", "lake.toml"]).assert_code(0);
    let outcome = run(&env);
    outcome.assert_code(1).assert_says(&["is an access point, which only AWS has"]);
    assert!(!outcome.stderr.contains("retrying"), "{}", outcome.stderr);
}

#[test]
fn denied_kms_key_is_named_with_its_right() {
    let server = Server::start(|request| match request.method.as_str() {
        "PUT" => error(
            403,
            "AccessDenied",
            "User: arn:aws:iam::1:user/u is not authorized to perform: kms:GenerateDataKey on resource: k",
        ),
        "GET" => error(404, "NoSuchKey", "The specified key does not exist."),
        _ => ResponseTemplate::new(200),
    });
    let mut env = env();
    server.configure(&mut env);
    let outcome = run(&env);
    outcome.assert_code(1).assert_says(&["need kms:GenerateDataKey on that KMS key"]);
    assert!(!outcome.stderr.contains("need s3:PutObject"), "{}", outcome.stderr);
}

#[test]
fn number_of_attempts_of_the_user_counts() {
    let server = Server::start(|request| match request.method.as_str() {
        "PUT" => error(503, "SlowDown", "Please reduce your request rate."),
        "GET" => error(404, "NoSuchKey", "The specified key does not exist."),
        _ => ResponseTemplate::new(200),
    });
    for (attempts, n_requests) in [("1", 1), ("4", 4)] {
        let mut env = env();
        server.configure(&mut env);
        let text = env.read("lake.toml").replace("timeout = \"30s\"", "timeout = \"1ms\"");
        env.write("lake.toml", text.replace("type = \"s3\"", "type = \"s3\"\nconcurrency = 1"));
        env.set("AWS_MAX_ATTEMPTS", attempts);
        let n_before = server.requests("PUT").len();
        run(&env).assert_code(1);
        let n_after = server.requests("PUT").len();
        assert!((n_after - n_before).is_multiple_of(n_requests), "{attempts}: {}", n_after - n_before);
    }
    let mut env = env();
    server.configure(&mut env);
    env.set("AWS_RETRY_MODE", "quick");
    run(&env).assert_code(1).assert_says(&["AWS_RETRY_MODE", "`standard` or `adaptive`"]);
}

#[test]
fn csv_row_under_a_name_that_ends_with_json_is_an_error() {
    let objects = Objects::default();
    let server = Server::start(move |request| objects.answer(request));
    let mut env = env();
    server.configure(&mut env);
    let direct = env.read("lake.toml").replace("inputs = [\"json\"]", "inputs = [\"stocks\"]");
    let direct = direct.replace("[transforms.json]\ntype = \"to_json\"\ninputs = [\"stocks\"]\n", "");
    env.write("lake.toml", &direct);
    run(&env).assert_code(1).assert_says(&["the record is a row of a CSV file", "`to_json`"]);
    assert!(server.requests("PUT").is_empty());
    env.write("lake.toml", direct.replace("}}.json", "}}.csv"));
    run(&env).assert_code(0);
    assert_eq!(server.requests("PUT").len(), 4, "the first is written twice");
    assert!(server.requests("PUT").iter().any(|put| put.body == b"HSI,1986-12-31,2568.3"));
}

#[test]
fn crawler_is_started_with_credentials_that_were_renewed_during_the_run() {
    let mut env = env();
    let credentials = env.write(".aws/credentials", "");
    let log_in = move |token: &str| {
        let text = format!(
            "[default]\naws_access_key_id=AKIDUSER\naws_secret_access_key=secret\naws_session_token={token}\n"
        );
        std::fs::write(&credentials, text).expect("the credentials");
    };
    log_in("old");
    let (n_calls, objects) = (AtomicUsize::new(0), Objects::default());
    let server = Server::start(move |request| {
        let is_old = header(request, "x-amz-security-token") == "old";
        let answer = match header(request, "x-amz-target").trim_start_matches("AWSGlue.") {
            "" => return objects.answer(request),
            // The credentials expire after the crawler is found, when the user logs in again.
            "GetCrawler" | "StartCrawler" if is_old && n_calls.fetch_add(1, Ordering::Relaxed) > 0 => {
                log_in("new");
                let expired = json!({ "__type": "ExpiredTokenException", "Message": "expired" });
                return ResponseTemplate::new(400).set_body_json(expired);
            }
            "GetCrawler" => json!({ "Crawler": {
                "Name": "c", "Role": "r", "DatabaseName": "d", "State": "READY",
                "Targets": { "S3Targets": [{ "Path": "s3://lake/stocks/", "SampleSize": 100 }] },
                "LastCrawl": { "Status": "SUCCEEDED", "StartTime": if is_old { 1_767_225_600 } else { 4_000_000_000_u64 } },
            }}),
            _ => json!({}),
        };
        ResponseTemplate::new(200).set_body_json(answer)
    });
    let url = server.server.as_ref().expect("until the end").uri();
    env.set("AWS_ENDPOINT_URL", url).set("AWS_REGION", "eu-central-1");
    let crawl = "\n[sinks.crawl]\ntype = \"glue_crawl\"\ninputs = [\"lake\"]\ndatabase = \"d\"\ncrawler = \"c\"\nrole = \"r\"";
    pipeline(&env, crawl);
    let outcome = run(&env);
    outcome.assert_code(0);
    assert!(!outcome.stderr.contains("Expired"), "{}", outcome.stderr);
}
