//! The crawler that the pipeline file describes, and how an existing one differs from it.

use aws_sdk_glue::types::{Crawler as ExistingCrawler, CrawlerTargets, S3Target};
use serde_json::{Value, json};

use super::GlueCrawlConfig;
use super::options::Folder;

/// The crawler that the pipeline file describes.
#[derive(Debug)]
pub(super) struct CrawlerSettings {
    pub(super) config: GlueCrawlConfig,
    pub(super) target: Folder,
}

/// A setting of an existing crawler that differs from the pipeline file.
pub(super) struct Difference {
    pub(super) text: String,
    /// Whether the crawler would crawl another folder, into another database or table, or with another role.
    pub(super) is_serious: bool,
}

impl CrawlerSettings {
    pub(super) fn targets(&self) -> CrawlerTargets {
        let target =
            S3Target::builder().path(self.target.as_str()).sample_size(self.config.sample_size).build();
        CrawlerTargets::builder().s3_targets(target).build()
    }

    /// One table for the target, even if its objects differ; partitions have the schema of the table.
    pub(super) fn configuration(&self) -> String {
        json!({
            "Version": 1.0,
            "CrawlerOutput": { "Partitions": { "AddOrUpdateBehavior": "InheritFromTable" } },
            "Grouping": {
                "TableGroupingPolicy": "CombineCompatibleSchemas",
                "TableLevelConfiguration": self.target.depth(),
            },
        })
        .to_string()
    }

    pub(super) fn differences(&self, existing: &ExistingCrawler) -> Vec<Difference> {
        let config = &self.config;
        let mut differences = Vec::new();
        let mut add = |setting: &str, found: &str, wanted: &str, is_same: bool, is_serious| {
            let quoted = |text: &str| if text.is_empty() { "none".into() } else { format!("`{text}`") };
            if !is_same {
                let (found, wanted) = (quoted(found), quoted(wanted));
                let text = format!("its {setting} is {found}, the pipeline file has {wanted}");
                differences.push(Difference { text, is_serious });
            }
        };
        let targets = existing.targets().map(CrawlerTargets::s3_targets).unwrap_or_default();
        let paths: Vec<&str> = targets.iter().filter_map(S3Target::path).collect();
        let is_same_target = matches!(*paths, [path] if self.target.is(path));
        add("target", &paths.join(", "), self.target.as_str(), is_same_target, true);

        let role = existing.role().unwrap_or_default();
        add("role", role, &config.role, role_name(role) == role_name(&config.role), true);

        let database = existing.database_name().unwrap_or_default();
        // Glue converts database names to lower case.
        add("database", database, &config.database, database.eq_ignore_ascii_case(&config.database), true);

        let prefix = existing.table_prefix().unwrap_or_default();
        add("table_prefix", prefix, &config.table_prefix, prefix == config.table_prefix, true);

        let schedule = existing.schedule().and_then(|it| it.schedule_expression()).unwrap_or_default();
        let wanted = config.schedule.as_deref().unwrap_or_default();
        add("schedule", schedule, wanted, schedule == wanted, false);

        if is_same_target {
            let found = targets[0].sample_size().map(|size| size.to_string()).unwrap_or_default();
            let wanted = config.sample_size.to_string();
            add("sample_size", &found, &wanted, found == wanted, false);
        }
        // The other parts of a configuration do not change which tables a crawler makes.
        let found = grouping(existing.configuration().unwrap_or_default());
        for ((setting, found), (_, wanted)) in found.iter().zip(&grouping(&self.configuration())) {
            add(setting, found, wanted, found == wanted, false);
        }
        differences
    }
}

