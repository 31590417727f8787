//! The names of objects: folders by fields of the records, names that end as a format does, and what they mean for the table.

use super::{crawl, query, s3, validate};
use crate::support::TestEnv;
use crate::support::cloud::Cloud;

/// A pipeline from CSV rows through `to_json` into the offline bucket, with a crawler over the objects.
fn write(env: &TestEnv, rows: &str, key: &str) {
    env.write("rows.csv", rows);
    let json = "[transforms.json]\ntype = \"to_json\"\ninputs = [\"rows\"]\n\n";
    let lake = s3("a", "stock-market-local", key).replace("[\"rows\"]", "[\"json\"]");
    let crawl = crawl("crawl", "a", "one", "every = \"0s\"").replace("\"d\"", "\"prices\"");
    let letters = "[dead_letter]\ntype = \"file\"\npath = \"rejected.jsonl\"\n";
    let source = "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\n";
    env.write("lake.toml", [source, json, &lake, &crawl, letters].concat());
}

#[test]
fn folders_by_fields_are_partitions_and_object_names_are_stable() {
    let mut env = TestEnv::new();
    let cloud = Cloud::start(&env, &["--data", "data"]);
    cloud.configure(&mut env);
    let rows =
        "Index,Date,Close\nNYA,2024-01-31,1.5\nHSI/2,2024-01-31,2.5\nNYA,2024-02-01,3.5\n,2024-02-01,4.5\n";
    write(&env, rows, "prices/day={{ .Date }}/by_index={{ .Index }}/{{ entry }}.json");
    env.run(["run", "lake.toml"]).assert_code(0);
    let object = |name: &str| env.path(format!("data/s3/stock-market-local/prices/{name}"));
    let names = [
        "day=2024-01-31/by_index=NYA/0.json",
        "day=2024-01-31/by_index=HSI%2F2/1.json",
        "day=2024-02-01/by_index=NYA/2.json",
    ];
    assert!(names.iter().all(|name| object(name).exists()), "{:?}", object(""));
    let reason = env.read("rejected.jsonl");
    assert!(reason.contains("`Index` (`key`)") && reason.lines().count() == 1, "{reason}");

    let sum = "SELECT by_index, sum(close) AS s FROM prices WHERE day >= '2024-01-31' GROUP BY 1 ORDER BY 1";
    let outcome = query(&env, sum);
    outcome.assert_code(0);
    assert!(outcome.stdout.contains("\"NYA\",\"5.0\""), "{}", outcome.stdout);

    env.run(["run", "lake.toml", "--from-start"]).assert_code(0);
    let again = query(&env, "SELECT count(*) AS n FROM prices");
    assert!(again.stdout.contains("\"3\""), "{}", again.stdout);
}

#[test]
fn ambiguous_key_or_repeated_column_is_refused_with_a_fix() {
    let crawled = |key: &str| [s3("a", "lake", key), crawl("crawl", "a", "one", "")].concat();
    for (sinks, says) in [
        (s3("a", "lake", "day=%Y-%m-%d/{{ entry }}.json"), "`day={{ .Date }}`"),
        (s3("a", "lake", "{{ .Index }}.json"), "could give two records the same name"),
        (s3("a", "lake", "{{ Index }}/{{ entry }}.json"), "`{{ .Index }}`, with a dot"),
        (crawled("t/index={{ .Index }}/{{ entry }}.json"), "as in `by_index={{ .Index }}`"),
        (crawled("t/{{ entry }}.json.gz"), "end the key with `.json`"),
    ] {
        let (_env, outcome) = validate(&sinks);
        outcome.assert_code(78).assert_says(&["`key`", says]);
    }
    validate(&crawled("t/by_index={{ .Index }}/{{ entry }}.json")).1.assert_code(0);
    validate(&s3("a", "lake", "t/index={{ .Index }}/{{ entry }}.json")).1.assert_code(0);
    let letters =
        "[dead_letter]\ntype = \"s3\"\nbucket = \"lake\"\nkey = \"x/{{ .Index }}/{{ entry }}.json\"\n";
    let (_env, outcome) = validate(&[s3("a", "lake", "t/{{ entry }}"), letters.into()].concat());
    outcome.assert_code(78).assert_says(&["a dead letter has no fields"]);
}

