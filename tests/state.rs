//! Where checkpoints are kept, who may read them, and what is said when they are missing.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::s3::S3;
use crate::support::{Api, Outcome, TestEnv};

const PIPELINE: &str = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
                        [transforms.some]\ntype = \"limit\"\ninputs = [\"rows\"]\nrecords = 2\n\
                        [sinks.out]\ntype = \"console\"\ninputs = [\"some\"]\n";

/// Two releases of the same project; no folder for checkpoints is given.
fn releases() -> TestEnv {
    let mut env = TestEnv::new();
    env.set("RUNNER_DATA_DIR", "");
    for release in ["releases/1", "releases/2"] {
        env.write(format!("{release}/p.toml"), PIPELINE);
        env.write(format!("{release}/rows.csv"), "n\n0\n1\n2\n3\n4\n5\n6\n7\n");
    }
    env
}

fn link(env: &TestEnv, release: &str) {
    let _ = std::fs::remove_file(env.path("current"));
    symlink(release, env.path("current")).expect("a link");
}

#[track_caller]
fn assert_rows(outcome: &Outcome, rows: &str) {
    outcome.assert_code(0);
    assert_eq!(outcome.stdout, rows, "{}", outcome.stderr);
}

#[test]
fn release_behind_a_changed_link_continues() {
    let env = releases();
    link(&env, "releases/1");
    assert_rows(&env.run(["run", "current/p.toml"]), "0\n1\n");
    link(&env, "releases/2");
    assert_rows(&env.run(["run", "current/p.toml"]), "2\n3\n");
    // By whichever way the file is reached.
    assert_rows(&env.run(["run", "releases/2/p.toml"]), "4\n5\n");
    assert_rows(&env.run(["run", "releases/1/p.toml"]), "6\n7\n");
}

#[test]
fn checkpoint_of_an_earlier_version_is_taken_over_by_a_link() {
    let env = releases();
    assert_rows(&env.run(["run", "releases/1/p.toml"]), "0\n1\n");
    // Earlier versions stored neither the folder nor the incarnation.
    let state = env.path(".local/state/runner");
    let folder = std::fs::read_dir(&state).expect("the state").next().expect("one").expect("a folder").path();
    let path = folder.join("rows.json");
    let mut saved: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("a checkpoint")).expect("JSON");
    let fields = saved.as_object_mut().expect("fields");
    assert!(fields.remove("folder").is_some() && fields.remove("incarnation").is_some());
    std::fs::write(&path, saved.to_string()).expect("writing");
    link(&env, "releases/1");
    assert_rows(&env.run(["run", "current/p.toml"]), "2\n3\n");
    let saved: Value = serde_json::from_slice(&std::fs::read(&path).expect("a checkpoint")).expect("JSON");
    assert!(saved["incarnation"].is_string(), "{saved}");
}

#[test]
fn start_without_checkpoint_names_those_elsewhere() {
    let env = releases();
    let first = env.run(["run", "releases/1/p.toml"]);
    assert!(!first.stderr.contains("other checkpoints"), "{}", first.stderr);
    let second = env.run(["run", "releases/2/p.toml"]);
    assert_rows(&second, "0\n1\n");
    second.assert_says(&[
        "WARN",
        "other checkpoints of pipeline `p`",
        ".local/state/runner/p-",
        "next entry 2",
    ]);
    let again = env.run(["run", "releases/2/p.toml"]);
    assert!(!again.stderr.contains("other checkpoints"), "{}", again.stderr);
    let given = env.run(["run", "releases/1/p.toml", "--data-dir", "elsewhere"]);
    given.assert_says(&["other checkpoints of pipeline `p`", ".local/state/runner/p-"]);
}

#[test]
fn source_that_was_renamed_names_the_checkpoint_of_the_old_name() {
    let env = TestEnv::new();
    env.write("rows.csv", "n\n0\n1\n2\n3\n");
    env.write("p.toml", PIPELINE);
    let first = env.run(["run", "p.toml"]);
    assert!(!first.stderr.contains("checkpoints of sources"), "{}", first.stderr);
    env.write("p.toml", PIPELINE.replace("rows]", "prices]").replace("[\"rows\"]", "[\"prices\"]"));
    let renamed = env.run(["run", "p.toml"]);
    assert_rows(&renamed, "0\n1\n");
    renamed.assert_says(&["WARN", "no checkpoint of `prices`", "does not have: `rows` (next entry 2)"]);
    let again = env.run(["run", "p.toml"]);
    assert!(!again.stderr.contains("checkpoints of sources"), "{}", again.stderr);
}

#[test]
fn pipeline_without_checkpoints_needs_no_home() {
    let env = TestEnv::new();
    env.write("csv.toml", PIPELINE);
    let source = "[sources.rows]\ntype = \"kafka\"\nbootstrap_servers = \"127.0.0.1:1\"\ntopics = [\"t\"]\ngroup_id = \"g\"\n";
    env.write("kafka.toml", format!("{source}[sinks.out]\ntype = \"null\"\ninputs = [\"rows\"]\n"));
    let run = |arguments: &[&str]| {
        let output = env.command(arguments).env_remove("HOME").env_remove("RUNNER_DATA_DIR").output();
        let output = output.expect("the binary");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, told) = run(&["validate", "csv.toml"]);
    assert!(code == Some(78) && told.contains("HOME is not set"), "{told}");
    for arguments in [&["validate", "kafka.toml"][..], &["run", "kafka.toml", "--for", "0s"]] {
        let (code, told) = run(arguments);
        assert_eq!(code, Some(0), "{told}");
    }
    for action in ["show", "reset"] {
        let (code, told) = run(&["checkpoint", action, "kafka.toml"]);
        assert!(code == Some(0) && told.contains("do not use checkpoints"), "{told}");
    }
}

