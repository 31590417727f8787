//! Random records and fields against a slow reference that is written without any of the code of
//! the plugin: it looks up values in a tree and converts them with the standard library and chrono.

use std::fmt::Write as _;

use proptest::prelude::*;
use runner_core::ColumnType;
use runner_core::testing::{apply, records};
use serde_json::json;

use super::tests::{json_of, rows, select};

/// A JSON value that knows the digits of its numbers.
#[derive(Clone, Debug, PartialEq)]
enum Json {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    fn write(&self, space: &str, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => write!(out, "{value}").unwrap(),
            Json::Number(digits) => out.push_str(digits),
            Json::Text(text) => out.push_str(&serde_json::to_string(text).unwrap()),
            Json::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    out.push_str(space);
                    item.write(space, out);
                }
                out.push(']');
            }
            Json::Object(fields) => {
                out.push('{');
                for (index, (name, value)) in fields.iter().enumerate() {
                    out.push_str(if index > 0 { "," } else { "" });
                    write!(out, "{space}{}:{space}", serde_json::to_string(name).unwrap()).unwrap();
                    value.write(space, out);
                }
                out.push('}');
            }
        }
    }

    fn at<'a>(&'a self, path: &[&str]) -> Option<&'a Json> {
        let Some((name, rest)) = path.split_first() else { return Some(self) };
        match self {
            Json::Object(fields) => fields.iter().rev().find(|(key, _)| key == name)?.1.at(rest),
            Json::List(items) => items.get(name.parse::<usize>().ok()?)?.at(rest),
            _ => None,
        }
    }
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,20})",
        "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,20}",
        "-?[1-9]\\.[0-9]{1,3}e[+-]?[0-9]{1,2}",
        Just("1".to_owned()),
        Just("0".to_owned()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        number(),
        "[+-]?0{0,2}[0-9]{0,3}\\.?[0-9]{0,2}",
        "(true|False|YES|no|t|N|1|0|-|maybe)",
        "(19|20)[0-9]{2}-[01][0-9]-[0-3][0-9]",
        "[0-3][0-9]/[01][0-9]/20[0-9]{2}",
        "[a\"\\\\é\n,]{0,4}",
    ]
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![
        1 => Just(Json::Null),
        1 => any::<bool>().prop_map(Json::Bool),
        3 => number().prop_map(Json::Number),
        6 => text().prop_map(Json::Text),
    ]
}

const NAMES: [&str; 4] = ["a", "b", "1", "x/y"];

fn object() -> impl Strategy<Value = Json> {
    let name = || prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned);
    let value = scalar().prop_recursive(2, 8, 3, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::List),
            prop::collection::vec((name(), inner), 0..3).prop_map(Json::Object),
        ]
    });
    prop::collection::vec((name(), value), 0..5).prop_map(Json::Object)
}

/// A field of the options.
#[derive(Clone, Debug)]
struct Wanted {
    path: Vec<&'static str>,
    kind: Option<&'static str>,
    absent: Absent,
    null_values: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Absent {
    Rejected,
    Null,
    Default,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let kinds = ["integer", "float", "boolean", "string", "date", "day"];
    (
        prop::collection::vec(prop::sample::select(NAMES.to_vec()), 1..3),
        prop::option::of(prop::sample::select(kinds.to_vec())),
        prop::sample::select(vec![Absent::Rejected, Absent::Null, Absent::Default]),
        any::<bool>(),
    )
        .prop_map(|(path, kind, absent, null_values)| Wanted { path, kind, absent, null_values })
}

impl Wanted {
    fn options(&self) -> serde_json::Value {
        let path: Vec<String> = self.path.iter().map(|name| name.replace('/', "~1")).collect();
        let mut options = json!({ "from": format!("/{}", path.join("/")) });
        match self.kind {
            Some("day") => (options["type"], options["parse"]) = ("date".into(), "%d/%m/%Y".into()),
            Some(kind) => options["type"] = kind.into(),
            None => {}
        }
        if self.null_values {
            options["null_values"] = json!(["-", "1", "true"]);
        }
        match self.absent {
            Absent::Rejected => {}
            Absent::Null => options["required"] = false.into(),
            Absent::Default => options["default"] = self.default().0.into(),
        }
        options
    }

    /// The default in the options, and as it is written.
    fn default(&self) -> (&'static str, &'static str) {
        match self.kind {
            Some("integer") => ("+7", "7"),
            Some("float") => ("7", "7.0"),
            Some("boolean") => ("No", "false"),
            Some("date") => ("2024-01-31", "\"2024-01-31\""),
            Some("day") => ("31/01/2024", "\"2024-01-31\""),
            _ => ("d", "\"d\""),
        }
    }

