//! What a crawled table can hold: one JSON object on one line, without names that Athena cannot tell apart.

mod long_numbers;
mod scan;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use tracing::warn;

use self::scan::{Kinds, scan};
use crate::shared::key_template::is_hidden;

/// How many columns are watched for a change of their type.
const MAX_COLUMNS: usize = 4096;

/// The folder in a location such as `s3://bucket/folder/`.
pub(super) fn folder_of(target: &str) -> &str {
    let path = target.trim_start_matches("s3://");
    path.split_once('/').map_or("", |(_, folder)| folder)
}

/// The rows of a table that a crawler makes of the objects.
#[derive(Debug)]
pub(super) struct TableRows {
    /// The sink, for warnings.
    component: String,
    /// The folder that is crawled.
    target: String,
    /// The columns that the crawler makes of folders, in lower case.
    partitions: Vec<String>,
    /// The kinds of values that each column has had.
    columns: Mutex<HashMap<String, Kinds>>,
}

impl TableRows {
    pub(super) fn new(component: &str, target: &str, partitions: Vec<String>) -> TableRows {
        let component = component.to_owned();
        TableRows { component, target: target.to_owned(), partitions, columns: Mutex::default() }
    }

    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Checks that Athena can read an object; the error rejects the record.
    pub(super) fn check_object(&self, key: &str, body: &[u8]) -> Result<()> {
        if is_hidden(key, folder_of(&self.target)) {
            bail!(
                "a crawler makes a table of {}, and the object, or a folder of it, would have a name that begins with `_` or \
                 `.`: Athena skips such objects. Put a text before the placeholder in `key`, as in `x{{{{ key }}}}`",
                self.target
            );
        }
        self.check(body)
    }

    /// Checks that Athena can read `body` as one row.
    fn check(&self, body: &[u8]) -> Result<()> {
        let fields = match scan(body) {
            Ok(fields) => fields,
            Err(reason) => bail!(
                "a crawler makes a table of {}, and Athena cannot read this record: {reason}",
                self.target
            ),
        };
        if let Some((name, _)) = fields.iter().find(|(name, _)| self.partitions.contains(name)) {
            bail!(
                "the field `{name}` has the name of a folder in `key`, which becomes a column of the table at {}: \
                 Athena refuses a table that has a column twice. Rename the field (`select`), or rename the folder",
                self.target
            );
        }
        self.watch(fields)
    }

    /// Warns of every column whose values change their kind: the type of the column is that of the
    /// objects that the crawler happens to sample, and Athena fails on the others. An object or array in a column of
    /// numbers or booleans is an error, which rejects the record.
    fn watch(&self, fields: Vec<(String, Kinds)>) -> Result<()> {
        let mut columns = self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        let is_misfit = |(name, kinds): &&(String, Kinds)| {
            kinds.are_nested() && columns.get(name).is_some_and(|known| known.have_numbers_or_booleans())
        };
        if let Some((name, kinds)) = fields.iter().find(is_misfit) {
            bail!(
                "the column `{name}` has had {}, and this record has {kinds} there: Athena would fail with HIVE_BAD_DATA \
                 on the table at {}. Give the field another name, or keep it as a text with `encode_json` in a `remap`",
                columns[name],
                self.target
            );
        }
        for (name, kinds) in fields {
            if columns.len() >= MAX_COLUMNS && !columns.contains_key(&name) {
                continue;
            }
            let known = columns.get(&name).copied().unwrap_or(Kinds::NONE);
            let all = known.with(kinds);
            if all.verdict() > known.verdict() {
                let (effect, advice) = (all.effect(), all.advice());
                warn!(component = self.component, "the column `{name}` has {all}: {effect}. {advice}");
            }
            columns.insert(name, all);
        }
        Ok(())
    }

