//! The speed of the stock flow, compared with a bare loop that does the same work.
//!
//!     cargo bench --bench speed                 # all of it
//!     cargo bench --bench speed -- csv          # CSV -> to_json -> null
//!     cargo bench --bench speed -- kafka        # CSV -> Kafka, compared with kcat
//!     cargo bench --bench speed -- s3           # Kafka -> S3, compared with a bare PUT loop
//!     cargo bench --bench speed -- start        # from the start of the process to the first record
//!     cargo bench --bench speed -- idle         # the memory of an idle consumer
//!
//! Every other figure covers a whole process, from start to exit.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::doc_markdown,
    clippy::unused_self,
    clippy::wildcard_imports,
    clippy::disallowed_methods,
    unreachable_pub,
    dead_code,
    reason = "a benchmark prints, and shares the tests' support"
)]

#[path = "../support/mod.rs"]
mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use runner_core::{Column, ColumnType, Row, Table, TableHeader};
use support::TestEnv;
use support::kafka::Broker;
use support::s3::S3;
use support::stocks::stocks_csv;

/// The number of runs of each command; the median counts.
const RUNS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|it| it != "--bench").collect();
    let is_wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|it| it == name);
    if let [case, path] = &arguments[..]
        && case == "bare-csv"
    {
        return bare_csv(Path::new(path));
    }
    if is_wanted("csv") {
        csv();
    }
    if is_wanted("kafka") {
        kafka();
    }
    if is_wanted("s3") {
        s3();
    }
    if is_wanted("start") {
        start();
    }
    if is_wanted("idle") {
        idle();
    }
}

/// One run of a command: its seconds, and its greatest resident memory in MiB.
fn time(command: &mut Command) -> (f64, f64) {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starting a command");
    let mut peak = 0.0;
    let status = loop {
        let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        peak = kib.unwrap_or(peak * 1024.0) / 1024.0;
        if let Some(status) = child.try_wait().expect("waiting") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let seconds = started.elapsed().as_secs_f64();
    if !status.success() {
        let stderr = std::io::read_to_string(child.stderr.take().expect("piped")).unwrap_or_default();
        panic!("{command:?} failed: {stderr}");
    }
    (seconds, peak)
}

/// Prints the median of several runs, with the two commands in turn.
fn compare(what: &str, n: usize, mut ours: impl FnMut() -> (f64, f64), mut bare: impl FnMut() -> (f64, f64)) {
    let (mut ours_all, mut bare_all) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours_all.push(ours());
        bare_all.push(bare());
    }
    let median = |all: &mut Vec<(f64, f64)>| {
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        all[all.len() / 2]
    };
    let ((ours, memory), (bare, bare_memory)) = (median(&mut ours_all), median(&mut bare_all));
    println!(
        "{what}: runner {:.0}/s in {ours:.2} s at {memory:.0} MiB; bare {:.0}/s in {bare:.2} s at {bare_memory:.0} MiB; \
         runner takes {:.2} times as long",
        n as f64 / ours,
        n as f64 / bare,
        ours / bare
    );
}

fn csv() {
    for n in [1_000_000, 10_000_000] {
        let env = TestEnv::new();
        let path = env.write("stocks.csv", stocks_csv(n, 1));
        env.write(
            "bench.toml",
            "[sources.stocks]\ntype = \"csv\"\npath = \"stocks.csv\"\n\
             [transforms.json]\ntype = \"to_json\"\ninputs = [\"stocks\"]\n\
             [sinks.out]\ntype = \"null\"\ninputs = [\"json\"]\n",
        );
        let bare = std::env::current_exe().expect("this program");
        compare(
            &format!("{n} CSV rows to JSON to nowhere"),
            n,
            || time(&mut env.command(["run", "bench.toml", "--from-start"])),
            || time(Command::new(&bare).arg("bare-csv").arg(&path)),
        );
    }
}

