//! The `s3` sink: objects from CSV rows, and the errors of an S3 server.

mod conditions;
mod options;
mod outage;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use runner_needs::needs;

use crate::support::moto::Moto;
use crate::support::s3::{ACCESS_KEY, Response, S3};
use crate::support::{Outcome, TestEnv, report, wait_until};

const ROWS: &str = "Index,Date,Open\nHSI,1986-12-31,2568.3\nHSI,1987-01-02,2540\nNYA,1965-12-31,528.7\n";

const OBJECTS: [&str; 3] = [
    r#"{"Index":"HSI","Date":"1986-12-31","Open":2568.3}"#,
    r#"{"Index":"HSI","Date":"1987-01-02","Open":2540.0}"#,
    r#"{"Index":"NYA","Date":"1965-12-31","Open":528.7}"#,
];

/// Three rows, and a pipeline that stores them in the bucket `lake`.
fn env() -> TestEnv {
    let env = TestEnv::new();
    env.write("stocks.csv", ROWS);
    pipeline(&env, "");
    env
}

/// Writes the pipeline with more options for the sink.
fn pipeline(env: &TestEnv, options: &str) {
    env.write(
        "lake.toml",
        format!(
            r#"
[retry]
initial = "10ms"
max = "50ms"
timeout = "30s"
connect = "1s"

[sources.stocks]
type = "csv"
path = "stocks.csv"

[transforms.json]
type = "to_json"
inputs = ["stocks"]

[sinks.lake]
type = "s3"
inputs = ["json"]
bucket = "lake"
key = "stocks/stock_{{{{ entry }}}}.json"
{options}
"#
        ),
    );
}

fn run(env: &TestEnv) -> Outcome {
    env.run(["run", "lake.toml", "--report", "report.json"])
}

fn key(entry: usize) -> String {
    format!("stocks/stock_{entry}.json")
}

#[track_caller]
fn assert_all_stored(server: &S3) {
    assert_eq!(server.keys("lake"), [key(0), key(1), key(2)]);
    for (entry, content) in OBJECTS.iter().enumerate() {
        assert_eq!(server.read("lake", &key(entry)), *content);
    }
}

/// A server with a bucket, and a test environment configured for it.
fn server_and_env() -> (S3, TestEnv) {
    let server = S3::start();
    server.create_bucket("lake");
    let mut env = env();
    server.configure(&mut env);
    (server, env)
}

#[test]
fn s3_sink_stores_one_object_per_record_by_entry() {
    let (server, env) = server_and_env();
    run(&env).assert_code(0);
    assert_all_stored(&server);
    let report = report(env.path("report.json"));
    let components = report["pipelines"][0]["components"].as_array().expect("components");
    let lake = components.iter().find(|component| component["name"] == "lake").expect("the sink");
    assert_eq!(lake["records_out"], 3);
}

#[test]
fn missing_bucket_ends_run_and_says_how_to_create_it() {
    let server = S3::start();
    let mut env = env();
    server.configure(&mut env);
    run(&env).assert_code(1).assert_says(&[
        "there is no bucket `lake`",
        "aws s3 mb s3://lake",
        &server.url(),
    ]);
    assert_eq!(server.requests("PutObject"), 0);
}

#[test]
fn wrong_secret_and_unknown_key_have_different_errors() {
    let (server, mut env) = server_and_env();
    env.set("AWS_SECRET_ACCESS_KEY", "wrong");
    let outcome = run(&env);
    outcome.assert_code(1).assert_says(&["SignatureDoesNotMatch", "secret key does not belong"]);
    env.set("AWS_ACCESS_KEY_ID", "nobody");
    let outcome = run(&env);
    outcome.assert_code(1).assert_says(&["access key is not known"]);
    assert!(!outcome.stderr.contains("wrong"), "a secret was shown: {}", outcome.stderr);
    assert_eq!(server.count("lake"), 0);
}

#[test]
fn missing_credentials_or_region_say_what_to_do() {
    let server = S3::start();
    let mut env = env();
    run(&env).assert_code(1).assert_says(&["no AWS region", "aws configure", "AWS_REGION"]);
    env.set("AWS_ENDPOINT_URL", server.url());
    run(&env).assert_code(1).assert_says(&["no AWS credentials", "aws configure", "AWS_PROFILE"]);
}

#[test]
fn s3_sink_reads_credentials_from_profile() {
    let server = S3::start();
    server.create_bucket("lake");
    let mut env = env();
    let secret = crate::support::s3::SECRET_KEY;
    env.write(
        ".aws/credentials",
        format!("[local]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={secret}\n"),
    );
    let url = server.url();
    env.write(
        ".aws/config",
        format!(
            "[profile local]\nregion=eu-west-1\nservices=here\n[services here]\ns3 =\n  endpoint_url={url}\n"
        ),
    );
    env.set("AWS_PROFILE", "local");
    run(&env).assert_code(0);
    assert_all_stored(&server);
}

