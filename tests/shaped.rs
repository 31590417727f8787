//! Transforms that shape records, in whole pipelines: under kills, and compared with each other.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::s3::S3;
use crate::support::stocks::SplitMix;
use crate::support::{TestEnv, wait_until};

const LONG: Duration = Duration::from_secs(60);
const BUCKET: &str = "shapes";

/// Each row becomes three records, and each of these goes to the folder of its part.
#[test]
fn splits_and_routes_under_kills_lose_and_double_nothing() {
    const ROWS: usize = 500;
    let mut env = TestEnv::new();
    let s3 = S3::start();
    s3.create_bucket(BUCKET);
    s3.configure(&mut env);
    let row = |n: usize| format!("{n},{}\n", n % 7);
    env.write("rows.csv", format!("n,kind\n{}", (0..ROWS).map(row).collect::<String>()));
    let sink = |name: &str, input: &str| {
        format!(
            "[sinks.{name}]\ntype = \"s3\"\ninputs = [\"{input}\"]\nbucket = \"{BUCKET}\"\n\
             key = \"{name}/{{{{ entry }}}}.json\"\n"
        )
    };
    let pipeline = |rate: u32| {
        format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
             [transforms.pace]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = {rate}\n\
             [transforms.parts]\ntype = \"remap\"\ninputs = [\"pace\"]\n\
             source = '. = [{{\"n\": .n, \"part\": 0}}, {{\"n\": .n, \"part\": 1}}, {{\"n\": .n, \"part\": 2}}]'\n\
             [transforms.by]\ntype = \"route\"\ninputs = [\"parts\"]\n\
             route = {{ first = '.part == 0', second = '.part == 1' }}\n{}{}{}",
            sink("a", "by.first"),
            sink("b", "by.second"),
            sink("c", "by._unmatched")
        )
    };
    env.write("p.toml", pipeline(250));
    let mut random = SplitMix(11);
    let mut n_kills = 0;
    for _ in 0..6 {
        let mut running = env.start(["run", "p.toml"]);
        let enough = s3.count(BUCKET) + 1 + (random.next() % 200) as usize;
        wait_until("progress", LONG, || s3.count(BUCKET) >= enough || running.has_exited());
        n_kills += usize::from(!running.has_exited());
        running.signal(Signal::SIGKILL);
        running.wait(LONG);
    }
    assert!(n_kills >= 4, "only {n_kills} kills");
    env.write("p.toml", pipeline(1_000_000));
    env.run(["run", "p.toml"]).assert_code(0);

    let keys = s3.keys(BUCKET);
    let stored: BTreeMap<&str, Value> = keys
        .iter()
        .map(|key| (key.as_str(), serde_json::from_str(&s3.read(BUCKET, key)).expect("JSON")))
        .collect();
    for n in 0..ROWS {
        for (part, folder) in ["a", "b", "c"].into_iter().enumerate() {
            let key = format!("{folder}/{n}-{part}.json");
            assert_eq!(stored.get(key.as_str()), Some(&json!({"n": n, "part": part})), "{key}");
        }
    }
    assert_eq!(stored.len(), 3 * ROWS, "no other object");
}

/// A random record, as JSON, and what the same fields of both transforms must make of it; none if they must reject it.
fn record(random: &mut SplitMix) -> (Value, Option<Value>) {
    let mut pick = |n: u64| random.next() % n;
    let symbol = ["NYA", "HSI", "", "été \"x\"\\", "\u{1f4c8}"][pick(5) as usize];
    // Halves and quarters are exact as 64-bit floats.
    let number = (pick(2_000_000) as f64 - 1_000_000.0) / 4.0;
    let (close, close_as) = match pick(4) {
        0 => (json!(number), Some(number)),
        1 => (json!(number.to_string()), Some(number)),
        2 => (json!("n/a"), None),
        _ => (json!([number]), None),
    };
    let whole = pick(2_000_000) as i64 - 1_000_000;
    let (volume, volume_as) = match pick(4) {
        0 => (json!(whole), Some(whole)),
        1 => (json!(whole.to_string()), Some(whole)),
        2 => (json!(true), None),
        _ => (json!("1x"), None),
    };
    let note = (pick(2) == 0).then(|| json!("seen"));
    let mut input = json!({"symbol": symbol, "prices": {"close": close}, "volume": volume, "other": [1]});
    if let Some(note) = &note {
        input["note"] = note.clone();
    }
    let expected = close_as.zip(volume_as).map(|(close, volume)| {
        json!({
            "Index": symbol, "Close": close, "Volume": volume, "Note": note.unwrap_or(json!("none")), "Source": "test"
        })
    });
    (input, expected)
}