/// The csv crate's reader and the writer that `to_json` uses, and nothing else.
fn bare_csv(path: &Path) {
    let mut reader = csv::Reader::from_path(path).expect("the file");
    let kind =
        |name: &str| if matches!(name, "Index" | "Date") { ColumnType::String } else { ColumnType::Float };
    let columns = reader.headers().expect("a header").iter().map(|name| Column {
        name: name.into(),
        kind: kind(name),
        nullable: true,
    });
    let header = Arc::new(TableHeader::new(columns.collect(), b',', vec!["".into()]));
    let mut record = csv::ByteRecord::new();
    let mut out = Vec::new();
    let mut n_bytes = 0;
    let mut is_more = true;
    while is_more {
        // A table has as many rows as a batch.
        let (mut cells, mut ends, mut n_rows) = (Vec::new(), Vec::new(), 0);
        while n_rows < 1024 && is_more {
            is_more = reader.read_byte_record(&mut record).expect("a row");
            for cell in is_more.then_some(&record).into_iter().flatten() {
                cells.extend_from_slice(cell);
                ends.push(cells.len() as u32);
            }
            n_rows += u32::from(is_more);
        }
        let table = Arc::new(Table::new(Arc::clone(&header), cells, ends));
        for n in 0..n_rows {
            out.clear();
            Row::new(Arc::clone(&table), n as usize).write_json(&mut out);
            n_bytes += out.len();
        }
    }
    println!("{n_bytes}");
}

/// The time from the start of the process to its first output.
fn start() {
    let env = TestEnv::new();
    env.write("stocks.csv", stocks_csv(1_000_000, 1));
    env.write(
        "bench.toml",
        "[sources.stocks]\ntype = \"csv\"\npath = \"stocks.csv\"\n\
         [transforms.json]\ntype = \"to_json\"\ninputs = [\"stocks\"]\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"json\"]\n",
    );
    let mut all: Vec<Duration> = (0..4 * RUNS)
        .map(|_| {
            let mut command = env.command(["run", "bench.toml", "--from-start"]);
            let began = Instant::now();
            let mut child =
                command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starting a command");
            let mut first = [0];
            std::io::Read::read_exact(child.stdout.as_mut().expect("piped"), &mut first).expect("a record");
            let took = began.elapsed();
            child.kill().expect("killing it");
            child.wait().expect("its end");
            took
        })
        .collect();
    all.sort();
    println!("start to first record: median {:.0?}, slowest {:.0?}", all[all.len() / 2], all[all.len() - 1]);
}

/// The memory of an idle consumer, before its first record and after 2,000 objects.
fn idle() {
    let broker = Broker::shared();
    let mut env = TestEnv::new();
    env.write("stocks.csv", stocks_csv(2_000, 1));
    flow(&env);
    let consumer = env.read("consumer.toml").replace("stop = \"at_end\"\n", "");
    env.write("consumer.toml", consumer);
    let topic = broker.create_topic("bench", 4);
    let s3 = S3::start();
    s3.create_bucket("idle");
    s3.configure(&mut env);
    env.set("BROKER", broker.bootstrap()).set("TOPIC", &topic);
    env.set("BUCKET", "idle").set("GROUP", broker.name("bench"));
    let consumer = env.start(["run", "consumer.toml"]);
    support::wait_until("an assignment", Duration::from_secs(30), || consumer.has_logged("reads "));
    // Lets the memory settle after the start.
    std::thread::sleep(Duration::from_secs(10));
    let fresh = consumer.rss_kib();
    time(&mut env.command(["run", "producer.toml"]));
    support::wait_until("all objects", Duration::from_secs(60), || s3.count("idle") == 2_000);
    std::thread::sleep(Duration::from_secs(30));
    println!(
        "idle consumer: {:.1} MiB; {:.1} MiB after 2,000 objects",
        fresh as f64 / 1024.0,
        consumer.rss_kib() as f64 / 1024.0
    );
}