    #[cfg(test)]
    fn kinds(&self, column: &str) -> String {
        self.columns.lock().unwrap()[column].to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::scan::Verdict;
    use super::*;

    fn rows() -> TableRows {
        TableRows::new("lake", "s3://lake/stocks/", vec!["year".into()])
    }

    fn rejection(body: &str) -> String {
        rows().check(body.as_bytes()).expect_err(body).to_string()
    }

    #[test]
    fn object_or_array_in_a_column_of_numbers_is_rejected() {
        let rows = rows();
        let check = |body: &str| rows.check(body.as_bytes()).map_err(|error| error.to_string());
        check(r#"{"Close":1,"name":"x","o":{"n":1}}"#).unwrap();
        for (body, part) in [
            (r#"{"Close":{"raw":1}}"#, "`close` has had whole numbers, and this record has objects"),
            (r#"{"Close":[1]}"#, "this record has arrays"),
            (r#"{"o":{"n":[2]}}"#, "`o.n` has had whole numbers"),
        ] {
            let reason = check(body).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
        // Athena reads an object in a column of texts as text.
        check(r#"{"name":{"x":1}}"#).unwrap();
        assert_eq!(rows.kinds("close"), "whole numbers");
    }

    #[test]
    fn one_value_that_cannot_be_read_is_not_called_several() {
        for body in [r#"{"text":"cut off \ud83d"}"#, r#"{"v":1e400}"#] {
            let reason = rejection(body);
            assert!(reason.contains("a value in it is not one that Athena has"), "{reason}");
        }
    }

    #[test]
    fn one_line_object_is_accepted() {
        for body in [
            r#"{"Index":"NYA","Open":1.5,"tags":["a"],"o":{"x":null}}"#,
            "{\"a\": 1}\n",
            " {} ",
            "{\"a\":\"x\\ny\"}",
        ] {
            rows().check(body.as_bytes()).expect(body);
        }
    }

    #[test]
    fn body_that_is_not_one_object_on_one_line_is_rejected_with_a_fix() {
        for (body, part) in [
            ("", "is empty"),
            ("  ", "is empty"),
            ("NYA,1.5", "not JSON"),
            ("{'Index': 'HSI'}", "not JSON"),
            ("{\"Close\":NaN}", "not JSON"),
            ("{\"a\":1", "not JSON"),
            ("{\"a\":1}{\"a\":2}", "several JSON values"),
            ("[{\"a\":1}]", "JSON array"),
            ("42", "not a JSON object"),
            ("null", "not a JSON object"),
            ("\"text\"", "not a JSON object"),
            ("\"{\\\"a\\\":1}\"", "unwrap = true"),
            ("{\n  \"a\": 1\n}", "`to_json` writes it on one"),
            ("{\"a\":1}\n{\"a\":2}\n", "several JSON values"),
            ("{\"a\":\r1}", "several lines"),
            ("\u{feff}{\"a\":1}", "`to_json` before this sink"),
            ("\0\0\0\u{1}\u{7}{\"a\":1}", "the number 263 of a schema"),
        ] {
            let error = rejection(body);
            assert!(error.contains(part) && error.contains("s3://lake/stocks/"), "{body:?}: {error}");
        }
        rows().check(b"{\"a\":\"\xff\"}").unwrap_err();
    }

    #[test]
    fn error_shows_no_value() {
        for body in [
            "{\"pin\":hush}",
            "hush",
            "\"hush\"",
            "{\"a\":\"hush\",\"A\":\"hush\"}",
            "{\"a\":\"hush\"",
            "[\"hush\"]",
        ] {
            assert!(!rejection(body).contains("hush"), "{body}");
        }
    }

    #[test]
    fn keys_equal_in_lower_case_are_rejected_at_every_depth() {
        assert!(rejection(r#"{"Close":1.5,"close":100}"#).contains("`Close` and `close`"));
        assert!(rejection(r#"{"a":1,"a":2}"#).contains("`a` twice"));
        assert!(rejection(r#"{"o":[{"Url":1,"URL":2}]}"#).contains("`Url` and `URL`"));
        assert!(rejection(r#"{"Größe":1,"GRÖßE":2}"#).contains("`Größe` and `GRÖßE`"));
        rows().check(br#"{"a":{"b":1},"b":{"a":1}}"#).unwrap();
    }

    #[test]
    fn nested_name_that_athena_cannot_read_is_rejected() {
        for (body, part) in [
            (r#"{"headers":{"user-agent":"x"}}"#, "the key `user-agent` inside of an object"),
            (r#"{"tags":[{"aws:id":"x"}]}"#, "`aws:id`"),
            (r#"{"rates":{"2024-01-31":1.5}}"#, "`2024-01-31`"),
            (r#"{"o":{"a,b":1}}"#, "`a,b`"),
            (r#"{"o":{"":1}}"#, "an empty key"),
            (r#"{"":1}"#, "an empty key"),
        ] {
            let reason = rejection(body);
            assert!(reason.contains(part) && reason.contains("snake_case"), "{reason}");
        }
        rows()
            .check(r#"{"detail-type":"x","@t":1,"o":{"1. open":1,"größe_2":2,"$id":3}}"#.as_bytes())
            .unwrap();
    }

    #[test]
    fn object_that_athena_skips_is_rejected() {
        for key in ["stocks/_raw_0_1.json", "stocks/.day/raw_0_1.json"] {
            let reason = rows().check_object(key, b"{}").unwrap_err().to_string();
            assert!(reason.contains("Athena skips such objects"), "{reason}");
        }
        rows().check_object("stocks/day=_x/raw_0_1.json", b"{}").unwrap();
    }

    #[test]
    fn whole_numbers_beyond_64_bits_are_reported_at_the_first_one() {
        let rows = rows();
        rows.check(br#"{"id":18446744073709551615}"#).unwrap();
        let kinds = rows.columns.lock().unwrap()["id"];
        assert_eq!(kinds.verdict(), Verdict::Unreadable);
        assert_eq!(kinds.to_string(), "whole numbers beyond 9223372036854775807");
        assert!(kinds.effect().contains("more than 64 bits") && kinds.advice().contains("\"string\""));
        rows.check(br#"{"n":9223372036854775807}"#).unwrap();
        assert_eq!(rows.kinds("n"), "whole numbers beyond 32 bits");
    }

    #[test]
    fn numbers_with_more_digits_than_a_double_are_reported() {
        let rows = rows();
        rows.check(br#"{"amount":1.5}"#).unwrap();
        rows.check(br#"{"amount":12.345678901234567891}"#).unwrap();
        let kinds = rows.columns.lock().unwrap()["amount"];
        assert_eq!(kinds.verdict(), Verdict::Unreadable);
        assert!(kinds.effect().contains("16 digits") && kinds.advice().contains("\"string\""));
    }

    #[test]
    fn whole_numbers_of_two_widths_are_reported() {
        let rows = rows();
        let kinds = |body: &str| {
            rows.check(body.as_bytes()).unwrap();
            rows.columns.lock().unwrap()["n"]
        };
        for body in [r#"{"n":2147483647}"#, r#"{"n":-2147483648}"#] {
            assert_eq!(kinds(body).verdict(), Verdict::OneType);
        }
        let both = kinds(r#"{"n":2147483648}"#);
        assert_eq!(both.verdict(), Verdict::Unreadable);
        assert_eq!(both.to_string(), "whole numbers and whole numbers beyond 32 bits");
        assert!(both.effect().contains("(`int`)") && both.advice().contains("\"float\""));
        let wide = self::rows();
        wide.check(br#"{"n":2147483648}"#).unwrap();
        assert_eq!(wide.columns.lock().unwrap()["n"].verdict(), Verdict::OneType);
    }

    #[test]
    fn field_with_the_name_of_a_partition_is_rejected() {
        assert!(rejection(r#"{"Year":2024}"#).contains("`year` has the name of a folder"));
        rows().check(br#"{"o":{"year":2024}}"#).unwrap();
    }

    #[test]
    fn text_that_is_a_number_is_distinguished_from_other_texts() {
        let rows = rows();
        let verdict = |body: &str| {
            rows.check(body.as_bytes()).unwrap();
            rows.columns.lock().unwrap()["close"].verdict()
        };
        assert_eq!(verdict(r#"{"Close":102.5}"#), Verdict::OneType);
        assert_eq!(verdict(r#"{"Close":"-1.5e3"}"#), Verdict::NumbersInTexts);
        assert!(rows.kinds("close").ends_with("and texts that are numbers with a fraction"));
        assert_eq!(verdict(r#"{"Close":"n/a"}"#), Verdict::Unreadable);
        assert_eq!(rows.kinds("close"), "numbers with a fraction and texts");
        let verdict = |bodies: [&str; 2]| {
            let rows = self::rows();
            for body in bodies {
                rows.check(body.as_bytes()).unwrap();
            }
            rows.columns.lock().unwrap()["a"].verdict()
        };
        assert_eq!(verdict([r#"{"a":"12"}"#, r#"{"a":"x"}"#]), Verdict::OneType, "both are texts");
        assert_eq!(verdict([r#"{"a":1}"#, r#"{"a":" 12 "}"#]), Verdict::NumbersInTexts);
        assert_eq!(verdict([r#"{"a":1}"#, r#"{"a":"1.5"}"#]), Verdict::Unreadable, "a fraction");
        assert_eq!(verdict([r#"{"a":1.5}"#, r#"{"a":"12"}"#]), Verdict::NumbersInTexts, "a double reads it");
        assert_eq!(verdict([r#"{"a":true}"#, r#"{"a":"1"}"#]), Verdict::Unreadable);
    }

    #[test]
    fn kinds_of_values_are_collected_by_column() {
        let rows = rows();
        for body in
            [r#"{"price":100,"o":{"n":[1]}}"#, r#"{"PRICE":null}"#, r#"{"Price":100.25,"o":{"n":["x"]}}"#]
        {
            rows.check(body.as_bytes()).unwrap();
        }
        assert_eq!(rows.kinds("price"), "whole numbers and numbers with a fraction");
        assert_eq!(rows.kinds("o.n[]"), "whole numbers and texts");
        rows.check(br#"{"tags":[1]}"#).unwrap();
        rows.check(br#"{"tags":{"a":1}}"#).unwrap();
        assert_eq!(rows.kinds("tags"), "objects and arrays");
        let advice = |column: &str| rows.columns.lock().unwrap()[column].advice();
        assert!(advice("price").contains("`type = \"float\"`"));
        assert!(advice("o.n[]").contains("`type = \"string\"`"));
        assert!(advice("tags").contains("encode_json") && !advice("tags").contains("float"));
        rows.check(br#"{"price":1,"PRICE":"x"}"#).unwrap_err();
        assert_eq!(
            rows.kinds("price"),
            "whole numbers and numbers with a fraction",
            "a rejected record does not count"
        );
    }
}
