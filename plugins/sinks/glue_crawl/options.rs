//! The options `target` and `schedule`.

use std::fmt;

use runner_core::{OptionError, Result};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::shared::aws::check_bucket_name;

/// A folder of a bucket: `s3://bucket/folder/`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r"^s3://[^/]|\$\{"))]
pub(super) struct Folder(String);

impl Folder {
    /// The folder that the upstream sinks write to, if it is the same one. A folder such as `year=2024` is a partition of
    /// the table, not the table.
    pub(super) fn upstream(locations: &[String]) -> Result<Folder> {
        let mut folders: Vec<String> = locations.iter().map(|it| without_partitions(it).to_owned()).collect();
        folders.sort_unstable();
        folders.dedup();
        let message = match &*folders {
            [folder] => match Folder::try_from(folder.clone()) {
                Ok(folder) => return Ok(folder),
                Err(message) => message,
            },
            [] => "no component in `inputs` writes to a folder: add an `s3` sink there, or set \
                   `target = \"s3://bucket/folder/\"`"
                .into(),
            several => format!(
                "the sinks in `inputs` write to different folders ({}): set `target`, or add one `glue_crawl` for \
                 each folder",
                several.join(", ")
            ),
        };
        Err(OptionError::new("target", message))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The level of the folder as Glue counts it: the bucket is 1.
    pub(super) fn depth(&self) -> usize {
        self.0.trim_start_matches("s3://").trim_end_matches('/').split('/').count()
    }

    pub(super) fn bucket(&self) -> &str {
        let path = self.0.trim_start_matches("s3://");
        path.split('/').next().unwrap_or(path)
    }

    /// Whether `location` is this folder or a folder in it, with or without a `/` at the end.
    pub(super) fn contains(&self, location: &str) -> bool {
        format!("{}/", location.trim_end_matches('/')).starts_with(&self.0)
    }

    /// Whether `location` is this folder, with or without a `/` at the end.
    pub(super) fn is(&self, location: &str) -> bool {
        location.trim_end_matches('/') == self.0.trim_end_matches('/')
    }
}

/// The part of a location before its first folder with a `=`.
fn without_partitions(location: &str) -> &str {
    location.find('=').map_or(location, |at| &location[..=location[..at].rfind('/').unwrap_or_default()])
}

impl TryFrom<String> for Folder {
    type Error = String;

    fn try_from(url: String) -> Result<Self, String> {
        let Some(path) = url.strip_prefix("s3://") else {
            return Err(format!("`{url}` is not a folder of a bucket: write it as \"s3://bucket/folder/\""));
        };
        let path = path.trim_end_matches('/');
        if path.split('/').any(str::is_empty) {
            return Err(format!("`{url}` has an empty name in it: write it as \"s3://bucket/folder/\""));
        }
        let folder = Folder(format!("s3://{path}/"));
        // A crawler reads a folder, not the alias or the ARN of an access point.
        if folder.bucket().starts_with("arn:") {
            return Err(format!("`{url}`: a crawler needs the name of a bucket, not an ARN"));
        }
        check_bucket_name(folder.bucket(), true)?;
        Ok(folder)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Checks a cron expression of Glue, such as `cron(15 12 * * ? *)`.
pub(super) fn check_schedule(text: &str) -> Result<(), String> {
    const FORM: &str =
        "minutes, hours, day of month, month, day of week, year, as in \"cron(15 12 * * ? *)\"";
    let fields = text.strip_prefix("cron(").and_then(|rest| rest.strip_suffix(')'));
    let Some(fields) = fields else {
        return Err(format!("`{text}` is not a Glue schedule: write `cron(…)` with {FORM}"));
    };
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let &[_, _, day_of_month, _, day_of_week, _] = &*fields else {
        return Err(format!("`{text}` has {} fields, Glue needs six: {FORM}", fields.len()));
    };
    if (day_of_month == "?") == (day_of_week == "?") {
        return Err(format!("`{text}`: either day of month or day of week must be `?`, not both: {FORM}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(url: &str) -> Folder {
        Folder::try_from(url.to_owned()).unwrap()
    }

    #[test]
    fn folder_ends_with_a_slash_and_has_a_depth() {
        assert_eq!(folder("s3://lake/stocks").as_str(), "s3://lake/stocks/");
        assert_eq!(folder("s3://lake").depth(), 1);
        assert_eq!(folder("s3://lake/stocks/").depth(), 2);
        assert_eq!(folder("s3://lake/a/b/").depth(), 3);
        for url in ["lake/stocks", "s3://", "s3://lake//x", "https://lake.s3.amazonaws.com/x"] {
            assert!(Folder::try_from(url.to_owned()).is_err(), "{url}");
        }
    }

    #[test]
    fn folder_contains_its_subfolders_and_no_folder_with_a_longer_name() {
        let stocks = folder("s3://lake/stocks/");
        assert!(stocks.contains("s3://lake/stocks") && stocks.contains("s3://lake/stocks/2020/"));
        assert!(!stocks.contains("s3://lake/stocks_old/") && !stocks.contains("s3://lake/"));
    }

    #[test]
    fn target_defaults_to_the_one_folder_of_the_upstream_sinks() {
        let locations = |urls: &[&str]| urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
        let same = locations(&["s3://lake/a/", "s3://lake/a/"]);
        assert_eq!(Folder::upstream(&same).unwrap(), folder("s3://lake/a/"));
        let years = locations(&["s3://lake/a/year=2023/m=1/", "s3://lake/a/year=2024/"]);
        assert_eq!(Folder::upstream(&years).unwrap(), folder("s3://lake/a/"));
        assert_eq!(Folder::upstream(&locations(&["s3://lake/y=1/"])).unwrap(), folder("s3://lake/"));
        for (urls, text) in
            [(vec![], "no component in `inputs`"), (vec!["s3://lake/a/", "s3://lake/b/"], "different")]
        {
            let error = Folder::upstream(&locations(&urls)).unwrap_err();
            let error = error.downcast_ref::<OptionError>().unwrap();
            assert_eq!(error.option, "target");
            assert!(error.message.contains(text), "{}", error.message);
        }
    }

    #[test]
    fn schedule_is_a_cron_expression_of_six_fields() {
        assert!(check_schedule("cron(15 12 * * ? *)").is_ok());
        for (text, message) in [
            ("15 12 * * ? *", "write `cron(…)`"),
            ("cron(15 12 * * *)", "has 5 fields"),
            ("cron(15 12 * * * *)", "must be `?`"),
        ] {
            assert!(check_schedule(text).unwrap_err().contains(message), "{text}");
        }
    }
}
