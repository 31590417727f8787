//! Independent clients work with the offline cloud: the `aws` command,
//! boto3, kcat and Kafka's own console tools, with the commands that a user types.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use runner_needs::needs;

use crate::support::TestEnv;
use crate::support::cloud::Cloud;
use crate::support::kafka::tool;
use crate::support::stocks::stocks_csv;

/// An offline cloud, and an environment in which clients find it.
struct Session {
    env: TestEnv,
    cloud: Cloud,
}

impl Session {
    fn new() -> Session {
        let env = TestEnv::new();
        let cloud = Cloud::start(&env, &[]);
        Session { env, cloud }
    }

    fn broker(&self) -> &str {
        self.cloud.get("KAFKA_BOOTSTRAP_SERVERS")
    }

    /// Runs a program with `input` on stdin until it exits.
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Finished {
        let mut command = Command::new(program);
        command.args(arguments);
        self.finish(command, input)
    }

    fn finish(&self, mut command: Command, input: &str) -> Finished {
        let shown = format!("{command:?}");
        let mut child = command
            .current_dir(self.env.path(""))
            .envs(self.cloud.variables().iter().cloned())
            .env_remove("AWS_PROFILE")
            .env("AWS_PAGER", "")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starting a client");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("feeding a client");
        let output = child.wait_with_output().expect("a client's end");
        Finished {
            shown,
            is_ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn aws(&self, arguments: &[&str]) -> Finished {
        self.run("aws", arguments, "")
    }
}

struct Finished {
    shown: String,
    is_ok: bool,
    stdout: String,
    stderr: String,
}

impl Finished {
    /// The output; fails the test if the program failed.
    #[track_caller]
    fn ok(&self) -> &str {
        assert!(self.is_ok, "{} failed:\n{}\n{}", self.shown, self.stdout, self.stderr);
        self.stdout.trim()
    }

    /// Fails the test unless the program failed with this message.
    #[track_caller]
    fn assert_fails_with(&self, part: &str) {
        assert!(!self.is_ok, "{} succeeded:\n{}", self.shown, self.stdout);
        assert!(self.stderr.contains(part), "{} did not say {part:?}:\n{}", self.shown, self.stderr);
    }
}

#[needs(aws)]
#[test]
fn aws_cli_stores_lists_and_removes_objects() {
    let session = Session::new();
    session.env.write("folder/a.json", "{\"a\":1}");
    session.env.write("folder/deep/b.json", "{\"b\":2}");
    session.aws(&["s3", "mb", "s3://mine"]).ok();
    session.aws(&["s3", "cp", "folder/a.json", "s3://mine/x/a.json"]).ok();
    session.aws(&["s3", "sync", "folder", "s3://mine/all/"]).ok();
    let listed = session.aws(&["s3", "ls", "s3://mine", "--recursive"]);
    for key in ["x/a.json", "all/a.json", "all/deep/b.json"] {
        assert!(listed.ok().contains(key), "{}", listed.stdout);
    }
    assert!(session.aws(&["s3", "ls", "s3://mine/all/"]).ok().contains("PRE deep/"));
    assert_eq!(session.aws(&["s3", "cp", "s3://mine/all/deep/b.json", "-"]).ok(), "{\"b\":2}");
    let again = ["s3api", "put-object", "--bucket", "mine", "--key", "x/a.json", "--if-none-match", "*"];
    session.aws(&again).assert_fails_with("PreconditionFailed");
    session.aws(&["s3", "rb", "s3://mine"]).assert_fails_with("BucketNotEmpty");
    session.aws(&["s3", "cp", "folder/a.json", "s3://nobody/a.json"]).assert_fails_with("NoSuchBucket");
    session.aws(&["s3", "rm", "s3://mine", "--recursive"]).ok();
    session.aws(&["s3", "rb", "s3://mine"]).ok();
}

#[needs(aws)]
#[test]
fn aws_cli_crawls_and_queries() {
    let session = Session::new();
    session.env.write("prices/1.json", "{\"Index\":\"NYA\",\"Adj Close\":528.69}\n");
    session.env.write("prices/2.json", "{\"Index\":\"HSI\",\"Adj Close\":2}\n");
    session.aws(&["s3", "mb", "s3://lake"]).ok();
    session.aws(&["s3", "sync", "prices", "s3://lake/prices/"]).ok();
    session.aws(&["glue", "create-database", "--database-input", "{\"Name\":\"market\"}"]).ok();
    let targets = "{\"S3Targets\":[{\"Path\":\"s3://lake/prices/\"}]}";
    let create = ["glue", "create-crawler", "--name", "c", "--role", "r", "--database-name", "market"];
    session.aws(&[&create[..], &["--targets", targets]].concat()).ok();
    session.aws(&["glue", "start-crawler", "--name", "c"]).ok();
    let state = ["glue", "get-crawler", "--name", "c", "--query", "Crawler.State", "--output", "text"];
    crate::support::wait_until("the end of the crawl", Duration::from_secs(60), || {
        session.aws(&state).ok() == "READY"
    });
    let columns = ["--query", "Table.StorageDescriptor.Columns[].[Name,Type]", "--output", "text"];
    let table = session.aws(
        &[&["glue", "get-table", "--database-name", "market", "--name", "prices"], &columns[..]].concat(),
    );
    assert_eq!(table.ok(), "index\tstring\nadj close\tdouble");
    let sql = "SELECT index, \"adj close\" FROM prices ORDER BY index";
    let context =
        ["--query-execution-context", "Database=market", "--query", "QueryExecutionId", "--output", "text"];
    let started =
        session.aws(&[&["athena", "start-query-execution", "--query-string", sql], &context[..]].concat());
    let id = started.ok();
    let state = ["--query", "QueryExecution.Status.State", "--output", "text"];
    let state = [&["athena", "get-query-execution", "--query-execution-id", id], &state[..]].concat();
    crate::support::wait_until("the answer", Duration::from_secs(60), || {
        session.aws(&state).ok() == "SUCCEEDED"
    });
    let rows = ["--query", "ResultSet.Rows[].Data[].VarCharValue", "--output", "text"];
    let rows =
        session.aws(&[&["athena", "get-query-results", "--query-execution-id", id], &rows[..]].concat());
    assert_eq!(rows.ok(), "index\tadj close\tHSI\t2.0\tNYA\t528.69");
    session.aws(&["glue", "start-crawler", "--name", "nobody"]).assert_fails_with("EntityNotFoundException");
}

#[needs(boto3)]
#[test]
fn boto3_paginates_and_reads_error_codes() {
    let session = Session::new();
    let script = include_str!("clients/boto3_session.py");
    let done = session.run("python3", &["-"], script);
    assert_eq!(done.ok(), "all checks passed");
}

#[needs(kcat)]
#[test]
fn kcat_writes_and_reads_with_and_without_group() {
    let session = Session::new();
    let broker = session.broker().to_owned();
    let tools = |arguments: &[&str], input: &str| {
        session.run("kcat", &[&["-b", &broker][..], arguments].concat(), input)
    };
    // The embedded broker creates no topic by itself, so the runner creates it.
    session.env.write("rows.csv", stocks_csv(20, 1));
    session.env.write(
        "rows.toml",
        format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n[transforms.json]\ntype = \"to_json\"\n\
             inputs = [\"rows\"]\n[sinks.broker]\ntype = \"kafka\"\ninputs = [\"json\"]\n\
             bootstrap_servers = \"{broker}\"\ntopic = \"rows\"\n"
        ),
    );
    session.env.run(["run", "rows.toml"]).assert_code(0);
    tools(&["-P", "-t", "rows", "-K", ":", "-H", "from=kcat", "-z", "snappy"], "k:one\nk:two\n").ok();
    let listed = tools(&["-L", "-t", "rows"], "");
    assert!(listed.ok().contains("topic \"rows\" with"), "{}", listed.stdout);
    let read = tools(&["-C", "-t", "rows", "-o", "beginning", "-e", "-q"], "");
    assert_eq!(read.ok().lines().count(), 22);
    // From the middle of a batch to the end.
    let partition = ["-C", "-t", "rows", "-p", "0", "-e", "-q", "-f", "%o %h\n"];
    let all = tools(&[&partition[..], &["-o", "beginning"]].concat(), "");
    let later = tools(&[&partition[..], &["-o", "7"]].concat(), "");
    let expected: Vec<&str> = all.ok().lines().skip(7).collect();
    assert_eq!(later.ok().lines().collect::<Vec<_>>(), expected);
    let group = tools(&["-G", "readers", "-o", "beginning", "-e", "-q", "rows"], "");
    assert_eq!(group.ok().lines().count(), 22);
    let again = tools(&["-G", "readers", "-e", "-q", "rows"], "");
    assert_eq!(again.ok(), "");
}

#[needs(java)]
#[test]
fn kafka_console_tools_work_with_embedded_broker() {
    let session = Session::new();
    let broker = session.broker().to_owned();
    let run = |class: &str, arguments: &[&str], input: &str| -> String {
        let mut command = tool(class);
        command.args(["--bootstrap-server", &broker]).args(arguments);
        session.finish(command, input).ok().to_owned()
    };
    let topics = "org.apache.kafka.tools.TopicCommand";
    run(topics, &["--create", "--topic", "console", "--partitions", "2"], "");
    assert_eq!(run(topics, &["--list"], ""), "console");
    let described = run(topics, &["--describe", "--topic", "console"], "");
    assert!(described.contains("PartitionCount: 2"), "{described}");
    let lines: String = (0..50).map(|n| format!("line {n}\n")).collect();
    run("org.apache.kafka.tools.ConsoleProducer", &["--topic", "console"], &lines);
    let consume =
        ["--topic", "console", "--from-beginning", "--group", "console-readers", "--max-messages", "50"];
    let read = run("org.apache.kafka.tools.consumer.ConsoleConsumer", &consume, "");
    let mut read: Vec<&str> = read.lines().filter(|line| line.starts_with("line ")).collect();
    read.sort_unstable_by_key(|line| line[5..].parse::<u32>().expect("a number"));
    assert_eq!(read, lines.lines().collect::<Vec<_>>());
    let offsets = run("org.apache.kafka.tools.GetOffsetShell", &["--topic", "console"], "");
    let sum: u64 = offsets.lines().filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok()).sum();
    assert_eq!(sum, 50, "{offsets}");
    let groups = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand";
    let listed = run(groups, &["--list"], "");
    assert!(listed.contains("console-readers"), "{listed}");
    let lag = run(groups, &["--describe", "--group", "console-readers"], "");
    let lag_of = |line: &str| line.split_whitespace().nth(5).and_then(|lag| lag.parse::<u64>().ok());
    assert_eq!(lag.lines().filter_map(lag_of).sum::<u64>(), 0, "{lag}");
}
