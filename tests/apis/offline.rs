//! The APIs of the offline cloud: their prices are those of the sample file.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::support::cloud::Cloud;
use crate::support::{TestEnv, wait_until};

/// A file of the repository.
fn shipped(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect("a file")
}

/// The lines of a pipeline file before its tests, without comments and without those that say where, who and what.
fn shape(name: &str) -> Vec<String> {
    let text = shipped(&format!("pipelines/apis/{name}.toml"));
    let (text, _) = text.split_once("[[tests]]").expect("tests");
    let request = ["#", "endpoint =", "auth =", "for_each =", "incremental =", "rate_limit ="];
    let is_shape = |line: &&str| !request.iter().any(|start| line.starts_with(start));
    text.lines().filter(is_shape).map(str::to_owned).collect()
}

#[test]
fn producer_of_the_offline_api_has_the_shape_of_alphavantage() {
    assert_eq!(shape("local"), shape("alphavantage"));
}

/// The sample as the table has it: without the column that no API has.
fn expected() -> Vec<String> {
    let csv = shipped("pipelines/data/stocks.csv");
    let mut lines = csv.lines();
    let names: Vec<&str> =
        lines.next().expect("a header").split(',').filter(|name| *name != "CloseUSD").collect();
    let row = |line: &str| {
        let members = names.iter().zip(line.split(',')).map(|(name, cell)| match *name {
            "Index" | "Date" => format!("\"{name}\":\"{cell}\""),
            _ => format!("\"{name}\":{cell}"),
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    };
    lines.map(row).collect()
}

/// Sends a GET and waits for the response.
fn ask(url: &str) {
    let (host, path) = url.trim_start_matches("http://").split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("a connection");
    write!(stream, "GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").expect("a request");
    stream.read_to_string(&mut String::new()).expect("a response");
}

#[test]
fn daily_api_asked_too_often_ends_with_every_row_of_the_sample() {
    let mut env = TestEnv::new();
    let cloud = Cloud::start(&env, &[]);
    cloud.configure(&mut env);
    env.set("STOCKS_RATE", "1000000").set("STOCKS_LIMIT", "5000");
    let text = shipped("pipelines/apis/local.toml");
    let (text, _) = text.split_once("[sinks.broker]").expect("the sink");
    let limited = "rate_limit = { requests = 5, per = \"1s\" }\n";
    assert!(text.contains(limited));
    let sink = "[sinks.out]\ntype = \"file\"\ninputs = [\"json\"]\npath = \"out.jsonl\"\n";
    env.write("daily.toml", text.replace(limited, "") + sink);
    let running = env.start(["run", "daily.toml"]);
    // Another user of the API takes all that the limit allows.
    wait_until("a note", Duration::from_mins(1), || {
        (0..20).for_each(|_| ask(cloud.get("STOCKS_DAILY_API")));
        running.has_logged("The limit is 10 requests a second")
    });
    running.wait(Duration::from_mins(1)).assert_code(0);
    // A symbol that was refused comes after the others.
    let mut rows = env.lines("out.jsonl");
    let mut expected = expected();
    rows.sort_unstable();
    expected.sort_unstable();
    assert!(
        rows == expected,
        "{} rows, the first is {:?} instead of {:?}",
        rows.len(),
        rows.first(),
        expected[0]
    );
    env.run(["run", "daily.toml"]).assert_code(0);
    assert_eq!(env.read("out.jsonl").lines().count(), 3_000, "nothing is new");
}

#[test]
fn newest_pages_are_read_to_the_oldest_price_once() {
    let mut env = TestEnv::new();
    let cloud = Cloud::start(&env, &[]);
    cloud.configure(&mut env);
    env.write(
        "newest.toml",
        "[sources.prices]\ntype = \"http\"\nendpoint = \"${STOCKS_API}/newest\"\nrecords = \"/data\"\n\
         pagination = { type = \"offset\", param = \"offset\", limit_param = \"limit\", limit = 300, total = \"/pagination/total\" }\n\
         incremental = { cursor = \"Date\", start = \"1980-01-01\", by = \"Index\", order = \"newest_first\" }\n\
         [sinks.end]\ntype = \"file\"\ninputs = [\"prices\"]\npath = \"prices.jsonl\"\n",
    );
    for _ in 0..2 {
        env.run(["run", "newest.toml"]).assert_code(0);
        let text = env.read("prices.jsonl");
        let mut rows: Vec<&str> = text.lines().collect();
        assert!(rows[0].contains("\"1987-12-15\"") || rows[0] > rows[rows.len() - 1], "{}", rows[0]);
        rows.sort_unstable();
        rows.dedup();
        assert_eq!((rows.len(), text.lines().count()), (3_000, 3_000));
    }
}
