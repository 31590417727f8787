//! The producers in `pipelines/apis`, against servers that answer like their APIs: two symbols, three market days,
//! pages, refused requests, a weekend, and a kill in the middle of a walk. Only the address is edited, and what would
//! make the tests wait.

mod answers;
mod lake;
mod market;
mod offline;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::kafka::Broker;
use crate::support::{TestEnv, wait_until};
use market::{HOLIDAY, Market, Today, bar, day};

/// The key of every API that wants one.
const KEY: &str = "key-of-the-tests";
/// Days of the market before the first run, and in the last one.
const DAYS: [usize; 3] = [22, 23, 24];
/// Records of a run that is killed: a second's worth, as the checkpoint is written once a second, and some in flight.
const AT_MOST_REPEATED: usize = 20;

/// Which prices an API has.
#[derive(Clone, Copy, PartialEq)]
enum Prices {
    All,
    /// No adjusted close.
    NotAdjusted,
    /// One value, which is every price, and no volume.
    One,
    /// One value a year.
    OneOfTheYear,
}

/// A file in `pipelines/apis`.
struct Api {
    name: &'static str,
    host: &'static str,
    /// Symbols as the API has them, and as the table has them.
    symbols: [(&'static str, &'static str); 2],
    prices: Prices,
    /// Replaced in the file.
    edit: Option<(&'static str, &'static str)>,
}

const APIS: [Api; 12] = [
    api("alphavantage", "https://www.alphavantage.co", [("IBM", "IBM"), ("AAPL", "AAPL")], Prices::All),
    api(
        "binance",
        "https://api.binance.com",
        [("BTCUSDT", "BTCUSDT"), ("ETHUSDT", "ETHUSDT")],
        Prices::NotAdjusted,
    )
    .with("step = \"900d\"", "step = \"60d\""),
    api(
        "coinbase",
        "https://api.exchange.coinbase.com",
        [("BTC-USD", "BTC-USD"), ("ETH-USD", "ETH-USD")],
        Prices::NotAdjusted,
    )
    .with("step = \"290d\"", "step = \"60d\""),
    api("eodhd", "https://eodhd.com", [("NYA.INDX", "NYA"), ("IXIC.INDX", "IXIC")], Prices::All),
    api("finnhub", "https://finnhub.io", [("AAPL", "AAPL"), ("MSFT", "MSFT")], Prices::NotAdjusted),
    api("fred", "https://api.stlouisfed.org", [("SP500", "SPX"), ("NASDAQCOM", "IXIC")], Prices::One),
    api("marketstack", "https://api.marketstack.com", [("AAPL", "AAPL"), ("MSFT", "MSFT")], Prices::All)
        .with("sort = \"ASC\"", "sort = \"DESC\""),
    api("polygon", "https://api.polygon.io", [("AAPL", "AAPL"), ("MSFT", "MSFT")], Prices::NotAdjusted),
    api("stooq", "https://stooq.com", [("^spx", "SPX"), ("^ndq", "IXIC")], Prices::NotAdjusted),
    api("tiingo", "https://api.tiingo.com", [("AAPL", "AAPL"), ("MSFT", "MSFT")], Prices::All),
    api("worldbank", "https://api.worldbank.org", [("USA", "USA"), ("CAN", "CAN")], Prices::OneOfTheYear),
    api("yahoo", "https://query1.finance.yahoo.com", [("^NYA", "NYA"), ("^IXIC", "IXIC")], Prices::All),
];

const fn api(
    name: &'static str,
    host: &'static str,
    symbols: [(&'static str, &'static str); 2],
    prices: Prices,
) -> Api {
    Api { name, host, symbols, prices, edit: None }
}

impl Api {
    const fn with(self, from: &'static str, to: &'static str) -> Api {
        Api { edit: Some((from, to)), ..self }
    }

    fn named(name: &str) -> &'static Api {
        APIS.iter().find(|api| api.name == name).expect("an API")
    }

    /// The pipeline file, with another address, and without long waits.
    fn pipeline(&self, url: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/apis").join(self.name);
        let mut text = std::fs::read_to_string(path.with_extension("toml")).expect("a pipeline file");
        let quick = "name = \"producer\"\n\n[retry]\ninitial = \"10ms\"\n";
        let (host, url) = (format!("\"{}", self.host), format!("\"{url}"));
        let edits = [(&*host, &*url), ("name = \"producer\"\n", quick)];
        for (from, to) in edits.into_iter().chain(self.edit) {
            assert!(text.contains(from), "{} does not contain {from}", self.name);
            text = text.replacen(from, to, 1);
        }
        let lines = text.lines().filter(|line| !line.starts_with("rate_limit"));
        // The files of answers are not copied.
        let lines = lines.take_while(|line| !line.starts_with("# `runner test"));
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    /// Every row of the table, if the market has had so many days.
    fn rows(&self, n_days: usize) -> BTreeSet<String> {
        let days = (0..n_days).filter(|nth| *nth != HOLIDAY);
        days.flat_map(|nth| self.symbols.iter().map(move |symbol| self.row(*symbol, nth))).collect()
    }

    fn row(&self, (symbol, index): (&str, &str), nth: usize) -> String {
        let bar = bar(symbol, nth);
        let (mut all, mut volume) =
            ([bar.open, bar.high, bar.low, bar.close, bar.adjusted], bar.volume as f64);
        let mut date = day(nth);
        match self.prices {
            Prices::All => {}
            Prices::NotAdjusted => all[4] = bar.close,
            Prices::One | Prices::OneOfTheYear => (all, volume) = ([bar.close; 5], 0.0),
        }
        if self.prices == Prices::OneOfTheYear {
            date = format!("{}-12-31", 2_000 + nth);
        }
        json!({
            "Index": index, "Date": date, "Open": all[0], "High": all[1], "Low": all[2], "Close": all[3],
            "Adj Close": all[4], "Volume": volume,
        })
        .to_string()
    }
}

