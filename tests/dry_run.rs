//! `runner test` and `runner run --dry-run`: what a pipeline would do, without doing it.

use std::path::Path;

use crate::support::{TestEnv, wait_until};

const ROWS: &str = "Index,Close\nNYA,1.50\nN225,x\nHSI,3\n";

/// Rows with a declared type, so that one of them is rejected.
fn pipeline(sinks: &str) -> String {
    format!(
        "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\ntypes = {{ Close = \"float\" }}\n\
         [transforms.pace]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = 1\nper = \"1h\"\n\
         [transforms.json]\ntype = \"to_json\"\ninputs = [\"pace\"]\n{sinks}"
    )
}

fn file_sink() -> String {
    pipeline("[sinks.out]\ntype = \"file\"\ninputs = [\"json\"]\npath = \"out.jsonl\"\n")
}

fn test_of(inputs: &str, outputs: &str) -> String {
    format!(
        "{}[[tests]]\nname = \"prices\"\n[[tests.inputs]]\n{inputs}\n[[tests.outputs]]\n{outputs}\n",
        file_sink()
    )
}

fn env(pipeline: &str) -> TestEnv {
    let env = TestEnv::new();
    env.write("rows.csv", ROWS);
    env.write("p.toml", pipeline);
    env
}

/// What the environment holds besides the two files of every test.
fn left_behind(env: &TestEnv) -> Vec<String> {
    let names = std::fs::read_dir(env.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.retain(|name| !matches!(name.as_str(), "rows.csv" | "p.toml"));
    names.sort();
    names
}

#[test]
fn test_passes_on_given_records_and_opens_nothing() {
    let env = env(&test_of(
        "at = \"pace\"\nrecords = ['{\"b\": 1, \"a\": 2}', 'x']",
        "at = \"out\"\nrecords = ['{\"a\":2,\"b\":1}']\nrejected = 1",
    ));
    std::fs::remove_file(env.path("rows.csv")).unwrap();
    let outcome = env.run(["test", "p.toml"]);
    outcome.assert_code(0);
    assert_eq!(outcome.stdout, "p.toml\n  ok    prices\n1 passed, 0 failed\n");
    assert_eq!(left_behind(&env), Vec::<String>::new());
}

#[test]
fn test_reads_a_csv_file_with_the_options_of_the_source() {
    let env = env(&test_of(
        "at = \"rows\"\ncsv = \"other.csv\"",
        "at = \"json\"\nrecords = ['{\"Index\":\"A\",\"Close\":1.0}', '{\"Index\":\"B\",\"Close\":2.5}']\nrejected = 1",
    ));
    // The throttle lets one record pass in an hour.
    env.write("other.csv", "Index,Close\nA,1\nA,bad\nB,2.5\n");
    env.run(["test", "p.toml"]).assert_code(0);
}

#[test]
fn test_that_fails_shows_the_difference_and_the_rejects() {
    let env = env(&test_of(
        "at = \"rows\"\ncsv = \"rows.csv\"",
        "at = \"json\"\nrecords = ['{\"Index\":\"NYA\",\"Close\":1.5}', '{\"Index\":\"HSI\",\"Close\":4}']",
    ));
    let outcome = env.run(["test", "p.toml"]);
    outcome.assert_code(1);
    for part in
        ["FAIL  prices", "record 2 differs", "-   \"Close\": 4", "+   \"Close\": 3.0", "rejected by `rows`"]
    {
        assert!(outcome.stdout.contains(part), "no {part:?} in:\n{}", outcome.stdout);
    }
    assert!(outcome.stdout.ends_with("0 passed, 1 failed\n"), "{}", outcome.stdout);
}

#[test]
fn test_counts_records_and_junit_names_what_failed() {
    let count = |n: u32| test_of("at = \"rows\"\nfile = \"lines\"", &format!("at = \"json\"\ncount = {n}"));
    let env = env(&count(2));
    env.write("lines", "{\"a\":1}\n\n{\"a\":2}\n");
    env.run(["test", "p.toml"]).assert_code(0);
    env.write("p.toml", count(3));
    let outcome = env.run(["test", "--format", "junit", "p.toml"]);
    outcome.assert_code(1);
    for part in ["<?xml", "tests=\"1\"", "failures=\"1\"", "name=\"prices\"", "expected 3 records, found 2"] {
        assert!(outcome.stdout.contains(part), "no {part:?} in:\n{}", outcome.stdout);
    }
}

#[test]
fn mistake_in_a_test_is_shown_at_its_place() {
    let cases = [
        (
            "at = \"rowz\"\nrecords = []",
            "at = \"json\"\ncount = 0",
            "no component is called `rowz`",
            "help: a similar name exists",
        ),
        (
            "at = \"out\"\nrecords = []",
            "at = \"json\"\ncount = 0",
            "`out` is a sink",
            "a source or a transform",
        ),
        ("at = \"rows\"", "at = \"json\"\ncount = 0", "gives no records", "records, file, csv, answer"),
        ("at = \"rows\"\nanswer = \"a\"", "at = \"json\"\ncount = 0", "does not read `answer`", "use `csv`"),
        (
            "at = \"rows\"\nrecords = []",
            "at = \"rows\"\ncount = 0",
            "`rows` is a source",
            "a transform or a sink",
        ),
        ("at = \"rows\"\nrecords = []", "at = \"json\"", "checks nothing", "count, rejected"),
        (
            "at = \"rows\"\nrecords = []\ntimestamp = \"today\"",
            "at = \"json\"\ncount = 0",
            "`today` is not a time in UTC",
            "`2024-01-31T09:30:00Z`",
        ),
        (
            "at = \"rows\"\ncsv = \"a.csv\"\nkey = \"a\"",
            "at = \"json\"\ncount = 0",
            "`key` belongs to `records` or `file`",
            "remove it",
        ),
        ("at = \"rows\"\nrecords = []", "at = \"json\"\ncuont = 0", "unknown option `cuont`", "count"),
    ];
    for (inputs, outputs, message, advice) in cases {
        let env = env(&test_of(inputs, outputs));
        for verb in ["validate", "test"] {
            let outcome = env.run([verb, "p.toml"]);
            outcome.assert_code(78);
            for part in [message, advice, "--> p.toml:"] {
                assert!(outcome.stderr.contains(part), "no {part:?} in:\n{}", outcome.stderr);
            }
        }
    }
}

#[test]
fn stock_pipelines_pass_their_own_tests() {
    let mut env = TestEnv::new();
    env.set("STOCKS_BUCKET", "my-lake")
        .set("STOCKS_API", "http://127.0.0.1:1")
        .set("STOCKS_DAILY_API", "http://127.0.0.1:1");
    for api in ["ALPHAVANTAGE", "EODHD", "FINNHUB", "FRED", "MARKETSTACK", "POLYGON", "TIINGO"] {
        env.set(&format!("{api}_KEY"), "key");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut files: Vec<_> = [folder.join("apis"), folder]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 15, "{files:?}");
    let outcome =
        env.run(["test".into()].into_iter().chain(files.iter().map(|it| it.as_os_str().to_owned())));
    outcome.assert_code(0);
    assert!(!outcome.stdout.contains("\n0 passed"), "{}", outcome.stdout);
}

#[test]
fn pipelines_of_the_shaping_page_pass_their_tests() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/shaping.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = page.split("\n```toml\n").skip(1).map(|rest| {
        let (block, _) = rest.split_once("\n```\n").expect("a block that ends");
        format!("{block}\n")
    });
    let pipelines: Vec<String> = blocks.filter(|block| block.contains("[[tests]]")).collect();
    assert!(pipelines.len() >= 10, "only {} pipelines were found", pipelines.len());
    let env = TestEnv::new();
    let mut arguments = vec!["test".to_owned()];
    for (pipeline, number) in pipelines.iter().zip(1..) {
        let name = format!("p{number}.toml");
        env.write(&name, pipeline);
        arguments.push(name);
    }
    let outcome = env.run(arguments);
    outcome.assert_code(0);
    let passed = outcome.stdout.matches("  ok    ").count();
    assert!(passed >= pipelines.len(), "{}", outcome.stdout);
}