#[test]
fn renewed_profile_credentials_are_reloaded_during_retry() {
    let server = S3::start();
    server.create_bucket("lake");
    let mut env = env();
    pipeline(&env, "concurrency = 1");
    let secret = crate::support::s3::SECRET_KEY;
    let log_in = |env: &TestEnv, token: &str| {
        env.write(
            ".aws/credentials",
            format!(
                "[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={secret}\n\
                 aws_session_token={token}\n"
            ),
        );
    };
    log_in(&env, "old");
    env.set("AWS_ENDPOINT_URL_S3", server.url()).set("AWS_REGION", "eu-central-1");
    server.respond_with(|request| match request.operation {
        "PutObject" if request.n_before > 0 && request.token == "old" => Response::Error("ExpiredToken"),
        _ => Response::Normal,
    });
    let running = env.start(["run", "lake.toml"]);
    wait_until("the credentials to expire", Duration::from_secs(60), || running.has_logged("ExpiredToken"));
    log_in(&env, "new");
    running.wait(Duration::from_secs(60)).assert_code(0);
    assert_all_stored(&server);
}

#[test]
fn unreachable_endpoint_is_retried_then_exits_69() {
    let mut env = env();
    env.set("AWS_ENDPOINT_URL", "http://127.0.0.1:9").set("AWS_REGION", "eu-central-1");
    env.set("AWS_ACCESS_KEY_ID", "a").set("AWS_SECRET_ACCESS_KEY", "b");
    run(&env).assert_code(69).assert_says(&["cannot reach S3 at http://127.0.0.1:9", "refused"]);
}

#[test]
fn existing_object_with_other_content_is_kept_and_record_rejected() {
    let (server, env) = server_and_env();
    server.put("lake", &key(1), "something else");
    run(&env).assert_code(65).assert_says(&[
        "s3://lake/stocks/stock_1.json exists with other content",
        "overwrite = \"always\"",
        "dead_letter",
    ]);
    assert_eq!(server.read("lake", &key(1)), "something else");
}

#[test]
fn existing_object_with_same_content_counts_as_stored() {
    let (server, env) = server_and_env();
    server.put("lake", &key(1), OBJECTS[1]);
    run(&env).assert_code(0);
    assert_all_stored(&server);
    assert_eq!(server.requests("GetObject"), 1);
}

