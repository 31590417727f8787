//! Clients that have nothing to do with us are content with the offline cloud: the `aws` command,
//! boto3, kcat and Kafka's own console programs, with what a user would type.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use runner_needs::needs;

use crate::support::cloud::Cloud;
use crate::support::kafka::tool;
use crate::support::stocks::stocks_csv;
use crate::support::Scene;

/// A cloud, and programs that find it.
struct Desk {
    scene: Scene,
    cloud: Cloud,
}

impl Desk {
    fn new() -> Desk {
        let scene = Scene::new();
        let cloud = Cloud::start(&scene, &[]);
        Desk { scene, cloud }
    }

    fn broker(&self) -> &str {
        self.cloud.get("KAFKA_BOOTSTRAP_SERVERS")
    }

    /// Runs a program to its end, feeding it `input`.
    fn run(&self, program: &str, arguments: &[&str], input: &str) -> Done {
        let mut command = Command::new(program);
        command.args(arguments);
        self.finish(command, input)
    }

    fn finish(&self, mut command: Command, input: &str) -> Done {
        let shown = format!("{command:?}");
        let mut child = command
            .current_dir(self.scene.path(""))
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
        Done {
            shown,
            is_ok: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn aws(&self, arguments: &[&str]) -> Done {
        self.run("aws", arguments, "")
    }
}

struct Done {
    shown: String,
    is_ok: bool,
    stdout: String,
    stderr: String,
}

impl Done {
    /// What it printed; fails the test if it failed.
    #[track_caller]
    fn ok(&self) -> &str {
        assert!(self.is_ok, "{} failed:\n{}\n{}", self.shown, self.stdout, self.stderr);
        self.stdout.trim()
    }

    /// Fails the test unless it failed and said so.
    #[track_caller]
    fn refused(&self, part: &str) {
        assert!(!self.is_ok, "{} succeeded:\n{}", self.shown, self.stdout);
        assert!(self.stderr.contains(part), "{} did not say {part:?}:\n{}", self.shown, self.stderr);
    }
}

#[test]
#[needs(aws)]
fn aws_cli_stores_lists_and_removes_objects() {
    let desk = Desk::new();
    desk.scene.write("folder/a.json", "{\"a\":1}");
    desk.scene.write("folder/deep/b.json", "{\"b\":2}");
    desk.aws(&["s3", "mb", "s3://mine"]).ok();
    desk.aws(&["s3", "cp", "folder/a.json", "s3://mine/x/a.json"]).ok();
    desk.aws(&["s3", "sync", "folder", "s3://mine/all/"]).ok();
    let listed = desk.aws(&["s3", "ls", "s3://mine", "--recursive"]);
    for key in ["x/a.json", "all/a.json", "all/deep/b.json"] {
        assert!(listed.ok().contains(key), "{}", listed.stdout);
    }
    assert!(desk.aws(&["s3", "ls", "s3://mine/all/"]).ok().contains("PRE deep/"));
    assert_eq!(desk.aws(&["s3", "cp", "s3://mine/all/deep/b.json", "-"]).ok(), "{\"b\":2}");
    let again = ["s3api", "put-object", "--bucket", "mine", "--key", "x/a.json", "--if-none-match", "*"];
    desk.aws(&again).refused("PreconditionFailed");
    desk.aws(&["s3", "rb", "s3://mine"]).refused("BucketNotEmpty");
    desk.aws(&["s3", "cp", "folder/a.json", "s3://nobody/a.json"]).refused("NoSuchBucket");
    desk.aws(&["s3", "rm", "s3://mine", "--recursive"]).ok();
    desk.aws(&["s3", "rb", "s3://mine"]).ok();
}

#[test]
#[needs(aws)]
fn aws_cli_crawls_and_queries() {
    let desk = Desk::new();
    desk.scene.write("prices/1.json", "{\"Index\":\"NYA\",\"Adj Close\":528.69}\n");
    desk.scene.write("prices/2.json", "{\"Index\":\"HSI\",\"Adj Close\":2}\n");
    desk.aws(&["s3", "mb", "s3://lake"]).ok();
    desk.aws(&["s3", "sync", "prices", "s3://lake/prices/"]).ok();
    desk.aws(&["glue", "create-database", "--database-input", "{\"Name\":\"market\"}"]).ok();
    let targets = "{\"S3Targets\":[{\"Path\":\"s3://lake/prices/\"}]}";
    let create = ["glue", "create-crawler", "--name", "c", "--role", "r", "--database-name", "market"];
    desk.aws(&[&create[..], &["--targets", targets]].concat()).ok();
    desk.aws(&["glue", "start-crawler", "--name", "c"]).ok();
    let state = ["glue", "get-crawler", "--name", "c", "--query", "Crawler.State", "--output", "text"];
    crate::support::wait_until("the end of the crawl", Duration::from_secs(60), || {
        desk.aws(&state).ok() == "READY"
    });
    let columns = ["--query", "Table.StorageDescriptor.Columns[].[Name,Type]", "--output", "text"];
    let table = desk.aws(
        &[&["glue", "get-table", "--database-name", "market", "--name", "prices"], &columns[..]].concat(),
    );
    assert_eq!(table.ok(), "index\tstring\nadj close\tdouble");
    let sql = "SELECT index, \"adj close\" FROM prices ORDER BY index";
    let context =
        ["--query-execution-context", "Database=market", "--query", "QueryExecutionId", "--output", "text"];
    let started =
        desk.aws(&[&["athena", "start-query-execution", "--query-string", sql], &context[..]].concat());
    let id = started.ok();
    let state = ["--query", "QueryExecution.Status.State", "--output", "text"];
    let state = [&["athena", "get-query-execution", "--query-execution-id", id], &state[..]].concat();
    crate::support::wait_until("the answer", Duration::from_secs(60), || {
        desk.aws(&state).ok() == "SUCCEEDED"
    });
    let rows = ["--query", "ResultSet.Rows[].Data[].VarCharValue", "--output", "text"];
    let rows = desk.aws(&[&["athena", "get-query-results", "--query-execution-id", id], &rows[..]].concat());
    assert_eq!(rows.ok(), "index\tadj close\tHSI\t2.0\tNYA\t528.69");
    desk.aws(&["glue", "start-crawler", "--name", "nobody"]).refused("EntityNotFoundException");
}

#[test]
#[needs(boto3)]
fn boto3_paginates_and_reads_error_codes() {
    let desk = Desk::new();
    let script = include_str!("clients/boto3_session.py");
    let done = desk.run("python3", &["-"], script);
    assert_eq!(done.ok(), "boto3 is content");
}

#[test]
#[needs(kcat)]
fn kcat_writes_and_reads_with_and_without_group() {
    let desk = Desk::new();
    let broker = desk.broker().to_owned();
    let tools = |arguments: &[&str], input: &str| {
        desk.run("kcat", &[&["-b", &broker][..], arguments].concat(), input)
    };
    // The embedded broker makes no topic by itself: the runner does.
    desk.scene.write("rows.csv", stocks_csv(20, 1));
    desk.scene.write(
        "rows.toml",
        format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n[transforms.json]\ntype = \"to_json\"\n\
             inputs = [\"rows\"]\n[sinks.broker]\ntype = \"kafka\"\ninputs = [\"json\"]\n\
             bootstrap_servers = \"{broker}\"\ntopic = \"rows\"\n"
        ),
    );
    desk.scene.run(["run", "rows.toml"]).assert_code(0);
    tools(&["-P", "-t", "rows", "-K", ":", "-H", "from=kcat", "-z", "snappy"], "k:one\nk:two\n").ok();
    let listed = tools(&["-L", "-t", "rows"], "");
    assert!(listed.ok().contains("topic \"rows\" with"), "{}", listed.stdout);
    let read = tools(&["-C", "-t", "rows", "-o", "beginning", "-e", "-q"], "");
    assert_eq!(read.ok().lines().count(), 22);
    // From inside of a batch to the end.
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

#[test]
#[needs(java)]
fn kafka_console_tools_work_with_embedded_broker() {
    let desk = Desk::new();
    let broker = desk.broker().to_owned();
    let run = |class: &str, arguments: &[&str], input: &str| -> String {
        let mut command = tool(class);
        command.args(["--bootstrap-server", &broker]).args(arguments);
        desk.finish(command, input).ok().to_owned()
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