#[test]
fn dry_run_shows_every_stage_and_stores_nothing() {
    let env = env(&file_sink());
    let outcome = env.run(["run", "p.toml", "--data-dir", "state", "--dry-run", "2"]);
    outcome.assert_code(0);
    let expected = [
        "p: record 1, entry 0",
        "rows  csv       NYA,1.50",
        "pace  throttle  unchanged",
        "json  to_json   {\"Index\":\"NYA\",\"Close\":1.50}",
        "would store: a line of ",
        "p: record 2, entry 1",
        "rejected: ",
    ];
    for part in expected {
        assert!(outcome.stdout.contains(part), "no {part:?} in:\n{}", outcome.stdout);
    }
    assert!(!outcome.stdout.contains("HSI"), "{}", outcome.stdout);
    assert_eq!(left_behind(&env), Vec::<String>::new());
}

#[test]
fn dry_run_feeds_a_crawl_only_what_its_bucket_would_store() {
    let env = env("[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"rows\"]\nbucket = \"lake\"\nkey = \"rows/{{ entry }}.json\"\n\
         [sinks.crawl]\ntype = \"glue_crawl\"\ninputs = [\"lake\"]\ndatabase = \"d\"\ncrawler = \"c\"\nrole = \"r\"\n");
    let outcome = env.run(["run", "--dry-run=1", "p.toml"]);
    outcome.assert_code(0);
    assert!(outcome.stdout.contains("lake   s3          rejected: "), "{}", outcome.stdout);
    assert!(!outcome.stdout.contains("would receive it"), "{}", outcome.stdout);
}