fn mode(path: impl AsRef<Path>) -> u32 {
    path.as_ref().metadata().expect("a file").permissions().mode() & 0o777
}

#[test]
fn state_report_and_dead_letters_are_private() {
    let env = TestEnv::new();
    env.write("rows.csv", "n\n0\nx\n1,2\n");
    let letters = "[dead_letter]\ntype = \"file\"\npath = \"rejected/letters.jsonl\"\n";
    env.write("p.toml", format!("{PIPELINE}{letters}"));
    env.run(["run", "p.toml", "--report", "report.json"]).assert_code(0);
    assert_eq!(env.read("rejected/letters.jsonl").lines().count(), 1);
    for folder in ["state", "state/p", "rejected"] {
        assert_eq!(mode(env.path(folder)), 0o700, "{folder}");
    }
    for file in ["state/p/rows.json", "state/p/lock", "rejected/letters.jsonl", "report.json"] {
        assert_eq!(mode(env.path(file)), 0o600, "{file}");
    }
}

#[test]
fn link_in_place_of_a_temporary_file_is_not_followed() {
    let env = TestEnv::new();
    env.write("rows.csv", "n\n0\n");
    env.write("p.toml", PIPELINE);
    env.write("victim", "precious");
    std::fs::create_dir_all(env.path("state/p")).expect("a folder");
    symlink(env.path("victim"), env.path("state/p/rows.json.new")).expect("a link");
    symlink(env.path("victim"), env.path(".report.json.new")).expect("a link");
    env.run(["run", "p.toml", "--report", "report.json"]).assert_code(0);
    assert_eq!(env.read("victim"), "precious");
    assert!(env.path("state/p/rows.json").is_file() && env.path("report.json").is_file());
}

#[test]
fn checkpoint_show_prints_no_token() {
    let env = TestEnv::new();
    env.write(
        "p.toml",
        "[sources.api]\ntype = \"http\"\nendpoint = \"http://127.0.0.1:1/\"\n\
         pagination = { type = \"cursor\", cursor = \"/next\", param = \"after\" }\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"api\"]\n",
    );
    let position =
        json!({ "request": { "cursor": "hush" }, "taken": 3, "hash": "0123456789abcdef", "offset": 7 });
    let checkpoint = json!({
        "version": 1, "pipeline": "p", "component": "api", "plugin": "http",
        "identity": "GET http://127.0.0.1:1/", "position": position, "next_entry": 7, "reserved": 7,
    });
    env.write("state/p/api.json", checkpoint.to_string());
    let shown = env.run(["checkpoint", "show", "p.toml"]);
    shown.assert_code(0);
    assert!(!shown.stdout.contains("hush") && shown.stdout.contains("\"taken\":3"), "{}", shown.stdout);
}

#[test]
fn two_states_that_number_for_one_source_are_detected() {
    let s3 = S3::start();
    s3.create_bucket("lake");
    let mut env = TestEnv::new();
    s3.configure(&mut env);
    let (one, two) = (Api::start("[{\"a\":1}]"), Api::start("[{\"b\":10}]"));
    env.write(
        "twin.toml",
        "[sources.api]\ntype = \"http\"\nendpoint = \"${API}\"\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"api\"]\nbucket = \"lake\"\nkey = \"{{ entry }}.json\"\n",
    );
    env.set("API", one.url());
    env.run(["run", "twin.toml", "--data-dir", "one"]).assert_code(0);
    env.set("API", two.url());
    let conflict = env.run(["run", "twin.toml", "--data-dir", "two"]);
    conflict.assert_code(65).assert_says(&["entry 0 of `twin/api` was given twice", "data_dir"]);
    assert_eq!(s3.read("lake", "0.json"), "{\"a\":1}");
}

#[test]
fn equal_record_of_another_source_is_another_record() {
    let s3 = S3::start();
    s3.create_bucket("lake");
    let mut env = TestEnv::new();
    s3.configure(&mut env);
    let api = Api::start("[{\"state\":\"up\"}]");
    env.set("API", api.url());
    let pipeline = "[sources.api]\ntype = \"http\"\nendpoint = \"${API}\"\n\
        [sinks.lake]\ntype = \"s3\"\ninputs = [\"api\"]\nbucket = \"lake\"\nkey = \"{{ entry }}.json\"\n";
    for name in ["one.toml", "two.toml"] {
        env.write(name, pipeline);
    }
    env.run(["run", "one.toml"]).assert_code(0);
    let conflict = env.run(["run", "two.toml"]);
    conflict.assert_code(65).assert_says(&[
        "s3://lake/0.json is the object of another record, which has the same content",
        "entry 0 was numbered by `one/api`, this record by `two/api`",
    ]);
    // Read again by the same source, in another state, it may be the same record: stored, with a warning.
    let again = env.run(["run", "one.toml", "--from-start"]);
    again.assert_code(0).assert_says(&["counts as stored, but entry 0 of `one/api` was given twice"]);
    assert_eq!(s3.count("lake"), 1);
}
