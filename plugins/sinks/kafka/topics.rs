//! The topics of a template: finds or creates each of them before its first record.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context as _;
use runner_core::{Record, Result};

use super::template::Template;
use crate::shared::kafka::check_topic;

/// The topic of each record.
#[derive(Clone, Debug)]
pub(super) struct Topics {
    template: Template,
    /// Those that exist, of a template.
    known: Arc<RwLock<BTreeSet<String>>>,
}

/// The limit of topics of a template: a topic costs the cluster memory and files, and a field with an unlimited number
/// of values must not create one for each.
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
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        anyhow::ensure!(
            known.contains(&topic),
            "the sink has written to {MAX_TOPICS} topics, which is its limit for a template in `topic`"
        );
        Ok(topic)
    }

    /// The topics of these records that are not known yet, up to the limit.
    pub(super) fn unknown(&self, records: &[Record]) -> BTreeSet<String> {
        let mut unknown = BTreeSet::new();
        if self.single().is_some() {
            return unknown;
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        for topic in records.iter().filter_map(|record| self.render(record).ok()) {
            if !known.contains(&topic) && known.len() + unknown.len() < MAX_TOPICS {
                unknown.insert(topic);
            }
        }
        unknown
    }

    /// Notes that a topic exists.
    pub(super) fn add(&self, topic: String) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(topic);
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