    /// The value as JSON; `None` if the record is rejected.
    fn reference(&self, record: &Json) -> Option<String> {
        let Some(value) = record.at(&self.path) else {
            return match self.absent {
                Absent::Rejected => None,
                Absent::Null => Some("null".into()),
                Absent::Default => Some(self.default().1.into()),
            };
        };
        let (text, is_text) = match value {
            Json::Null => return Some("null".into()),
            Json::Bool(value) => (value.to_string(), false),
            Json::Number(digits) => (digits.clone(), false),
            Json::Text(text) => (text.clone(), true),
            Json::List(_) | Json::Object(_) if self.kind.is_none() => {
                let mut out = String::new();
                value.write("", &mut out);
                return Some(out);
            }
            Json::List(_) | Json::Object(_) => return None,
        };
        if self.null_values && ["-", "1", "true"].contains(&&*text) {
            return Some("null".into());
        }
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        match self.kind {
            None if is_text => Some(quoted(&text)),
            None => Some(text),
            Some("string") => Some(quoted(&text)),
            Some("integer") => integer(&text),
            Some("float") => float(&text),
            Some("boolean") => match &*text.to_lowercase() {
                "true" | "t" | "yes" | "y" | "1" => Some("true".into()),
                "false" | "f" | "no" | "n" | "0" => Some("false".into()),
                _ => None,
            },
            Some(kind) => {
                let form = if kind == "date" { "%Y-%m-%d" } else { "%d/%m/%Y" };
                let date = chrono::NaiveDate::parse_from_str(&text, form).ok()?;
                Some(quoted(&date.format("%Y-%m-%d").to_string()))
            }
        }
    }
}

fn integer(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || "+-.".contains(c));
    let digits = text.chars().filter(char::is_ascii_digit).count();
    if !is_plain || digits == 0 || fraction.chars().any(|c| c != '0') {
        return None;
    }
    let whole = if whole.chars().any(|c| c.is_ascii_digit()) { whole } else { "0" };
    whole.parse::<i64>().ok().map(|number| number.to_string())
}

fn float(text: &str) -> Option<String> {
    let is_plain = text.chars().all(|c| c.is_ascii_digit() || "+-.e".contains(c));
    if !is_plain || !text.parse::<f64>().ok()?.is_finite() {
        return None;
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    let (number, exponent) = match text.trim_start_matches(['+', '-']).split_once('e') {
        Some((number, exponent)) => (number, format!("e{exponent}")),
        None => (text.trim_start_matches(['+', '-']), String::new()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let fraction = if fraction.is_empty() { "0" } else { fraction };
    Some(match (number.contains('.'), exponent.is_empty()) {
        (false, false) => format!("{sign}{whole}{exponent}"),
        _ => format!("{sign}{whole}.{fraction}{exponent}"),
    })
}

/// The whole record, or `None` if it is rejected.
fn reference(fields: &[Wanted], record: &Json) -> Option<String> {
    let values: Option<Vec<String>> = fields
        .iter()
        .enumerate()
        .map(|(index, field)| Some(format!("\"f{index}\":{}", field.reference(record)?)))
        .collect();
    Some(format!("{{{}}}", values?.join(",")))
}

fn options(fields: &[Wanted]) -> serde_json::Value {
    let fields: serde_json::Map<_, _> =
        fields.iter().enumerate().map(|(index, field)| (format!("f{index}"), field.options())).collect();
    json!({ "fields": fields })
}

/// The selected bodies and the offsets of rejected records.
fn run(options: serde_json::Value, batch: runner_core::Batch) -> (Vec<String>, Vec<u64>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let out = runtime.block_on(apply(&mut *select(options), batch)).unwrap();
    (json_of(&out), out.rejected.iter().map(|(record, _)| record.origin.offset).collect())
}

fn expected(fields: &[Wanted], all: &[Json]) -> (Vec<String>, Vec<u64>) {
    let all: Vec<Option<String>> = all.iter().map(|record| reference(fields, record)).collect();
    let rejected = all.iter().zip(0..).filter(|(it, _)| it.is_none()).map(|(_, offset)| offset).collect();
    (all.into_iter().flatten().collect(), rejected)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn json_agrees_with_the_reference(
        fields in prop::collection::vec(wanted(), 1..4),
        all in prop::collection::vec(object(), 1..6),
        space in prop::sample::select(vec!["", " ", "\n\t "]),
    ) {
        let bodies = all.iter().map(|record| {
            let mut text = String::new();
            record.write(space, &mut text);
            text
        });
        let batch = records(bodies.collect::<Vec<_>>());
        prop_assert_eq!(run(options(&fields), batch), expected(&fields, &all));
    }

    #[test]
    fn rows_agree_with_the_reference(
        fields in prop::collection::vec(wanted(), 1..4),
        texts in prop::collection::vec((text(), prop::option::of(0_u32..20_000)), 1..6),
    ) {
        // `a` is text, `b` is a whole number; `NA` is null.
        let cells: Vec<[String; 2]> = texts
            .iter()
            .map(|(text, number)| [text.clone(), number.map_or("NA".into(), |it| it.to_string())])
            .collect();
        let all: Vec<Json> = texts
            .into_iter()
            .map(|(text, number)| {
                let number = number.map_or(Json::Null, |it| Json::Number(it.to_string()));
                Json::Object(vec![("a".into(), Json::Text(text)), ("b".into(), number)])
            })
            .collect();
        let cells: Vec<[&str; 2]> = cells.iter().map(|[a, b]| [&**a, &**b]).collect();
        let cells: Vec<&[&str]> = cells.iter().map(|row| &row[..]).collect();
        let batch = rows(&[("a", ColumnType::String), ("b", ColumnType::Integer)], &cells);
        prop_assert_eq!(run(options(&fields), batch), expected(&fields, &all));
    }
}
