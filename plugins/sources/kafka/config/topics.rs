//! The topics to read: names, and patterns of names.

use std::fmt;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use regex::Regex;
use runner_core::{Error, OptionError};

use super::super::Client;
use crate::shared::kafka::check_topic;

/// The option `topics`: an entry that begins with `^` is a pattern.
#[derive(Clone, Debug)]
pub(in super::super) struct Topics {
    /// The entries as the user wrote them.
    list: Vec<String>,
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    regex: Regex,
    /// Whether it also matches topics that Kafka itself uses, such as `__consumer_offsets`.
    is_internal: bool,
}

impl Topics {
    /// Checks all entries, and returns every error.
    pub(super) fn new(list: Vec<String>) -> (Topics, Vec<Error>) {
        let (mut patterns, mut errors) = (Vec::new(), Vec::new());
        for entry in &list {
            if !entry.starts_with('^') {
                if let Err(error) = check_topic("topics", entry) {
                    let hint = format!(
                        "`{entry}` is not a valid topic name; a regular expression begins with `^`: `^{entry}`"
                    );
                    let is_pattern = entry.contains(['*', '+', '?', '[', '(', '|', '\\', '$']);
                    errors.push(if is_pattern { OptionError::new("topics", hint) } else { error });
                }
                continue;
            }
            match Regex::new(entry) {
                Ok(regex) => patterns.push(Pattern { regex, is_internal: entry.starts_with("^__") }),
                Err(error) => {
                    let message = format!("`{entry}` is not a valid regular expression: {error}");
                    errors.push(OptionError::new("topics", message));
                }
            }
        }
        if list.is_empty() {
            errors.push(OptionError::new("topics", "name at least one topic"));
        }
        (Topics { list, patterns }, errors)
    }

    /// The topics that were named, without those that match a pattern.
    fn names(&self) -> impl Iterator<Item = &String> {
        self.list.iter().filter(|entry| !entry.starts_with('^'))
    }

    /// Whether the entries name this topic, and not only match it.
    pub(in super::super) fn contains(&self, topic: &str) -> bool {
        self.names().any(|name| name == topic)
    }

    pub(in super::super) fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The entry that reads all of these topics.
    pub(in super::super) fn reading(&self, topics: &[String]) -> Option<&str> {
        let name = self.names().find(|name| topics.iter().all(|topic| topic == *name)).map(String::as_str);
        let pattern = self.patterns.iter().find(|it| topics.iter().all(|topic| it.matches(topic)));
        name.or_else(|| pattern.map(|it| it.regex.as_str()))
    }

    /// The named topics, and those of `existing` that match a pattern, sorted.
    fn select<'a>(&self, existing: impl Iterator<Item = &'a str>) -> Vec<String> {
        let is_match = |topic: &str| self.patterns.iter().any(|it| it.matches(topic));
        let mut topics: Vec<String> = existing.filter(|topic| is_match(topic)).map(str::to_owned).collect();
        topics.extend(self.names().cloned());
        topics.sort();
        topics.dedup();
        topics
    }

    /// The topics to read now. Requests the topics of the cluster if there are patterns.
    pub(in super::super) fn find(&self, client: &Client, timeout: Duration) -> KafkaResult<Vec<String>> {
        if !self.has_patterns() {
            return Ok(self.select(std::iter::empty()));
        }
        let metadata = client.fetch_metadata(None, timeout)?;
        // A topic that is being deleted has no partitions.
        let existing = metadata.topics().iter().filter(|topic| !topic.partitions().is_empty());
        Ok(self.select(existing.map(|topic| topic.name())))
    }
}

impl Pattern {
    fn matches(&self, topic: &str) -> bool {
        (self.is_internal || !topic.starts_with("__")) && self.regex.is_match(topic)
    }
}

impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.list.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(list: &[&str], existing: &[&str]) -> Vec<String> {
        let (topics, errors) = Topics::new(list.iter().map(|&entry| entry.to_owned()).collect());
        assert!(errors.is_empty(), "{errors:?}");
        topics.select(existing.iter().copied())
    }

    #[test]
    fn topics_select_names_and_matches_of_patterns_once() {
        let existing = ["px.nya", "px.hsi", "pxnya", "other"];
        assert_eq!(select(&[r"^px\..*", "px.nya", "later"], &existing), ["later", "px.hsi", "px.nya"]);
        assert_eq!(select(&[r"^px\.\w+$"], &["px.a", "px.a-b"]), ["px.a"]);
        assert_eq!(select(&["other"], &existing), ["other"]);
        assert_eq!(
            select(&["b", "a", "b"], &[]),
            ["a", "b"],
            "the client refuses a topic that is named twice"
        );
    }

    #[test]
    fn topics_select_internal_topics_only_by_an_internal_pattern() {
        let existing = ["__consumer_offsets", "a"];
        assert_eq!(select(&["^.*"], &existing), ["a"]);
        assert_eq!(select(&["^__con"], &existing), ["__consumer_offsets"]);
    }

    #[test]
    fn entry_that_reads_all_topics_is_found() {
        let list = ["orders.eu", r"^orders\.\w+$", "^_"].map(str::to_owned).to_vec();
        let topics = Topics::new(list).0;
        let reading = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            topics.reading(&names).map(str::to_owned)
        };
        assert_eq!(reading(&["orders.eu"]).as_deref(), Some("orders.eu"));
        assert_eq!(reading(&["orders.rejected", "orders.0"]).as_deref(), Some(r"^orders\.\w+$"));
        assert_eq!(reading(&["orders.a", "orders.a.b"]), None, "not every value of the template");
        assert_eq!((reading(&["other"]), reading(&["__consumer_offsets"])), (None, None));
    }

    #[test]
    fn topics_report_all_invalid_entries() {
        let list = ["a topic", "^px(", "fine", "px.*"].map(str::to_owned).to_vec();
        let errors = Topics::new(list).1;
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(messages.len(), 3, "{messages:?}");
        assert!(messages[0].contains("`a topic`") && messages[1].contains("`^px(`"), "{messages:?}");
        assert!(messages[2].contains("begins with `^`: `^px.*`"), "{messages:?}");
        assert_eq!(Topics::new(Vec::new()).1.len(), 1);
    }
}