#[test]
fn folder_with_a_fixed_value_is_a_partition_of_the_default_target() {
    let mut env = TestEnv::new();
    let cloud = Cloud::start(&env, &["--data", "data"]);
    cloud.configure(&mut env);
    write(&env, "id,Year\n1,\n2,2024\n", "t/year=2024/{{ entry }}.json");
    env.run(["run", "lake.toml"]).assert_code(0);
    let reason = env.read("rejected.jsonl");
    assert!(reason.contains("has the name of a folder") && reason.lines().count() == 1, "{reason}");
    write(&env, "id\n1\n2\n", "u/year=2024/{{ entry }}.json");
    env.write("lake.toml", env.read("lake.toml").replace("\"one\"", "\"two\""));
    env.run(["run", "lake.toml", "--from-start"]).assert_code(0);
    let outcome = query(&env, "SELECT id, year FROM u ORDER BY id");
    outcome.assert_code(0);
    assert!(outcome.stdout.contains("\"2\",\"2024\""), "{}", outcome.stdout);
}

#[test]
fn object_that_is_not_what_its_name_says_is_warned_of_once() {
    let mut env = TestEnv::new();
    let cloud = Cloud::start(&env, &["--data", "data"]);
    cloud.configure(&mut env);
    let run = |key: &str, direct: bool| {
        write(&env, "id\n1\n2\n3\n", key);
        let lake = env.read("lake.toml");
        let at = |block: &str| lake.find(block).expect("the block");
        let (source, sink) = (&lake[..at("[transforms.json]")], &lake[at("[sinks.a]")..at("[sinks.crawl]")]);
        if direct {
            env.write("lake.toml", format!("{source}{}", sink.replace("[\"json\"]", "[\"rows\"]")));
        } else {
            env.write("lake.toml", &lake[..at("[sinks.crawl]")]);
        }
        let outcome = env.run(["run", "lake.toml", "--from-start"]);
        outcome.assert_code(0);
        outcome.stderr.matches("cannot read it").count()
    };
    assert_eq!(run("a/{{ entry }}.json", false), 0);
    assert_eq!(run("b/{{ entry }}.json.gz", false), 1);
    assert_eq!(run("c/{{ entry }}.parquet", true), 1);
    assert_eq!(run("d/{{ entry }}.csv", true), 0);
}

#[test]
fn options_of_other_sinks_are_refused_with_what_to_do_instead() {
    for (option, says) in [
        ("compression = \"gzip\"", "docs/aws.md"),
        ("batch = { max_events = 100 }", "docs/aws.md"),
        ("key_prefix = \"date=%F/\"", "`key` is the whole name"),
    ] {
        let (_env, outcome) = validate(&[s3("a", "lake", "t/{{ entry }}.json"), option.into()].concat());
        outcome.assert_code(78).assert_says(&["unknown option", says]);
    }
    let kafka =
        "[sinks.k]\ntype = \"kafka\"\ninputs = [\"rows\"]\nbootstrap_servers = \"b:9092\"\ntopic = \"t\"\n";
    for (option, code, says) in [
        ("key_field = [\"Index\", \"Date\"]", 78, "`key = \"{{ .Index }}-{{ .Date }}\"`"),
        ("key = \"\"", 78, "leave the option out"),
        ("key = \"Index\"", 0, "written `{{ .Index }}`"),
        ("topics = [\"t\"]", 78, "a sink writes to `topic`"),
    ] {
        let (_env, outcome) = validate(&format!("{kafka}{option}\n"));
        outcome.assert_code(code).assert_says(&[says]);
    }
    let env = TestEnv::new();
    env.write(
        "reads.toml",
        "[sources.k]\ntype = \"kafka\"\nbootstrap_servers = \"b:9092\"\ntopics = [\"t\"]\ngroup_id = \"g\"\n\
         auto_offset_reset = \"2023-01-01T00:00:00Z\"\n\n[sinks.out]\ntype = \"console\"\ninputs = [\"k\"]\n",
    );
    env.run(["validate", "reads.toml"]).assert_code(78).assert_says(&["set `start = "]);
}