/// The parts of a configuration that decide how objects are grouped into tables, with their names for messages.
fn grouping(configuration: &str) -> [(&'static str, String); 2] {
    let configuration: Value = serde_json::from_str(configuration).unwrap_or_default();
    let grouping = &configuration["Grouping"];
    let policy = grouping["TableGroupingPolicy"].as_str().unwrap_or_default().to_owned();
    let level = grouping["TableLevelConfiguration"].as_u64().map(|level| level.to_string());
    [("table grouping", policy), ("table level", level.unwrap_or_default())]
}

/// The name without the path: Glue accepts and returns a role by name or ARN, with or without a path.
pub(super) fn role_name(role: &str) -> &str {
    role.rsplit('/').next().unwrap_or(role)
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;
    use aws_sdk_glue::types::Schedule;

    fn existing(path: &str, role: &str, database: &str) -> ExistingCrawler {
        let target = S3Target::builder().path(path).sample_size(100).build();
        let targets = CrawlerTargets::builder().s3_targets(target).build();
        let existing = ExistingCrawler::builder().targets(targets).role(role).database_name(database);
        existing.configuration(settings(&json!({})).configuration()).build()
    }

    fn same() -> ExistingCrawler {
        existing("s3://lake/stockmarket_project/", "AWSGlueServiceRole-stock-market", "realtime-de-db")
    }

    #[test]
    fn other_spellings_of_the_same_crawler_are_no_difference() {
        for (path, role) in [
            ("s3://lake/stockmarket_project", "service-role/AWSGlueServiceRole-stock-market"),
            (
                "s3://lake/stockmarket_project/",
                "arn:aws:iam::1:role/service-role/AWSGlueServiceRole-stock-market",
            ),
        ] {
            let differences = settings(&json!({})).differences(&existing(path, role, "realtime-de-db"));
            assert!(differences.is_empty(), "{path} {role}");
        }
    }

    #[test]
    fn other_target_role_or_database_is_serious_and_a_schedule_is_not() {
        let differences =
            settings(&json!({})).differences(&existing("s3://lake/other/", "other-role", "other-db"));
        assert!(differences.iter().all(|difference| difference.is_serious));
        assert_eq!(
            differences[0].text,
            "its target is `s3://lake/other/`, the pipeline file has `s3://lake/stockmarket_project/`"
        );
        assert_eq!(differences.len(), 3);

        let mut scheduled = same();
        scheduled.schedule = Some(Schedule::builder().schedule_expression("cron(0 3 * * ? *)").build());
        let differences = settings(&json!({})).differences(&scheduled);
        assert_eq!(differences.len(), 1);
        assert!(!differences[0].is_serious);
        assert_eq!(differences[0].text, "its schedule is `cron(0 3 * * ? *)`, the pipeline file has none");
    }

    #[test]
    fn other_table_prefix_is_serious() {
        let differences = settings(&json!({ "table_prefix": "raw_" })).differences(&same());
        let texts: Vec<&str> = differences.iter().map(|difference| &*difference.text).collect();
        assert_eq!(texts, ["its table_prefix is none, the pipeline file has `raw_`"]);
        assert!(differences[0].is_serious);
    }

    #[test]
    fn other_sample_size_or_grouping_is_reported_and_not_serious() {
        let mut other = same();
        other.configuration = Some(json!({ "Grouping": { "TableLevelConfiguration": 3 } }).to_string());
        let differences = settings(&json!({ "sample_size": 200 })).differences(&other);
        assert!(differences.iter().all(|difference| !difference.is_serious));
        let text: Vec<String> = differences.into_iter().map(|difference| difference.text).collect();
        assert_eq!(
            text,
            [
                "its sample_size is `100`, the pipeline file has `200`",
                "its table grouping is none, the pipeline file has `CombineCompatibleSchemas`",
                "its table level is `3`, the pipeline file has `2`",
            ]
        );
        other.configuration = None;
        other.targets = None;
        assert_eq!(
            settings(&json!({})).differences(&other).len(),
            3,
            "the target and the grouping of objects"
        );
    }

    #[test]
    fn configuration_makes_one_table_at_the_depth_of_the_target() {
        let configuration: Value = serde_json::from_str(&settings(&json!({})).configuration()).unwrap();
        let grouping = &configuration["Grouping"];
        assert_eq!(grouping["TableGroupingPolicy"], "CombineCompatibleSchemas");
        assert_eq!(grouping["TableLevelConfiguration"], 2);
    }
}