#[test]
fn dry_run_shows_parts_new_columns_and_why_a_record_is_filtered() {
    let env = env("[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [transforms.names]\ntype = \"select\"\ninputs = [\"rows\"]\nfields = { i = \"Index\", c = \"Close\" }\n\
         [transforms.parts]\ntype = \"remap\"\ninputs = [\"names\"]\nsource = '. = [., {\"i\": \"x\"}]'\n\
         [transforms.known]\ntype = \"filter\"\ninputs = [\"parts\"]\ncondition = '.i == \"NYA\"'\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"known\"]\n");
    let outcome = env.run(["run", "--dry-run=1", "p.toml"]);
    outcome.assert_code(0);
    for part in [
        "rows   csv      NYA,1.50",
        "names  select   NYA,1.50  columns i, c",
        "parts  remap    entry 0-0  {\"c\":\"1.50\",\"i\":\"NYA\"}",
        "parts  remap    entry 0-1  {\"i\":\"x\"}",
        "known  filter   entry 0-1  filtered: the condition is false",
        "out    console  entry 0-0  would receive it",
    ] {
        assert!(outcome.stdout.contains(part), "no {part:?} in:\n{}", outcome.stdout);
    }
    env.run(["run", "--dry-run=0", "p.toml"]).assert_code(2);
}

#[test]
fn dry_run_starts_where_the_next_run_would_and_moves_nothing() {
    let env = env(&pipeline(
        "[transforms.first]\ntype = \"limit\"\ninputs = [\"json\"]\nrecords = 1\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"first\"]\npath = \"out.jsonl\"\n",
    ));
    env.write("rows.csv", "Index,Close\nNYA,1\nHSI,2\n");
    env.run(["run", "p.toml", "--data-dir", "state"]).assert_code(0);
    let before = (env.read("out.jsonl"), env.read("state/p/rows.json"));
    for _ in 0..2 {
        let outcome = env.run(["run", "--dry-run", "--data-dir", "state", "p.toml"]);
        outcome.assert_code(0);
        assert!(!outcome.stdout.contains("NYA") && outcome.stdout.contains("entry 1"), "{}", outcome.stdout);
    }
    assert_eq!((env.read("out.jsonl"), env.read("state/p/rows.json")), before);
    let whole = env.run(["run", "--dry-run", "--from-start", "--data-dir", "state", "p.toml"]);
    assert!(whole.stdout.contains("record 1, entry 0"), "{}", whole.stdout);
    assert_eq!((env.read("out.jsonl"), env.read("state/p/rows.json")), before);
}

#[test]
fn dry_run_names_the_topic_and_the_object_without_a_service() {
    let env = env(&pipeline(
        "[sinks.broker]\ntype = \"kafka\"\ninputs = [\"json\"]\nbootstrap_servers = \"127.0.0.1:1\"\n\
         topic = \"px\"\nkey_field = \"Index\"\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"json\"]\nbucket = \"my-lake\"\nkey = \"px/{{ entry }}.json\"\n",
    ));
    let outcome = env.run(["run", "--dry-run=1", "p.toml"]);
    outcome.assert_code(0);
    for part in ["would store: topic `px`, key `NYA`", "would store: s3://my-lake/px/0.json"] {
        assert!(outcome.stdout.contains(part), "no {part:?} in:\n{}", outcome.stdout);
    }
}

#[test]
fn answer_of_an_api_goes_through_the_options_of_the_source() {
    let env = env(
        "[sources.api]\ntype = \"http\"\nendpoint = \"http://127.0.0.1:1/{{ symbol }}\"\nrecords = \"/data\"\n\
         interval = \"1h\"\nfor_each = [{ symbol = \"^nya\", index = \"NYA\" }, { symbol = \"^hsi\", index = \"HSI\" }]\n\
         pagination = { type = \"next_url\", next = \"/next\" }\nremap = '.c = to_float!(.c)'\n\
         add = { Index = \"{{ index }}\" }\n\
         [sinks.out]\ntype = \"null\"\ninputs = [\"api\"]\n\
         [[tests]]\nname = \"a page\"\n[[tests.inputs]]\nat = \"api\"\nanswer = \"page.json\"\n\
         element = { symbol = \"^hsi\" }\n[[tests.outputs]]\nat = \"out\"\n\
         records = ['{\"c\":1.5,\"Index\":\"HSI\"}', '{\"c\":2.0,\"Index\":\"HSI\"}']\nrejected = 1\n",
    );
    env.write(
        "page.json",
        "{\"data\":[{\"c\":\"1.5\"},{\"c\":\"x\"},{\"c\":\"2\"}],\"next\":\"http://127.0.0.1:1/2\"}",
    );
    let outcome = env.run(["test", "p.toml"]);
    outcome.assert_code(0);
    assert_eq!(outcome.stdout, "p.toml\n  ok    a page\n1 passed, 0 failed\n");
}

