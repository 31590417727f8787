//! What a pipeline file can say, and how its errors are shown.

use crate::support::TestEnv;

/// Runs `validate` on one file; returns its exit code and what it prints.
fn validate(pipeline: &str) -> (i32, String) {
    let env = TestEnv::new();
    env.write("p.toml", pipeline);
    let outcome = env.run(["validate", "p.toml"]);
    (outcome.code(), outcome.stderr)
}

#[track_caller]
fn assert_errors(pipeline: &str, parts: &[&str]) {
    let (code, stderr) = validate(pipeline);
    assert_eq!(code, 78, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "no {part:?} in:\n{stderr}");
    }
}

/// A valid pipeline, except for what is added to it.
fn around(front: &str, source: &str, sink: &str) -> String {
    format!(
        "{front}\n[sources.in]\ntype = \"csv\"\npath = \"a.csv\"\n{source}\n\
         [sinks.out]\ntype = \"null\"\ninputs = [\"in\"]\n{sink}\n"
    )
}

#[test]
fn valid_file_is_accepted() {
    let (code, stderr) = validate(&around("", "", ""));
    assert_eq!((code, stderr.as_str()), (0, "p.toml: ok, pipeline `p` with in, out\n"));
}

#[test]
fn unknown_option_is_shown_with_a_similar_name() {
    let (code, stderr) = validate(&around("", "delimeter = \";\"", ""));
    assert_eq!(code, 78);
    let expected = "\
error: unknown option `delimeter` for source `csv`
 --> p.toml:5:1
  |
3 | type = \"csv\"
  |        ----- the plugin is chosen here
4 | path = \"a.csv\"
5 | delimeter = ***
  | ^^^^^^^^^ source `csv` has no such option
  |
  = note: it has: path, delimiter, header, columns, types, null_values, skip_lines, comment, quote, escape, decimal, thousands, trim, encoding, extra_cells, missing_cells, new_columns, compression, follow
help: a similar name exists
  |
5 - delimeter = ***
5 + delimiter = ***
  |

p.toml has 1 error; nothing was run
";
    assert_eq!(stderr, expected);
}

#[test]
fn habit_of_other_files_error_shows_the_right_form() {
    let broker = |options: &str| {
        format!(
            "[sources.in]\ntype = \"kafka\"\ngroup_id = \"g\"\n{options}\n[sinks.out]\ntype = \"null\"\ninputs = [\"in\"]\n"
        )
    };
    let start = |options: &str| broker(&format!("bootstrap_servers = \"b\"\ntopics = [\"t\"]\n{options}"));
    let quoted = "a name that contains dots is written in quotes: `\"session.timeout.ms\"`";
    for (file, advice) in [
        (start("librdkafka_options.session.timeout.ms = 6000"), quoted),
        (start("librdkafka_options = { session.timeout.ms = 6000 }"), quoted),
        (start("[sources.in.librdkafka_options]\nsession.timeout.ms = 6000"), quoted),
        (start("start = 2024-01-31"), "write quotes around it"),
        (broker("bootstrap_servers = \"b\"\ntopics = \"t\""), "write brackets around it"),
        (broker("bootstrap_servers = [\"b\", \"c\"]\ntopics = [\"t\"]"), "`\"broker-1:9092,broker-2:9092\"`"),
        (
            around("", "name = \"prices\"", ""),
            "`name` is an option of the pipeline: write it above the first table",
        ),
        (
            around("", "retry.timeout = \"1m\"", ""),
            "`retry` is a table of the pipeline: write it as `[retry]`",
        ),
        (start("decoding.codec = \"json\""), "the transform `to_json` checks that it is JSON"),
        (around("", "delimiter = null", ""), "TOML has no null: leave the option out"),
        (around("", "encoding = \"C:\\data\"", ""), "use single quotes, as in 'C:\\data\\rows.csv'"),
        (around("", "// a comment", ""), "a comment begins with `#`"),
        (around("", "header: true", ""), "an option is written as `name = value`"),
        (
            around("", "", "[transforms.pace]\ntype = \"throttle\"\ninputs = [\"in\"]\nrate = 0.5"),
            "rate = 1, per = \"2s\"",
        ),
        (around("[batch]\ndata_dir = \"/srv\"", "", ""), "`data_dir` is an option of the pipeline"),
    ] {
        assert_errors(&file, &[advice]);
    }
}