/// Sets the keys of all APIs.
fn set_keys(env: &mut TestEnv) {
    for api in APIS {
        env.set(&format!("{}_KEY", api.name.to_uppercase()), KEY);
    }
}

/// A record as JSON whose numbers are all written in the same way.
fn normal(text: &str) -> String {
    let mut row: Value = serde_json::from_str(text).expect("JSON");
    for (_, member) in row.as_object_mut().expect("an object") {
        if let Some(number) = member.as_f64() {
            *member = number.into();
        }
    }
    row.to_string()
}

fn ends_with_every_row(name: &str) {
    let api = Api::named(name);
    let opened = Today { n_days: DAYS[0], is_newest_first: true, is_weekend: false, n_refusals: 0 };
    let (market, broker, mut env) = (Market::open(opened), Broker::embedded(), TestEnv::new());
    env.write("api.toml", api.pipeline(&market.url()));
    let topic = broker.create_topic(name, 1);
    set_keys(&mut env);
    env.set("KAFKA_BOOTSTRAP_SERVERS", broker.bootstrap())
        .set("STOCKS_TOPIC", &topic)
        .set("STOCKS_RATE", "10");
    let n_sent = || broker.watermarks(&topic, 0).1 as usize;

    let running = env.start(["run", "api.toml"]);
    wait_until("records of the second symbol", Duration::from_mins(1), || n_sent() > DAYS[0] + 2);
    running.signal(Signal::SIGKILL);
    running.wait(Duration::from_mins(1));
    let n_before_kill = n_sent();
    assert!(n_before_kill < api.rows(DAYS[0]).len(), "the kill came too late");

    env.set("STOCKS_RATE", "1000000");
    env.run(["run", "api.toml"]).assert_code(0);
    let n_first_day = n_sent();
    market.set(Today { is_weekend: true, ..market.today() });
    env.run(["run", "api.toml"]).assert_code(0);
    assert_eq!(n_sent(), n_first_day, "rows of a weekend");
    for (n_days, n_refusals) in [(DAYS[1], 1), (DAYS[2], 0)] {
        market.set(Today { n_days, is_newest_first: false, is_weekend: false, n_refusals });
        env.run(["run", "api.toml"]).assert_code(0);
        assert_eq!(market.today().n_refusals, 0);
    }

    let (mut by_number, mut counts) = (BTreeMap::new(), BTreeMap::new());
    for stored in broker.read_all(&topic) {
        let row = normal(stored.text());
        *counts.entry(row.clone()).or_insert(0) += 1;
        let number: u64 = stored.header("runner-entry").expect("an entry").parse().expect("a number");
        let before = by_number.insert(number, row.clone());
        assert!(before.is_none_or(|before| before == row), "entry {number} has two records");
    }
    assert_eq!(counts.keys().cloned().collect::<BTreeSet<_>>(), api.rows(DAYS[2]), "the rows of {name}");
    let n_repeated: usize = counts.values().map(|count| count - 1).sum();
    assert!(
        n_repeated <= AT_MOST_REPEATED,
        "{n_repeated} of {n_before_kill} records are repeated after one kill"
    );
    assert!(counts.values().all(|count| *count <= 2), "{counts:?}");
}

macro_rules! apis_end_with_every_row {
    ($($test:ident: $name:literal,)*) => {
        $(#[test]
        fn $test() {
            ends_with_every_row($name);
        })*
    };
}

apis_end_with_every_row! {
    alphavantage_ends_with_every_row: "alphavantage",
    binance_ends_with_every_row: "binance",
    coinbase_ends_with_every_row: "coinbase",
    eodhd_ends_with_every_row: "eodhd",
    finnhub_ends_with_every_row: "finnhub",
    fred_ends_with_every_row: "fred",
    marketstack_ends_with_every_row: "marketstack",
    polygon_ends_with_every_row: "polygon",
    stooq_ends_with_every_row: "stooq",
    tiingo_ends_with_every_row: "tiingo",
    worldbank_ends_with_every_row: "worldbank",
    yahoo_ends_with_every_row: "yahoo",
}