/// The objects of a file of JSON lines. Numbers are compared by value.
fn objects(text: &str) -> Vec<Value> {
    fn by_value(value: Value) -> Value {
        match value {
            Value::Number(number) => json!(number.as_f64()),
            Value::Object(object) => {
                object.into_iter().map(|(name, value)| (name, by_value(value))).collect()
            }
            other => other,
        }
    }
    text.lines().map(|line| by_value(serde_json::from_str(line).expect("JSON"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn select_and_remap_agree_with_the_reference_on_random_records() {
    const SELECT: &str = "type = \"select\"\n[transforms.shaped.fields]\n\
        Index = { from = \"symbol\", type = \"string\" }\n\
        Close = { from = \"/prices/close\", type = \"float\" }\n\
        Volume = { from = \"volume\", type = \"integer\" }\n\
        Note = { from = \"note\", default = \"none\" }\nSource = { value = \"test\" }\n";
    const REMAP: &str = "type = \"remap\"\nsource = '''\n\
        assert!(is_string(.volume) || is_integer(.volume))\n\
        note = .note\nif is_null(note) { note = \"none\" }\n\
        . = {\"Index\": string!(.symbol), \"Close\": to_float!(.prices.close), \"Volume\": to_int!(.volume),\n\
        \"Note\": note, \"Source\": \"test\"}\n'''\n";
    let seed = std::process::id().into();
    println!("seed {seed}");
    let mut random = SplitMix(seed);
    let (mut lines, mut expected) = (String::new(), Vec::new());
    let n_records = 3_000;
    for _ in 0..n_records {
        let (input, output) = record(&mut random);
        writeln!(lines, "{input}").expect("a string");
        expected.extend(output);
    }
    let expected = objects(&expected.iter().map(|it| format!("{it}\n")).collect::<String>());
    assert!(expected.len() > n_records / 8 && expected.len() < n_records / 2, "both kinds of records");

    let server = wiremock::MockServer::start().await;
    let body = wiremock::ResponseTemplate::new(200).set_body_raw(lines, "application/x-ndjson");
    wiremock::Mock::given(wiremock::matchers::any()).respond_with(body).mount(&server).await;
    for (name, transform) in [("select", SELECT), ("remap", REMAP)] {
        let env = TestEnv::new();
        env.write(
            "p.toml",
            format!(
                "[sources.records]\ntype = \"http\"\nendpoint = \"{}\"\ncodec = \"ndjson\"\n\
                 [transforms.shaped]\ninputs = [\"records\"]\n{transform}\n\
                 [sinks.out]\ntype = \"file\"\ninputs = [\"shaped\"]\npath = \"out.jsonl\"\n\
                 [dead_letter]\ntype = \"file\"\npath = \"rejected.jsonl\"\n",
                server.uri()
            ),
        );
        env.run(["run", "p.toml"]).assert_code(0);
        let found = objects(&env.read("out.jsonl"));
        let first = found.iter().zip(&expected).find(|(found, expected)| found != expected);
        assert_eq!(first, None, "{name}: the first difference");
        assert_eq!(found.len(), expected.len(), "{name}");
        assert_eq!(env.read("rejected.jsonl").lines().count(), n_records - expected.len(), "{name}");
    }
}