#[test]
fn all_errors_of_options_are_shown_in_the_order_of_the_file() {
    let pipeline = around(
        "naem = \"x\"\n[retry]\ntimeout = \"5\"\n",
        "header = 3\nnull_value = []",
        "[sinks.other]\ntype = \"nul\"\ninputs = [\"inn\"]",
    );
    let (code, stderr) = validate(&pipeline);
    assert_eq!(code, 78);
    let places: Vec<&str> =
        stderr.lines().filter_map(|line| line.trim().strip_prefix("--> p.toml:")).collect();
    assert_eq!(places, ["1:1", "8:10", "9:1", "14:8"], "{stderr}");
    assert!(stderr.ends_with("p.toml has 4 errors; nothing was run\n"), "{stderr}");
}

#[test]
fn invalid_toml_is_shown_at_its_place_without_values() {
    assert_errors("[sources.in\ntype = \"csv\"\n", &["p.toml:1:", "p.toml has"]);
    assert_errors(&around("", "header = tru", ""), &["p.toml:5:10", "5 | header = ***"]);
}

#[test]
fn wiring_errors_are_refused() {
    assert_errors("", &["has no source", "has no sink", "[sources.NAME]"]);
    assert_errors(
        &around("", "", "[transforms.alone]\ntype = \"to_json\"\ninputs = [\"in\"]"),
        &["nothing takes its input from transform `alone`", "p.toml:9:13"],
    );
    assert_errors(
        &around("", "", "[sinks.in]\ntype = \"null\"\ninputs = [\"out\"]"),
        &["two components are called `in`"],
    );
    assert_errors(
        &around(
            "",
            "",
            "[transforms.a]\ntype = \"to_json\"\ninputs = [\"b\"]\n[transforms.b]\ntype = \"to_json\"\ninputs = [\"a\"]",
        ),
        &["the components form a cycle: ", "b -> a -> b"],
    );
    assert_errors(
        "[sources.in]\ntype='csv'\npath='a'\n[sinks.out]\ntype='null'\n",
        &["sink `out` needs `inputs`"],
    );
    assert_errors(
        "[sources.in]\ntype='csv'\npath='a'\n[sinks.out]\ntype='null'\ninputs=['out']\n",
        &["sink `out` is its own input"],
    );
}

#[test]
fn unknown_plugin_names_the_known_ones() {
    assert_errors(
        &around("", "", "").replace("\"csv\"", "\"throttle\""),
        &["there is no source of type `throttle`", "`throttle` is a transform", "use acme_plugins as _;"],
    );
}

#[test]
fn variables_become_what_the_schema_asks_for() {
    let mut env = TestEnv::new();
    env.set("HEADER", "false").set("EMPTY", "").set("NAME_OF_FILE", "a\"b\n[sinks.evil]");
    env.write(
        "p.toml",
        around("", "header = \"${HEADER}\"\ndelimiter = \"${EMPTY}\"\ncolumns = [\"${NAME_OF_FILE}\"]", ""),
    );
    env.run(["validate", "p.toml"]).assert_code(0);
}

#[test]
fn missing_or_mistyped_variable_is_named() {
    assert_errors(&around("", "delimiter = \"${NOWHERE}\"", ""), &["NOWHERE is not set", "p.toml:5:13"]);
    assert_errors(
        &around("", "delimiter = \"${NOWHERE:?what stands between cells}\"", ""),
        &["set the variable NOWHERE: what stands between cells"],
    );
    assert_errors(
        &around("", "header = \"${NOWHERE:-perhaps}\"", ""),
        &["expected true or false, found a string", "header = \"${NOWHERE:-perhaps}\""],
    );
}

