//! Options that can be wrong in more ways than a string: the folder to crawl, and Glue's own schedule.

use std::borrow::Cow;
use std::fmt;

use runner_core::{OptionError, Result};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::shared::aws::check_bucket_name;

/// A folder of a bucket: `s3://bucket/folder/`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Folder(String);

impl Folder {
    /// The folder that the sinks in front write to, if they agree on one.
    pub(super) fn upstream(locations: &[String]) -> Result<Folder> {
        let mut folders = locations.to_vec();
        folders.sort_unstable();
        folders.dedup();
        match &*folders {
            [folder] => {
                Folder::try_from(folder.clone()).map_err(|message| OptionError::new("target", message))
            }
            [] => Err(OptionError::new(
                "target",
                "nothing in `inputs` says which folder it writes to: name an `s3` sink there, or set \
                 `target = \"s3://bucket/folder/\"`",
            )),
            several => Err(OptionError::new(
                "target",
                format!(
                    "the sinks in `inputs` write to different folders ({}): set `target`, or give each folder a \
                     `glue_crawl` of its own",
                    several.join(", ")
                ),
            )),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The level of the folder as Glue counts it: the bucket is 1.
    pub(super) fn depth(&self) -> usize {
        self.0.trim_start_matches("s3://").trim_end_matches('/').split('/').count()
    }

    /// The bucket alone.
    pub(super) fn bucket(&self) -> &str {
        let path = self.0.trim_start_matches("s3://");
        path.split('/').next().unwrap_or(path)
    }

    /// Whether a table or a target at `location` lies in this folder; a `/` at the end is all the same.
    pub(super) fn holds(&self, location: &str) -> bool {
        format!("{}/", location.trim_end_matches('/')).starts_with(&self.0)
    }

    /// Whether `location` is this very folder.
    pub(super) fn is(&self, location: &str) -> bool {
        location.trim_end_matches('/') == self.0.trim_end_matches('/')
    }
}

impl TryFrom<String> for Folder {
    type Error = String;

    fn try_from(url: String) -> Result<Self, String> {
        let Some(path) = url.strip_prefix("s3://") else {
            return Err(format!("`{url}` is not a folder of a bucket: write it as \"s3://bucket/folder/\""));
        };
        let path = path.trim_end_matches('/');
        if path.is_empty() || path.split('/').any(str::is_empty) {
            return Err(format!("`{url}` lacks a name: write it as \"s3://bucket/folder/\""));
        }
        let bucket = path.split('/').next().unwrap_or(path);
        check_bucket_name(bucket)?;
        Ok(Folder(format!("s3://{path}/")))
    }
}

impl From<Folder> for String {
    fn from(folder: Folder) -> Self {
        folder.0
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Folder {
    fn schema_name() -> Cow<'static, str> {
        "Folder".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^s3://[^/]|\$\{" })
    }
}

/// A Glue cron expression: `cron(15 12 * * ? *)`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Cron(String);

impl Cron {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Cron {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const FORM: &str =
            "minutes, hours, day of month, month, day of week, year, as in \"cron(15 12 * * ? *)\"";
        let fields = text.trim().strip_prefix("cron(").and_then(|rest| rest.strip_suffix(')'));
        let Some(fields) = fields else {
            return Err(format!("`{text}` is not a schedule of Glue: write `cron(…)` with {FORM}"));
        };
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let &[_, _, day_of_month, _, day_of_week, _] = &*fields else {
            return Err(format!("`{text}` has {} fields, and Glue wants six: {FORM}", fields.len()));
        };
        if (day_of_month == "?") == (day_of_week == "?") {
            return Err(format!(
                "`{text}`: one of day of month and day of week must be `?`, and only one: {FORM}"
            ));
        }
        Ok(Cron(text.trim().to_owned()))
    }
}

impl JsonSchema for Cron {
    fn schema_name() -> Cow<'static, str> {
        "Cron".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^\s*cron\(.*\)\s*$|\$\{" })
    }
}

/// How many objects of a folder a crawler reads: 1 to 249.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "i64", into = "i32")]
pub(super) struct SampleSize(i32);

impl Default for SampleSize {
    fn default() -> Self {
        SampleSize(100)
    }
}

impl TryFrom<i64> for SampleSize {
    type Error = String;

    fn try_from(n: i64) -> Result<Self, String> {
        match i32::try_from(n) {
            Ok(n @ 1..=249) => Ok(SampleSize(n)),
            _ => Err(format!("a crawler reads 1 to 249 objects of a folder, not {n}")),
        }
    }
}

impl From<SampleSize> for i32 {
    fn from(size: SampleSize) -> Self {
        size.0
    }
}

impl JsonSchema for SampleSize {
    fn schema_name() -> Cow<'static, str> {
        "SampleSize".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": 249 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crawler_reads_no_more_objects_of_a_folder_than_glue_allows() {
        assert_eq!(serde_json::from_str::<SampleSize>("249").unwrap(), SampleSize(249));
        for n in ["0", "250", "-1"] {
            assert!(serde_json::from_str::<SampleSize>(n).unwrap_err().to_string().contains("1 to 249"));
        }
    }

    fn folder(url: &str) -> Folder {
        Folder::try_from(url.to_owned()).unwrap()
    }

    #[test]
    fn a_folder_always_ends_with_a_slash_and_knows_its_depth() {
        assert_eq!(folder("s3://lake/stocks").as_str(), "s3://lake/stocks/");
        assert_eq!(folder("s3://lake").depth(), 1);
        assert_eq!(folder("s3://lake/stocks/").depth(), 2);
        assert_eq!(folder("s3://lake/a/b/").depth(), 3);
        for url in ["lake/stocks", "s3://", "s3://lake//x", "https://lake.s3.amazonaws.com/x"] {
            assert!(Folder::try_from(url.to_owned()).is_err(), "{url}");
        }
    }

    #[test]
    fn a_folder_holds_what_lies_in_it_and_not_what_is_named_alike() {
        let stocks = folder("s3://lake/stocks/");
        assert!(stocks.holds("s3://lake/stocks") && stocks.holds("s3://lake/stocks/2020/"));
        assert!(!stocks.holds("s3://lake/stocks_old/") && !stocks.holds("s3://lake/"));
    }

    #[test]
    fn the_target_is_the_one_folder_that_the_sinks_in_front_write_to() {
        let locations = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let same = locations(&["s3://lake/a/", "s3://lake/a/"]);
        assert_eq!(Folder::upstream(&same).unwrap(), folder("s3://lake/a/"));
        for (urls, says) in
            [(vec![], "nothing in `inputs`"), (vec!["s3://lake/a/", "s3://lake/b/"], "different")]
        {
            let error = Folder::upstream(&locations(&urls)).unwrap_err();
            let error = error.downcast_ref::<OptionError>().unwrap();
            assert_eq!(error.option, "target");
            assert!(error.message.contains(says), "{}", error.message);
        }
    }

    #[test]
    fn a_schedule_is_a_cron_expression_of_six_fields() {
        assert!(Cron::try_from("cron(15 12 * * ? *)".to_owned()).is_ok());
        for (text, says) in [
            ("15 12 * * ? *", "write `cron(…)`"),
            ("cron(15 12 * * *)", "has 5 fields"),
            ("cron(15 12 * * * *)", "must be `?`"),
        ] {
            assert!(Cron::try_from(text.to_owned()).unwrap_err().contains(says), "{text}");
        }
    }
}
