//! One table in the lake, filled from the CSV file and from every API.

use super::{APIS, DAYS, market, set_keys};
use crate::support::cloud::Cloud;
use crate::support::flow::stock_pipeline;
use crate::support::stocks::stocks_csv;
use crate::support::{Api, TestEnv};
use market::{Market, Today};

const N_CSV_ROWS: usize = 120;
const TABLE: &str = "stockmarket_project";

/// The rows of a query, as CSV.
fn query(env: &TestEnv, sql: &str) -> String {
    let outcome = env.run(["query", "--database", "realtime-de-db", "--format", "csv", sql]);
    outcome.assert_code(0);
    outcome.stdout
}

/// An environment with the stock pipelines, which read the CSV file and end when they have read everything.
fn stock_env() -> (TestEnv, Cloud) {
    let mut env = TestEnv::new();
    let cloud = Cloud::start(&env, &[]);
    cloud.configure(&mut env);
    let csv = env.write("stocks.csv", stocks_csv(N_CSV_ROWS, 7)).display().to_string();
    env.set("STOCKS_CSV", csv)
        .set("STOCKS_RATE", "1000000")
        .set("STOCKS_LIMIT", "1000")
        .set("STOCKS_STOP", "at_end");
    env.write("producer.toml", stock_pipeline("producer.toml"));
    env.write("consumer.toml", stock_pipeline("consumer.toml"));
    (env, cloud)
}

#[test]
fn one_query_counts_every_row_of_the_csv_file_and_of_all_apis() {
    let opened = Today { n_days: DAYS[0], is_newest_first: false, is_weekend: false, n_refusals: 0 };
    let market = Market::open(opened);
    let (mut env, _cloud) = stock_env();
    set_keys(&mut env);
    let types = "SELECT column_name, data_type FROM information_schema.columns \
                 WHERE table_name = 'stockmarket_project' ORDER BY column_name";

    env.run(["run", "producer.toml"]).assert_code(0);
    env.run(["run", "consumer.toml"]).assert_code(0);
    let types_of_csv = query(&env, types);
    assert_eq!(types_of_csv.lines().count(), 1 + 9, "{types_of_csv}");
    for api in APIS {
        // Its name and that of its source are those of the file that read the CSV.
        env.write("producer.toml", api.pipeline(&market.url()));
        env.run(["run", "producer.toml"]).assert_code(0);
    }
    env.run(["run", "consumer.toml"]).assert_code(0);

    let n_rows = N_CSV_ROWS + APIS.iter().map(|api| api.rows(DAYS[0]).len()).sum::<usize>();
    let counts = format!("SELECT count(*), count(index), count(date), count(close) FROM {TABLE}");
    let counts = query(&env, &counts);
    let counts = counts.lines().nth(1).expect("a row");
    assert_eq!(counts, [n_rows; 4].map(|n| format!("\"{n}\"")).join(","));
    assert_eq!(query(&env, types), types_of_csv);
}

/// An array, a scalar and a nested series, once as `producer-http.toml` reads them and once with any JSON let through.
#[test]
fn values_of_an_api_that_are_not_rows_leave_the_table_as_it_is() {
    let (mut env, _cloud) = stock_env();
    env.run(["run", "producer.toml"]).assert_code(0);
    env.run(["run", "consumer.toml"]).assert_code(0);
    let sums = format!("SELECT count(close), round(sum(close), 2), count(index), max(date) FROM {TABLE}");
    let sums_of_csv = query(&env, &sums);

    let stock_producer = stock_pipeline("producer-http.toml");
    for body in [r#"[["NYA", "2024-01-02", 1.5]]"#, "[1.5]", r#"["{\"Close\": 1.5}"]"#, "[true]"] {
        let api = Api::start(body);
        env.set("STOCKS_API", api.url());
        env.write("producer.toml", &stock_producer);
        env.run(["run", "producer.toml"]).assert_code(65).assert_says(&["a table needs objects"]);
        let any = stock_producer.replace("type = \"to_json\"", "type = \"to_json\"\nobjects = false");
        env.write("producer.toml", any);
        env.run(["run", "producer.toml"]).assert_code(0);
    }
    let series = r#"{"Meta Data": {"n": 1}, "Time Series (Daily)": {"2024-01-02": {"4. close": "1.5"}}}"#;
    let api = Api::start(series);
    env.set("STOCKS_API", api.url());
    env.write("producer.toml", &stock_producer);
    env.run(["run", "producer.toml"]).assert_code(0).assert_says(&["members are all objects", "`records`"]);

    env.run(["run", "consumer.toml"]).assert_code(0);
    assert_eq!(query(&env, &sums), sums_of_csv);
    let letters = env.run(["dlq", "list", "--pipeline", "consumer.toml"]);
    letters.assert_code(0);
    for kind in ["an array", "a number", "a string", "a boolean"] {
        let reason = format!("the body is JSON, but {kind}, and a table needs objects");
        assert!(letters.stdout.contains(&reason), "{kind}: {}", letters.stdout);
    }
}