#[test]
fn secret_option_is_never_shown() {
    let mut env = TestEnv::new();
    env.set("API_TOKEN", "s3cr3t-in-the-environment");
    let http = |auth: &str| {
        format!(
            "[sources.in]\ntype = \"http\"\nendpoint = \"http://127.0.0.1:1/\"\nauth = {auth}\n\
             [sinks.out]\ntype = \"null\"\ninputs = [\"in\"]\n"
        )
    };
    for auth in [
        "{ strategy = \"basic\", user = \"u\", password = \"s3cr3t-in-the-file\", pasword = \"s3cr3t-misspelt\" }",
        "{ strategy = \"bearer\", token = \"${API_TOKEN}\", extra = 1 }",
        "{ strategy = \"bearer\", token = [\"s3cr3t-in-a-list\"] }",
        "{ strategy = \"api_key\", in = \"nowhere\", name = \"key\", value = \"s3cr3t-key\" }",
        "{ strategy = \"bearer\", valeu = \"s3cr3t-misspelt\", token = \"a\\\"s3cr3t\" } # the vendor's",
        "{ strategy = \"${API_TOKEN}\", token = \"t\" }",
        "{ strategy = \"bearer\", token = s3cr3t-without-quotes }",
        "\"s3cr3t-alone\"",
        "1\nquery = { k = \"${API_TOKEN}\" }\nheaders = { X-Key = \"s3cr3t-in-a-header\" }\nmethod = 1",
    ] {
        env.write("p.toml", http(auth));
        let outcome = env.run(["validate", "p.toml"]);
        outcome.assert_code(78);
        assert!(!outcome.stderr.contains("s3cr3t"), "{auth} shows:\n{}", outcome.stderr);
    }
}

#[test]
fn error_in_an_env_file_shows_nothing_of_its_line() {
    let env = TestEnv::new();
    env.write("p.toml", around("", "", ""));
    for (line, parts) in [
        ("PASSWORD='s3cr3t", &["--env-file", "prod.env:2: ", "`PASSWORD`", "a quote that is not closed"][..]),
        ("s3cr3t", &["--env-file", "prod.env:2: ", "expected `NAME=value`"]),
    ] {
        env.write("prod.env", format!("# production\n{line}\n"));
        let outcome = env.run(["validate", "p.toml", "--env-file", "prod.env"]);
        outcome.assert_code(2).assert_says(parts);
        assert!(!outcome.stderr.contains("s3cr3t"), "{}", outcome.stderr);
    }
    env.run(["validate", "p.toml", "--env-file", "none.env"]).assert_code(2).assert_says(&["none.env"]);
}

#[test]
fn variable_of_the_environment_wins_over_the_env_file() {
    let mut env = TestEnv::new();
    env.write("prod.env", "ROWS=missing.csv\nSINK=null\n");
    env.write("rows.csv", "n\n1\n");
    env.write(
        "p.toml",
        "[sources.rows]\ntype = \"csv\"\npath = \"${ROWS}\"\n\
         [sinks.out]\ntype = \"file\"\npath = \"${SINK}\"\ninputs = [\"rows\"]\n",
    );
    env.set("ROWS", "rows.csv");
    env.run(["run", "p.toml", "--env-file", "prod.env"]).assert_code(0);
    assert_eq!(env.read("null"), "1\n");
}

#[test]
fn version_names_commit_features_and_librdkafka() {
    let env = TestEnv::new();
    let long = env.run(["--version"]);
    long.assert_code(0);
    for part in ["runner 0.1.0", "commit: ", "features: ", "librdkafka: 2."] {
        assert!(long.stdout.contains(part), "{}", long.stdout);
    }
    assert_eq!(env.run(["-V"]).stdout, "runner 0.1.0\n");
}