#[test]
fn answer_that_is_empty_or_an_error_is_treated_as_in_a_run() {
    let test = |name: &str, count: u32| {
        format!(
            "[[tests]]\nname = \"{name}\"\n[[tests.inputs]]\nat = \"api\"\nanswer = \"{name}.json\"\n\
             [[tests.outputs]]\nat = \"out\"\ncount = {count}\n"
        )
    };
    let env = env(&format!(
        "[sources.api]\ntype = \"http\"\nendpoint = \"http://127.0.0.1:1/\"\n\
         responses = {{ empty = [{{ at = \"/s\", is = \"none\" }}], fail = [\"/error\"], retry = [\"/note\"] }}\n\
         [sinks.out]\ntype = \"null\"\ninputs = [\"api\"]\n{}{}{}",
        test("empty", 0),
        test("fail", 1),
        test("retry", 1)
    ));
    env.write("empty.json", r#"{"s":"none"}"#);
    env.write("fail.json", r#"{"error":"no such symbol"}"#);
    env.write("retry.json", r#"{"note":"slow down"}"#);
    let outcome = env.run(["test", "p.toml"]);
    outcome.assert_code(1);
    let said = [
        "  ok    empty",
        "a run would fail: `responses.fail`",
        "a run would repeat the request: `responses.retry`",
    ];
    for part in said {
        assert!(outcome.stdout.contains(part), "no {part:?} in:\n{}", outcome.stdout);
    }
}

#[test]
fn outputs_of_a_route_are_tested_by_name_and_shown() {
    let routed = |at: &str| {
        format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
             [transforms.split]\ntype = \"route\"\ninputs = [\"rows\"]\nroute = {{ nya = '.Index == \"NYA\"' }}\n\
             [transforms.json]\ntype = \"to_json\"\ninputs = [\"split._unmatched\"]\n\
             [sinks.one]\ntype = \"null\"\ninputs = [\"split.nya\"]\n\
             [sinks.rest]\ntype = \"null\"\ninputs = [\"json\"]\n\
             [[tests]]\nname = \"by index\"\n[[tests.inputs]]\nat = \"rows\"\n\
             records = ['{{\"Index\":\"NYA\"}}', '{{\"Index\":\"HSI\"}}']\n\
             [[tests.outputs]]\nat = \"{at}\"\nrecords = ['{{\"Index\":\"NYA\"}}']\n\
             [[tests.outputs]]\nat = \"rest\"\nrecords = ['{{\"Index\":\"HSI\"}}']\n\
             [[tests]]\nname = \"of one output\"\n[[tests.inputs]]\nat = \"split.nya\"\nrecords = ['x']\n\
             [[tests.outputs]]\nat = \"one\"\ncount = 1\n[[tests.outputs]]\nat = \"rest\"\ncount = 0\n"
        )
    };
    let env = env(&routed("split.nya"));
    env.run(["test", "p.toml"]).assert_code(0);
    let shown = env.run(["run", "--dry-run", "p.toml"]);
    assert!(
        shown.stdout.contains("to split.nya") && shown.stdout.contains("to split._unmatched"),
        "{}",
        shown.stdout
    );
    env.write("p.toml", routed("split.nyb"));
    let wrong = env.run(["validate", "p.toml"]);
    wrong.assert_code(78);
    assert!(
        wrong.stderr.contains("has no output `nyb`") && wrong.stderr.contains("split.nya"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn dry_run_of_a_source_that_waits_shows_its_records_when_it_is_stopped() {
    use nix::sys::signal::Signal;

    use crate::support::Api;
    let api = Api::start("[{\"a\":1}]");
    let env = env(&format!(
        "[sources.api]\ntype = \"http\"\nendpoint = \"{}\"\ninterval = \"100ms\"\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"api\"]\n",
        api.url()
    ));
    let running = env.start(["run", "--dry-run", "p.toml", "--log-level", "debug"]);
    // The second request comes after the record of the first.
    wait_until("two requests", std::time::Duration::from_secs(20), || api.n_requests() > 1);
    running.signal(Signal::SIGINT);
    let outcome = running.wait(std::time::Duration::from_secs(20));
    outcome.assert_code(0);
    assert!(outcome.stdout.contains("{\"a\":1}"), "{}", outcome.stdout);
}
