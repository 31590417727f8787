//! A plan is a crawler as the pipeline file wants it, and what an existing one has otherwise.

use std::fmt;

use aws_sdk_glue::types::{Crawler as Description, CrawlerTargets, S3Target};
use serde_json::{Value, json};

use super::options::{Cron, Folder};

/// A crawler as the pipeline file wants it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) database: String,
    pub(super) role: String,
    pub(super) target: Folder,
    pub(super) table_prefix: String,
    pub(super) sample_size: i32,
    pub(super) schedule: Option<Cron>,
}

/// What an existing crawler has otherwise than the pipeline file says.
pub(super) struct Difference {
    what: &'static str,
    is: String,
    wanted: String,
    /// It would crawl something else, elsewhere, or as somebody else.
    pub(super) is_serious: bool,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "its {} is {}, the pipeline file says {}", self.what, self.is, self.wanted)
    }
}

impl Plan {
    pub(super) fn targets(&self) -> CrawlerTargets {
        let target = S3Target::builder().path(self.target.as_str()).sample_size(self.sample_size).build();
        CrawlerTargets::builder().s3_targets(target).build()
    }

    /// One table for the target, whatever differs between its objects; its partitions read as it does.
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

    pub(super) fn differences(&self, found: &Description) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut note = |what, is: &str, wanted: &str, is_same: bool, is_serious| {
            let quoted = |text: &str| if text.is_empty() { "none".into() } else { format!("`{text}`") };
            if !is_same {
                differences.push(Difference { what, is: quoted(is), wanted: quoted(wanted), is_serious });
            }
        };
        let targets = found.targets();
        let paths: Vec<&str> = targets
            .map(|targets| targets.s3_targets().iter().filter_map(S3Target::path).collect())
            .unwrap_or_default();
        let is_same_target = matches!(*paths, [path] if self.target.is(path));
        note("target", &paths.join(", "), self.target.as_str(), is_same_target, true);

        let role = found.role().unwrap_or_default();
        note("role", role, &self.role, name_of_role(role) == name_of_role(&self.role), true);

        let database = found.database_name().unwrap_or_default();
        // Glue keeps names of databases in lower case.
        note("database", database, &self.database, database.eq_ignore_ascii_case(&self.database), true);

        let prefix = found.table_prefix().unwrap_or_default();
        note("table_prefix", prefix, &self.table_prefix, prefix == self.table_prefix, false);

        let schedule = found.schedule().and_then(|it| it.schedule_expression()).unwrap_or_default();
        let wanted = self.schedule.as_ref().map_or("", Cron::as_str);
        note("schedule", schedule, wanted, schedule == wanted, false);

        if is_same_target {
            let sample_size = targets.and_then(|targets| targets.s3_targets().first()?.sample_size());
            let is = sample_size.map(|size| size.to_string()).unwrap_or_default();
            note(
                "sample_size",
                &is,
                &self.sample_size.to_string(),
                sample_size == Some(self.sample_size),
                false,
            );
        }
        // What else a configuration holds makes no other tables of the same objects.
        let (is, wanted) =
            (grouping(found.configuration().unwrap_or_default()), grouping(&self.configuration()));
        for ((what, is), (_, wanted)) in is.iter().zip(&wanted) {
            note(what, is, wanted, is == wanted, false);
        }
        differences
    }
}

/// What a configuration says of how objects make tables, in words for people.
fn grouping(configuration: &str) -> [(&'static str, String); 2] {
    let configuration: Value = serde_json::from_str(configuration).unwrap_or_default();
    let grouping = &configuration["Grouping"];
    let policy = grouping["TableGroupingPolicy"].as_str().unwrap_or_default().to_owned();
    let level = grouping["TableLevelConfiguration"].as_u64().map(|level| level.to_string());
    [("grouping of tables", policy), ("table level", level.unwrap_or_default())]
}

/// Glue takes a role by its name or its ARN, with or without a path, and answers with any of them.
fn name_of_role(role: &str) -> &str {
    role.rsplit('/').next().unwrap_or(role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_glue::types::Schedule;

    fn plan() -> Plan {
        Plan {
            name: "stock-market-crawler".into(),
            database: "realtime-de-db".into(),
            role: "AWSGlueServiceRole-stock-market".into(),
            target: Folder::try_from("s3://lake/stockmarket_project/".to_owned()).unwrap(),
            table_prefix: String::new(),
            sample_size: 100,
            schedule: None,
        }
    }

    fn found(path: &str, role: &str, database: &str) -> Description {
        let target = S3Target::builder().path(path).sample_size(100).build();
        let targets = CrawlerTargets::builder().s3_targets(target).build();
        let found = Description::builder().targets(targets).role(role).database_name(database);
        found.configuration(plan().configuration()).build()
    }

    #[test]
    fn the_same_crawler_in_other_words_is_the_same() {
        for (path, role) in [
            ("s3://lake/stockmarket_project", "service-role/AWSGlueServiceRole-stock-market"),
            (
                "s3://lake/stockmarket_project/",
                "arn:aws:iam::1:role/service-role/AWSGlueServiceRole-stock-market",
            ),
        ] {
            assert!(plan().differences(&found(path, role, "realtime-de-db")).is_empty(), "{path} {role}");
        }
    }

    #[test]
    fn another_target_role_or_database_is_serious_and_a_schedule_is_not() {
        let other = found("s3://lake/other/", "somebody", "other-db");
        let differences = plan().differences(&other);
        assert!(differences.iter().all(|difference| difference.is_serious));
        let text: Vec<String> = differences.iter().map(Difference::to_string).collect();
        assert_eq!(
            text[0],
            "its target is `s3://lake/other/`, the pipeline file says `s3://lake/stockmarket_project/`"
        );
        assert_eq!(text.len(), 3);

        let mut scheduled = found("s3://lake/stockmarket_project/", &plan().role, "realtime-de-db");
        scheduled.schedule = Some(Schedule::builder().schedule_expression("cron(0 3 * * ? *)").build());
        let differences = plan().differences(&scheduled);
        assert_eq!(differences.len(), 1);
        assert!(!differences[0].is_serious);
        assert_eq!(differences[0].wanted, "none");
    }

    #[test]
    fn another_sample_or_grouping_is_told_and_not_serious() {
        let mut other = found("s3://lake/stockmarket_project/", &plan().role, "realtime-de-db");
        other.configuration = Some(json!({ "Grouping": { "TableLevelConfiguration": 3 } }).to_string());
        let wider = Plan { sample_size: 200, ..plan() };
        let differences = wider.differences(&other);
        assert!(differences.iter().all(|difference| !difference.is_serious));
        let text: Vec<String> = differences.iter().map(Difference::to_string).collect();
        assert_eq!(
            text,
            [
                "its sample_size is `100`, the pipeline file says `200`",
                "its grouping of tables is none, the pipeline file says `CombineCompatibleSchemas`",
                "its table level is `3`, the pipeline file says `2`",
            ]
        );
        other.configuration = None;
        other.targets = None;
        assert_eq!(plan().differences(&other).len(), 3, "the target, and how objects make tables");
    }

    #[test]
    fn one_table_is_made_at_the_depth_of_the_target() {
        let configuration: serde_json::Value = serde_json::from_str(&plan().configuration()).unwrap();
        let grouping = &configuration["Grouping"];
        assert_eq!(grouping["TableGroupingPolicy"], "CombineCompatibleSchemas");
        assert_eq!(grouping["TableLevelConfiguration"], 2);
    }
}
