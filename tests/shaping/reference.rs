//! `select` and `remap` on random records, against a reference.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::support::TestEnv;
use crate::support::stocks::SplitMix;

/// A random record, and what both transforms must make of it; none if they must reject it.
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
    assert!(
        expected.len() > n_records / 8 && expected.len() < n_records / 2,
        "some are accepted, some rejected"
    );

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