#[test]
fn overwrite_always_replaces_without_reading() {
    let (server, env) = server_and_env();
    pipeline(&env, r#"overwrite = "always""#);
    server.put("lake", &key(1), "something else");
    run(&env).assert_code(0);
    assert_all_stored(&server);
    assert_eq!(server.requests("GetObject"), 0);
}

#[test]
fn s3_sink_retries_on_slow_down() {
    let (server, env) = server_and_env();
    server.respond_with(|request| match request.operation {
        "PutObject" if request.key.ends_with("_1.json") && request.n_before < 20 => {
            Response::Error("SlowDown")
        }
        _ => Response::Normal,
    });
    run(&env).assert_code(0).assert_says(&["SlowDown"]);
    assert_all_stored(&server);
}

#[test]
fn access_denied_ends_run_only_before_first_object() {
    let (server, env) = server_and_env();
    pipeline(&env, "concurrency = 1");
    server.respond_with(|request| match request.operation {
        "PutObject" => Response::Error("AccessDenied"),
        _ => Response::Normal,
    });
    run(&env).assert_code(1).assert_says(&[
        "writing s3://lake/stocks/stock_0.json",
        "AccessDenied",
        "these credentials need s3:PutObject and, to compare existing objects, s3:GetObject on lake/stocks/*",
    ]);
    assert_eq!(
        server.requests("PutObject"),
        1,
        "refused credentials must not be retried before the first object"
    );

    server.respond_with(|request| match request.operation {
        "PutObject" if (2..5).contains(&request.n_before) => Response::Error("AccessDenied"),
        _ => Response::Normal,
    });
    run(&env).assert_code(0);
    assert_all_stored(&server);
}

#[test]
fn bucket_deleted_during_run_ends_run() {
    let (server, env) = server_and_env();
    pipeline(&env, "concurrency = 1");
    server.respond_with(|request| match request.operation {
        "PutObject" if request.n_before > 0 => Response::Error("NoSuchBucket"),
        _ => Response::Normal,
    });
    run(&env).assert_code(1).assert_says(&["there is no bucket `lake`"]);
    assert_eq!(server.keys("lake"), [key(0)]);
}

#[test]
fn server_without_conditional_writes_is_reported() {
    let (server, env) = server_and_env();
    server.respond_with(|request| match request.operation {
        "PutObject" => Response::Error("NotImplemented"),
        _ => Response::Normal,
    });
    run(&env).assert_code(1).assert_says(&["does not support conditional writes", "overwrite = \"always\""]);
}

#[test]
fn bucket_in_other_region_names_region() {
    let (server, env) = server_and_env();
    server.respond_with(|_| Response::OtherRegion("ap-southeast-2"));
    run(&env).assert_code(1).assert_says(&["is in region ap-southeast-2", "AWS_REGION=ap-southeast-2"]);
}

#[test]
fn denied_bucket_check_is_a_warning() {
    let (server, env) = server_and_env();
    server.respond_with(|request| match request.operation {
        "HeadBucket" | "ListObjectsV2" => Response::Error("AccessDenied"),
        _ => Response::Normal,
    });
    run(&env).assert_code(0).assert_says(&["s3://lake cannot be checked"]);
    assert_all_stored(&server);
}

#[test]
fn https_proxy_is_used_for_aws_and_not_for_loopback() {
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://user:word@{}", proxy.local_addr().expect("a bound socket"));
    let request = std::thread::spawn(move || {
        let (mut client, _) = proxy.accept().expect("a connection");
        let mut lines = BufReader::new(client.try_clone().expect("a socket")).lines().map_while(Result::ok);
        let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        client.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").expect("an answer");
        head
    });
    let mut env = env();
    env.set("AWS_ACCESS_KEY_ID", ACCESS_KEY).set("AWS_SECRET_ACCESS_KEY", "secret");
    env.set("AWS_REGION", "eu-central-1").set("HTTPS_PROXY", &url);
    let outcome = run(&env);
    assert_ne!(outcome.code(), 0);
    assert!(!outcome.stderr.contains("user:word"), "{}", outcome.stderr);
    let head = request.join().expect("a request");
    assert_eq!(head[0], "CONNECT lake.s3.eu-central-1.amazonaws.com:443 HTTP/1.1");
    assert!(
        head.iter().any(|line| line.eq_ignore_ascii_case("proxy-authorization: Basic dXNlcjp3b3Jk")),
        "{head:?}"
    );

    let (server, mut env) = server_and_env();
    env.set("HTTPS_PROXY", &url);
    run(&env).assert_code(0);
    assert_all_stored(&server);
    env.set("HTTPS_PROXY", "user:word@proxy");
    let outcome = run(&env);
    outcome.assert_code(1).assert_says(&["HTTPS_PROXY is not the address of a proxy"]);
    assert!(!outcome.stderr.contains("user:word"), "{}", outcome.stderr);
}

#[test]
fn one_record_batches_use_full_concurrency() {
    let (server, env) = server_and_env();
    let rows: String = (0..32).map(|n| format!("HSI,1986-12-31,{n}\n")).collect();
    env.write("stocks.csv", format!("Index,Date,Open\n{rows}"));
    let text = env.read("lake.toml");
    env.write("lake.toml", format!("[batch]\nmax_records = 1\n{text}"));
    server.respond_with(|request| match request.operation {
        "PutObject" => Response::Delayed(Duration::from_millis(500)),
        _ => Response::Normal,
    });
    run(&env).assert_code(0);
    assert_eq!(server.count("lake"), 32);
    let duration = &report(env.path("report.json"))["pipelines"][0]["duration_ms"];
    assert!(
        duration.as_u64().is_some_and(|ms| ms < 8000),
        "32 objects of half a second each took {duration} ms"
    );
}

#[test]
fn error_in_key_template_is_shown_with_position() {
    let env = env();
    let text = env.read("lake.toml");
    env.write("lake.toml", text.replace("{{ entry }}", "{{ entri }}"));
    let outcome = env.run(["validate", "lake.toml"]);
    outcome.assert_code(78).assert_says(&["lake.toml:20:7", "did you mean `{{ entry }}`?"]);
    env.write("lake.toml", text.replace("{{ entry }}", "{{ key }}"));
    env.run(["validate", "lake.toml"]).assert_code(78).assert_says(&["the same name"]);
}

#[needs(moto)]
#[test]
fn s3_sink_works_with_moto() {
    let moto = Moto::start();
    let mut env = env();
    moto.configure(&mut env);
    run(&env).assert_code(1).assert_says(&["there is no bucket `lake`"]);
    moto.create_bucket("lake");
    run(&env).assert_code(0);
    for (entry, content) in OBJECTS.iter().enumerate() {
        assert_eq!(moto.read("lake", &key(entry)), *content);
    }
    env.run(["run", "lake.toml", "--from-start"]).assert_code(0);
    env.write("stocks.csv", ROWS.replace("2540", "2541"));
    let outcome = env.run(["run", "lake.toml", "--from-start"]);
    outcome.assert_code(65).assert_says(&["stock_1.json exists with other content", "was given twice"]);
}
