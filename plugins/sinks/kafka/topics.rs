//! The topics of a template: finds or creates each of them before its first record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use anyhow::Context as _;
use runner_core::{Error, Record, Result, quoting};
use tokio::time::Instant;

use super::template::Template;
use crate::shared::kafka::{RefusedTopic, check_topic};

/// The topic of each record.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    template: Template,
    /// Those that were looked for, of a template: whether records can be written to them.
    known: Arc<RwLock<BTreeMap<String, Known>>>,
}

/// What the cluster said about a topic.
#[derive(Debug)]
enum Known {
    Exists,
    /// Why it cannot be written to, and when the cluster said so.
    Refused(RefusedTopic, Instant),
}

/// How long a refusal holds, before the cluster is asked again: a user may create the topic, or grant a permission.
const REFUSED_FOR: Duration = Duration::from_secs(30);

/// The limit of topics of a template, with those that the cluster refuses: a topic costs the cluster memory and files,
/// and a field with an unlimited number of values must not create one for each.
const MAX_TOPICS: usize = 1_000;

impl Topics {
    pub(super) fn new(template: Template) -> Topics {
        Topics { template, known: Arc::default() }
    }

    /// The topic, if all records have the same one.
    pub(super) fn single(&self) -> Option<&str> {
        self.template.literal()
    }

    /// The topic of a record; an error rejects the record.
    pub(super) fn of(&self, record: &Record) -> Result<String> {
        if let Some(topic) = self.single() {
            return Ok(topic.to_owned());
        }
        let topic = self.render(record)?;
        match self.read().get(&topic) {
            Some(Known::Exists) => Ok(topic),
            Some(Known::Refused(refused, _)) => Err(rejection(refused)),
            None => anyhow::bail!(
                "the sink has written to {MAX_TOPICS} topics, which is its limit for a template in `topic`"
            ),
        }
    }

    /// The topic, or examples of what a template gives: values that a pattern of topics must match if it matches all.
    pub(super) fn examples(&self) -> Vec<String> {
        const VALUES: [&str; 6] = ["a", "0", "Zz", "eu-west_1", "a.b", "2024.Q1-x"];
        match self.single() {
            Some(topic) => vec![topic.to_owned()],
            None => VALUES.into_iter().map(|value| self.template.with(value)).collect(),
        }
    }

    /// The topics of these records that are not known yet, up to the limit.
    pub(super) fn unknown(&self, records: &[Record]) -> BTreeSet<String> {
        let mut unknown = BTreeSet::new();
        if self.single().is_some() {
            return unknown;
        }
        let known = self.read();
        let is_refused_no_more =
            |it: &Known| matches!(it, Known::Refused(_, since) if since.elapsed() >= REFUSED_FOR);
        for topic in records.iter().filter_map(|record| self.render(record).ok()) {
            match known.get(&topic) {
                Some(it) if !is_refused_no_more(it) => {}
                None if known.len() + unknown.len() >= MAX_TOPICS => {}
                _ => drop(unknown.insert(topic)),
            }
        }
        unknown
    }

    /// Notes that a topic exists.
    pub(super) fn add(&self, topic: String) {
        self.write().insert(topic, Known::Exists);
    }

    /// Notes why the records of a topic are rejected.
    pub(super) fn refuse(&self, topic: String, reason: RefusedTopic) {
        self.write().insert(topic, Known::Refused(reason, Instant::now()));
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<String, Known>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<String, Known>> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn render(&self, record: &Record) -> Result<String> {
        let text = self.template.render(record)?;
        let topic = std::str::from_utf8(&text).context("the fields in `topic` are not UTF-8")?;
        let is_valid = check_topic("topic", topic).is_ok();
        anyhow::ensure!(
            is_valid,
            "the fields of the record in `topic` do not give a valid topic name: up to 249 ASCII letters, digits, `.`, \
             `_` and `-`"
        );
        Ok(topic.to_owned())
    }
}

/// Why a record of this topic is rejected.
pub(super) fn rejection(RefusedTopic { name, reason }: &RefusedTopic) -> Error {
    quoting("the topic of the record, ", name, format_args!(", cannot be used (`topic`): {reason}"))
}

#[cfg(test)]
mod tests {
    use runner_core::testing::record;

    use super::*;

    fn topics() -> Topics {
        Topics::new(Template::parse("px.{{ .Index }}", "topic").unwrap())
    }

    #[test]
    fn topic_is_used_after_it_is_known() {
        let (topics, records) =
            (topics(), [record(r#"{"Index":"NYA"}"#, 0), record(r#"{"Index":"HSI"}"#, 1)]);
        assert_eq!(topics.unknown(&records), ["px.HSI", "px.NYA"].map(str::to_owned).into());
        topics.add("px.NYA".into());
        assert_eq!(topics.of(&records[0]).unwrap(), "px.NYA");
        assert!(topics.of(&records[1]).is_err());
        assert_eq!(topics.unknown(&records).len(), 1);
    }

    #[test]
    fn record_without_a_valid_topic_is_rejected_without_its_value() {
        for body in [r#"{"Index":"N Y"}"#, r#"{"Index":"secret/"}"#, "{}"] {
            let error = topics().of(&record(body, 0)).unwrap_err().to_string();
            assert!(error.contains("`topic`") && !error.contains("secret"), "{error}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refused_topic_rejects_records_and_is_retried_later() {
        let (topics, records) = (topics(), [record(r#"{"Index":"a.b"}"#, 0)]);
        let refused = RefusedTopic { name: "`px.a.b`".into(), reason: "grant the user Create".into() };
        topics.refuse("px.a.b".into(), refused);
        let error = topics.of(&records[0]).unwrap_err().to_string();
        assert!(error.contains("`px.a.b`, cannot be used (`topic`): grant the user Create"), "{error}");
        assert!(topics.unknown(&records).is_empty());
        tokio::time::advance(REFUSED_FOR).await;
        assert_eq!(topics.unknown(&records).len(), 1);
        topics.add("px.a.b".into());
        assert_eq!(topics.of(&records[0]).unwrap(), "px.a.b");
    }

    #[test]
    fn number_of_topics_is_limited() {
        let topics = topics();
        let records: Vec<_> = (0..1_200).map(|n| record(format!(r#"{{"Index":{n}}}"#), n)).collect();
        topics.unknown(&records).into_iter().for_each(|topic| topics.add(topic));
        let n_accepted = records.iter().filter(|record| topics.of(record).is_ok()).count();
        assert_eq!(n_accepted, MAX_TOPICS);
        let error = topics.of(&records[1_199]).err().or_else(|| topics.of(&records[5]).err()).unwrap();
        assert!(error.to_string().contains("limit"), "{error}");
    }
}