#[test]
fn env_file_gives_values_as_they_are_written() {
    let mut env = TestEnv::new();
    env.set("word1", "never");
    env.write("a.csv", "n\n1\n");
    env.write("prod.env", "export OUT=pa$word1.csv # the rows\n");
    env.write("p.toml", around("", "", "").replace("type = \"null\"", "type = \"file\"\npath = \"${OUT}\""));
    env.run(["run", "p.toml", "--env-file", "prod.env"]).assert_code(0);
    assert_eq!(env.read("pa$word1.csv"), "1\n");
}

#[test]
fn aws_endpoint_with_a_password_is_refused() {
    let mut env = TestEnv::new();
    env.write("a.csv", "n\n1\n");
    let lake = |more: &str| {
        format!(
            "[sources.in]\ntype = \"csv\"\npath = \"a.csv\"\n[sinks.lake]\ntype = \"s3\"\ninputs = [\"in\"]\n\
             bucket = \"lake\"\nkey = \"{{{{ entry }}}}\"\n{more}\n"
        )
    };
    env.write("p.toml", lake("endpoint = \"http://ada:s3cr3t@127.0.0.1:1\""));
    let written = env.run(["validate", "p.toml"]);
    written.assert_code(78).assert_says(&["no user and no password"]);
    env.write("p.toml", lake(""));
    env.set("AWS_ENDPOINT_URL", "http://ada:s3cr3t@127.0.0.1:1");
    let set = env.run(["run", "p.toml"]);
    set.assert_code(1).assert_says(&["AWS_ENDPOINT_URL", "no user and no password"]);
    assert!(!set.stderr.contains("s3cr3t"), "{}", set.stderr);
}

#[test]
fn missing_file_is_an_invalid_pipeline_file() {
    let env = TestEnv::new();
    env.run(["run", "nowhere.toml"]).assert_code(78).assert_says(&["there is no such file", "nowhere.toml"]);
    env.run(["run"]).assert_code(2);
    env.run(["walk", "p.toml"]).assert_code(2);
}

#[test]
fn errors_are_reported_stage_by_stage() {
    let pipeline = "[sources.api]\ntype = \"http\"\nendpoint = \"nowhere\"\n\
         [sinks.out]\ntype = \"kafka\"\ninputs = [\"api\"]\ngroup.id = \"g\"\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"API\"]\nbucket = \"s3://b\"\nkey = \"{{ entry }}\"\n";
    assert_errors(
        pipeline,
        &[
            "p.toml:7:1",
            "needs the option `bootstrap_servers`",
            "needs the option `topic`",
            "p.toml has 3 errors",
        ],
    );
    let pipeline = pipeline.replace("group.id = \"g\"", "bootstrap_servers = \"h:9092\"\ntopic = \"t\"");
    assert_errors(&pipeline, &["p.toml:11:11", "no component is called `API`", "p.toml has 1 error"]);
    let pipeline = pipeline.replace("\"API\"", "\"api\"");
    assert_errors(
        &pipeline,
        &["p.toml:3:12", "in `sources.api` (http)", "p.toml:12:10", "p.toml has 2 errors"],
    );
}

#[test]
fn objects_of_two_sources_need_more_than_their_entry_numbers() {
    let sources: String = ["news", "stocks"]
        .map(|name| format!("[sources.{name}]\ntype = \"csv\"\npath = \"a.csv\"\n"))
        .concat();
    let sink = "[sinks.lake]\ntype = \"s3\"\ninputs = [\"stocks\", \"news\"]\nbucket = \"b\"\nkey = \"{{ entry }}\"\n";
    assert_errors(
        &format!("{sources}{sink}"),
        &["p.toml:10:10", "p.toml:11:7", "`news`, `stocks` each count from 0"],
    );
}

#[test]
fn misspelt_plugin_is_suggested_on_the_command_line() {
    TestEnv::new().run(["plugins", "throttl"]).assert_code(2).assert_says(&["did you mean `throttle`?"]);
    let outcome = TestEnv::new().run(["plugins", "http"]);
    assert!(outcome.stdout.contains("strategy = \"basic\""), "{}", outcome.stdout);
}
