//! The transform `select`: a table with declared columns from CSV rows, and the errors of its options.

use crate::support::TestEnv;

const PRICES: &str = "\
day,symbol,close,volume,flag\n\
31/01/2024,NYA,.5,12345678901234567,yes\n\
01/02/2024,NYA,1500,,n\n\
2024-02-02,NYA,1.10,7,y\n";

/// A pipeline from `prices.csv` through `select` to `out.jsonl`; `json` is what comes after it.
fn pipeline(fields: &str, json: &str) -> String {
    let last = if json.is_empty() { "table" } else { "json" };
    format!(
        "[sources.prices]\ntype = \"csv\"\npath = \"prices.csv\"\n\
         [transforms.table]\ntype = \"select\"\ninputs = [\"prices\"]\n{fields}\n{json}\n\
         [sinks.out]\ntype = \"file\"\npath = \"out.jsonl\"\ninputs = [\"{last}\"]\n\
         [dead_letter]\ntype = \"file\"\npath = \"dead.jsonl\"\n"
    )
}

const TO_JSON: &str = "[transforms.json]\ntype = \"to_json\"\ninputs = [\"table\"]\n";

const FIELDS: &str = r#"
[transforms.table.fields]
Index = "symbol"
Date = { from = "day", type = "date", parse = "%d/%m/%Y" }
Close = { from = "close", type = "float" }
Volume = { from = "volume", type = "integer" }
Closed = { from = "flag", type = "boolean" }
Market = { value = "NYSE" }
Rank = { type = "integer", default = 1 }
"#;

#[test]
fn csv_rows_become_the_declared_table() {
    let env = TestEnv::new();
    env.write("prices.csv", PRICES);
    env.write("p.toml", pipeline(FIELDS, TO_JSON));
    let outcome = env.run(["run", "p.toml"]);
    outcome.assert_code(0);
    let expected = "\
{\"Index\":\"NYA\",\"Date\":\"2024-01-31\",\"Close\":0.5,\"Volume\":12345678901234567,\"Closed\":true,\"Market\":\"NYSE\",\"Rank\":1}\n\
{\"Index\":\"NYA\",\"Date\":\"2024-02-01\",\"Close\":1500.0,\"Volume\":null,\"Closed\":false,\"Market\":\"NYSE\",\"Rank\":1}\n";
    assert_eq!(env.read("out.jsonl"), expected);
    let letter = env.read("dead.jsonl");
    assert!(letter.contains("field `Date`, taken from `day`: the value is not a date"), "{letter}");
    assert!(letter.contains("2024-02-02,NYA,1.10,7,y"), "the dead letter holds the row: {letter}");
    assert!(!outcome.stderr.contains("2024-02-02"), "the log shows no value: {}", outcome.stderr);
}

#[test]
fn row_without_to_json_is_a_line_with_the_selected_columns() {
    let env = TestEnv::new();
    env.write("prices.csv", PRICES);
    env.write("p.toml", pipeline("fields = { Close = \"close\", Symbol = \"symbol\" }\nrest = \"keep\"", ""));
    env.run(["run", "p.toml"]).assert_code(0);
    let first = env.read("out.jsonl").lines().next().unwrap().to_owned();
    assert_eq!(first, ".5,NYA,31/01/2024,12345678901234567,yes");
}

#[test]
fn invalid_option_of_a_field_is_shown_at_its_place() {
    for (field, parts) in [
        ("{ type = \"date\", parse = \"%d/%m\" }", ["p.toml:7:", "needs a year, a month and a day"]),
        ("{ type = \"date\", parse = \"%Q\" }", ["p.toml:7:", "not a valid strftime pattern"]),
        ("{ type = \"dat\" }", ["p.toml:7:21", "string, date, timestamp"]),
        ("{ parse = \"%d/%m/%Y\" }", ["p.toml:7:22", "needs `type"]),
        ("{ value = 1, from = \"a\" }", ["p.toml:7:32", "cannot be combined with `value`"]),
        ("{ type = \"integer\", default = \"x\" }", ["p.toml:7:42", "not an integer"]),
        ("7", ["p.toml:7:", "a table"]),
    ] {
        let env = TestEnv::new();
        env.write("p.toml", pipeline(&format!("fields.D = {field}"), TO_JSON));
        let outcome = env.run(["validate", "p.toml"]);
        outcome.assert_code(78).assert_says(&parts);
    }
}

#[test]
fn columns_equal_in_lower_case_are_warned_of_once() {
    let env = TestEnv::new();
    env.write("prices.csv", "Close,close\n1.5,100\n2.5,200\n");
    let json = "[transforms.json]\ntype = \"to_json\"\ninputs = [\"prices\"]\n";
    env.write(
        "p.toml",
        format!(
            "[sources.prices]\ntype = \"csv\"\npath = \"prices.csv\"\n{json}\
             [sinks.out]\ntype = \"console\"\ninputs = [\"json\"]\n"
        ),
    );
    let outcome = env.run(["run", "p.toml"]);
    outcome.assert_code(0);
    assert_eq!(
        outcome.stderr.matches("`Close` and `close` are the same name").count(),
        1,
        "{}",
        outcome.stderr
    );
}
