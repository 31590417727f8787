//! The policies in docs/aws allow exactly the calls that the plugins make.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The IAM action of every call of the AWS SDKs in the plugins.
const ACTIONS: [(&str, &str); 18] = [
    ("head_bucket", "s3:ListBucket"),
    ("list_objects_v2", "s3:ListBucket"),
    ("put_object", "s3:PutObject"),
    ("get_object", "s3:GetObject"),
    ("head_object", "s3:GetObject"),
    ("delete_object", "s3:DeleteObject"),
    ("get_database", "glue:GetDatabase"),
    ("create_database", "glue:CreateDatabase"),
    ("get_crawler", "glue:GetCrawler"),
    ("create_crawler", "glue:CreateCrawler"),
    ("update_crawler", "glue:UpdateCrawler"),
    ("start_crawler", "glue:StartCrawler"),
    ("get_tables", "glue:GetTables"),
    ("start_query_execution", "athena:StartQueryExecution"),
    ("get_query_execution", "athena:GetQueryExecution"),
    ("get_query_results", "athena:GetQueryResults"),
    ("stop_query_execution", "athena:StopQueryExecution"),
    ("assume_role", "sts:AssumeRole"),
];

/// What AWS does on behalf of the caller of `CreateCrawler`, and for a bucket with a KMS key.
const WITH_KMS: [&str; 2] = ["kms:GenerateDataKey", "kms:Decrypt"];

/// What Athena does on behalf of the caller (Amazon Athena user guide, "Access from Athena to Amazon S3" and
/// "Fine-grained access to databases and tables").
const BY_ATHENA: [&str; 9] = [
    "glue:GetDatabase",
    "glue:GetTable",
    "glue:GetPartitions",
    "s3:ListBucket",
    "s3:GetBucketLocation",
    "s3:GetObject",
    "s3:PutObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
];

/// Methods of other types that look like a call.
const OTHER_METHODS: [&str; 2] = ["start_time", "start_without_waiting"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads and removes stored dead letters, which a consumer does not.
const OF_LETTERS: &str = "s3:DeleteObject";

/// The calls `.verb_noun()` without arguments in the files of a folder, which are those of the SDKs.
fn calls(folder: &str) -> BTreeSet<String> {
    let mut calls = BTreeSet::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of a plugin") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).expect("a source file");
                let code = text.split("#[cfg(test)]").next().unwrap_or_default();
                calls.extend(calls_in(code));
            }
        }
    }
    calls
}

fn calls_in(code: &str) -> impl Iterator<Item = String> {
    const VERBS: [&str; 10] =
        ["assume_", "batch_", "create_", "delete_", "get_", "head_", "list_", "put_", "start_", "stop_"];
    code.split('.').skip(1).filter_map(|rest| {
        let (name, _) = rest.split_once("()")?;
        let is_name =
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit());
        let is_call = VERBS.iter().any(|verb| name.starts_with(verb)) || name == "update_crawler";
        (is_name && is_call && !OTHER_METHODS.contains(&name)).then(|| name.to_owned())
    })
}

fn actions(folders: &[&str]) -> BTreeSet<String> {
    let known: BTreeMap<&str, &str> = ACTIONS.into();
    let calls: BTreeSet<String> = folders.iter().flat_map(|folder| calls(folder)).collect();
    let action = |call: &String| {
        let action = known.get(call.as_str());
        (*action.unwrap_or_else(|| panic!("`{call}` is new: add its action here and to docs/aws"))).to_owned()
    };
    calls.iter().map(action).collect()
}

fn policy(name: &str) -> Value {
    let path = root().join("docs/aws").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::String(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}

fn allowed(name: &str) -> BTreeSet<String> {
    let policy = policy(name);
    let statements = policy["Statement"].as_array().expect("statements");
    assert!(statements.iter().all(|statement| statement["Effect"] == "Allow"));
    statements.iter().flat_map(|statement| texts(&statement["Action"])).collect()
}

fn with(actions: BTreeSet<String>, more: &[&str]) -> BTreeSet<String> {
    actions.into_iter().chain(more.iter().map(|&action| action.to_owned())).collect()
}

#[test]
fn consumer_policy_allows_what_the_sinks_call() {
    let mut called = with(actions(&["plugins/sinks/s3", "plugins/sinks/glue_crawl"]), &WITH_KMS);
    called.remove(OF_LETTERS);
    assert_eq!(allowed("consumer.json"), with(called, &["iam:PassRole"]));
}

#[test]
fn dead_letter_policy_allows_what_the_sink_calls() {
    assert_eq!(allowed("dead-letters.json"), with(actions(&["plugins/sinks/s3"]), &WITH_KMS));
}

#[test]
fn query_policy_allows_what_the_client_and_athena_call() {
    let called = actions(&["plugins/shared/athena", "plugins/sources/athena"]);
    assert_eq!(called.len(), 4, "{called:?}");
    assert_eq!(allowed("query.json"), with(with(called, &BY_ATHENA), &WITH_KMS));
}

#[test]
fn policies_name_resources_and_not_everything() {
    for name in ["consumer.json", "query.json", "dead-letters.json", "crawler.json"] {
        let policy = policy(name);
        for statement in policy["Statement"].as_array().expect("statements") {
            let is_for_all = texts(&statement["Resource"]).contains(&"*".to_owned());
            let actions = texts(&statement["Action"]);
            // It has no resource types (service authorization reference of AWS Glue).
            assert!(!is_for_all || actions == ["glue:CreateCrawler"], "{name}: {statement}");
            assert!(actions.iter().all(|action| !action.contains('*')), "{name}: {statement}");
        }
    }
}

#[test]
fn every_policy_is_named_by_the_page() {
    let page = std::fs::read_to_string(root().join("docs/aws.md")).expect("the page");
    for entry in std::fs::read_dir(root().join("docs/aws")).expect("the policies") {
        let name = entry.expect("a file").file_name().to_string_lossy().into_owned();
        assert!(page.contains(&format!("aws/{name}")), "docs/aws.md does not name {name}");
        assert!(Path::new(&name).extension().is_some_and(|it| it == "json"), "{name}");
    }
}