/// The stock pipelines without throttle, limit and crawler.
fn flow(env: &TestEnv) {
    env.write(
        "producer.toml",
        "[sources.stocks]\ntype = \"csv\"\npath = \"stocks.csv\"\n\
         [transforms.json]\ntype = \"to_json\"\ninputs = [\"stocks\"]\n\
         [sinks.broker]\ntype = \"kafka\"\ninputs = [\"json\"]\n\
         bootstrap_servers = \"${BROKER}\"\ntopic = \"${TOPIC}\"\n",
    );
    env.write(
        "consumer.toml",
        "[sources.broker]\ntype = \"kafka\"\nbootstrap_servers = \"${BROKER}\"\ntopics = [\"${TOPIC}\"]\n\
         group_id = \"${GROUP}\"\nstop = \"at_end\"\n\
         [sinks.lake]\ntype = \"s3\"\ninputs = [\"broker\"]\nbucket = \"${BUCKET}\"\n\
         key = \"stocks/{{ entry }}.json\"\n",
    );
}

fn kafka() {
    let broker = Broker::shared();
    let n = 1_000_000;
    let env = TestEnv::new();
    env.write("stocks.csv", stocks_csv(n, 1));
    flow(&env);
    // The same records as prepared JSON lines, for kcat.
    env.write(
        "lines.toml",
        "[sources.stocks]\ntype = \"csv\"\npath = \"stocks.csv\"\n\
         [transforms.json]\ntype = \"to_json\"\ninputs = [\"stocks\"]\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"json\"]\npath = \"lines.json\"\n",
    );
    time(&mut env.command(["run", "lines.toml"]));
    let lines = env.path("lines.json");
    compare(
        &format!("{n} CSV rows into Kafka, compared with kcat with ready JSON lines"),
        n,
        || {
            let topic = broker.create_topic("bench", 1);
            let mut command = env.command(["run", "producer.toml", "--from-start"]);
            let timed = time(command.env("BROKER", broker.bootstrap()).env("TOPIC", &topic));
            broker.delete_topic(&topic);
            timed
        },
        || {
            let topic = broker.create_topic("bench", 1);
            let mut command = Command::new("kcat");
            command.args(["-P", "-b", broker.bootstrap(), "-t", &topic, "-H", "runner-entry=1"]);
            command.args(["-X", "enable.idempotence=true", "-l"]).arg(&lines);
            let timed = time(&mut command);
            broker.delete_topic(&topic);
            timed
        },
    );
}

fn s3() {
    let broker = Broker::shared();
    let n = 20_000;
    let mut env = TestEnv::new();
    env.write("stocks.csv", stocks_csv(n, 1));
    flow(&env);
    let topic = broker.create_topic("bench", 4);
    env.set("BROKER", broker.bootstrap()).set("TOPIC", &topic);
    time(&mut env.command(["run", "producer.toml"]));
    let s3 = S3::start();
    s3.configure(&mut env);

    let bodies: Vec<Bytes> =
        broker.read_all(&topic).iter().map(|it| Bytes::from(it.text().to_owned())).collect();
    let mut run = 0;
    let mut bucket = move || {
        run += 1;
        format!("bench{run}")
    };
    let mut other = bucket;
    compare(
        &format!("{n} Kafka records to an S3 object each, compared with bare concurrent PUTs"),
        n,
        || {
            let bucket = bucket();
            s3.create_bucket(&bucket);
            time(
                env.command(["run", "consumer.toml"])
                    .env("BUCKET", &bucket)
                    .env("GROUP", broker.name("bench")),
            )
        },
        || {
            let bucket = format!("bare{}", other());
            s3.create_bucket(&bucket);
            let started = Instant::now();
            bare_puts(&s3, &bucket, &bodies);
            (started.elapsed().as_secs_f64(), 0.0)
        },
    );
}

/// A loop with as many concurrent PUTs as the sink, and nothing else.
fn bare_puts(s3: &S3, bucket: &str, bodies: &[Bytes]) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let client = s3.client();
        let mut puts = tokio::task::JoinSet::new();
        for (index, body) in bodies.iter().enumerate() {
            while puts.len() >= 64 {
                puts.join_next().await.expect("one").expect("no panic");
            }
            let put = client.put_object().bucket(bucket).key(format!("stocks/{index}.json"));
            let put = put.if_none_match("*").body(ByteStream::from(body.clone()));
            puts.spawn(async move {
                put.send().await.expect("an object");
            });
        }
        while let Some(put) = puts.join_next().await {
            put.expect("no panic");
        }
    });
}
