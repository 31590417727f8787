//! Generated stock prices: the sample data, in any size.

use std::fmt::Write as _;

const HEADER: &str = "Index,Date,Open,High,Low,Close,Adj Close,Volume,CloseUSD\n";

/// The code of an index, its first price, and the value of its currency in dollars.
const INDICES: [(&str, f64, f64); 12] = [
    ("HSI", 2568.3, 0.13),
    ("NYA", 528.69, 1.0),
    ("IXIC", 348.8, 1.0),
    ("000001.SS", 1290.4, 0.16),
    ("N225", 18820.6, 0.01),
    ("N100", 996.1, 1.22),
    ("399001.SZ", 2793.2, 0.16),
    ("GSPTSE", 3066.2, 0.83),
    ("NSEI", 2894.7, 0.01),
    ("GDAXI", 1005.2, 1.22),
    ("SSMI", 1286.6, 1.11),
    ("TWII", 1063.4, 0.04),
];

/// The maximum number of rows of one index: thirty years of trading days.
const MOST_DAYS: usize = 8_000;

/// `n_rows` rows in the shape of the public dataset of stock indices, index by
/// index and day by day. The same seed gives the same bytes on every machine.
pub fn stocks_csv(n_rows: usize, seed: u64) -> String {
    let mut random = SplitMix(seed);
    let mut csv = String::with_capacity(HEADER.len() + n_rows * 100);
    csv.push_str(HEADER);
    let n_days = n_rows.div_ceil(INDICES.len()).clamp(1, MOST_DAYS);
    for (index, first_row) in (0..n_rows).step_by(n_days).enumerate() {
        write_index(&mut csv, index, n_days.min(n_rows - first_row), &mut random);
    }
    csv
}

/// Writes the days of one index: a random walk that never falls below a tenth of the first price.
fn write_index(csv: &mut String, index: usize, n_days: usize, random: &mut SplitMix) {
    let (code, base, dollars) = INDICES[index % INDICES.len()];
    let round = index / INDICES.len();
    let code = if round == 0 { code.to_owned() } else { format!("{code}-{round}") };
    let mut close = base;
    // 1986-12-31, in days since 1970; Thursday was day 0.
    let mut day = 6_208;
    // The oldest days have prices and no volume, as in the public dataset.
    let n_quiet = n_days / 20;
    for nth in 0..n_days {
        while matches!(day % 7, 2 | 3) {
            day += 1;
        }
        let open = close * (1.0 + 0.004 * random.swing());
        close = (open * (1.0 + 0.02 * random.swing())).max(base / 10.0);
        let high = open.max(close) * (1.0 + 0.005 * random.unit());
        let low = open.min(close) * (1.0 - 0.005 * random.unit());
        let lots = if nth < n_quiet { 0 } else { 8_000 + random.next() % 60_000 };
        write!(csv, "{code},{},", date(day)).expect("writing to a string");
        for price in [open, high, low, close, close] {
            write!(csv, "{},", decimals(price, 6)).expect("writing to a string");
        }
        writeln!(csv, "{}.0,{}", lots * 100_000, decimals(close * dollars, 8)).expect("writing to a string");
        day += 1;
    }
}

/// A number as pandas writes it: without trailing zeros, except one after the point.
fn decimals(number: f64, at_most: usize) -> String {
    let text = format!("{number:.at_most$}");
    let short = text.trim_end_matches('0');
    if short.ends_with('.') { format!("{short}0") } else { short.to_owned() }
}

/// The date `days` days after 1970-01-01, with Howard Hinnant's `civil_from_days`.
pub fn date(days: u32) -> String {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u32::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Sebastiano Vigna's `SplitMix64`, a small random number generator.
pub struct SplitMix(pub u64);

impl SplitMix {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From -1 to 1.
    fn swing(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }
}
