//! What the folders and the ending of a key template say about the objects.

use super::{KeyTemplate, Part};
use crate::shared::json_text::is_name_of_json;

/// Stands for the value of a placeholder; a literal cannot contain control characters.
const VALUE: char = '\0';

impl KeyTemplate {
    /// Whether the name of every object ends as that of a JSON file.
    pub(crate) fn ends_as_json(&self) -> bool {
        is_name_of_json(self.ending())
    }

    /// The text behind the last placeholder.
    pub(crate) fn ending(&self) -> &str {
        if let Some(Part::Literal(ending)) = self.parts.last() { ending } else { "" }
    }

    /// The columns that a crawler makes of the folders after the first `n_folders`, in lower case: of
    /// `year=2024` the column `year`, of another folder `partition_0` and so on.
    pub(crate) fn partitions(&self, n_folders: usize) -> Vec<String> {
        let path = self.path();
        let mut folders: Vec<&str> = path.split('/').collect();
        folders.pop();
        let name = |(index, folder): (usize, &str)| match folder.split_once('=') {
            Some((name, _)) if !name.is_empty() && !name.contains(VALUE) => name.to_lowercase(),
            _ => format!("partition_{index}"),
        };
        folders.into_iter().skip(n_folders).enumerate().map(name).collect()
    }

    /// Whether Athena skips every object in a table of this folder: see [`is_hidden`].
    pub(crate) fn is_hidden(&self, folder: &str) -> bool {
        is_hidden(&self.path(), folder)
    }

    /// The template, with [`VALUE`] for each placeholder.
    fn path(&self) -> String {
        let text = |part: &Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Field(_) => VALUE.into(),
        };
        self.parts.iter().map(text).collect()
    }
}

/// Whether Athena skips an object in a table of this folder: its name, or that of a folder below, begins with `_` or `.`.
pub(crate) fn is_hidden(key: &str, folder: &str) -> bool {
    let below = key.strip_prefix(folder);
    below.is_some_and(|below| below.split('/').any(|name| name.starts_with(['_', '.'])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(pattern: &str) -> KeyTemplate {
        KeyTemplate::try_from(pattern.to_owned()).unwrap()
    }

    #[test]
    fn name_ends_as_json_by_its_ending() {
        for pattern in ["a/{{ entry }}.json", "{{ entry }}.JSON", "{{ entry }}.jsonl", "{{ entry }}.ndjson"] {
            assert!(template(pattern).ends_as_json(), "{pattern}");
        }
        for pattern in ["{{ entry }}", "{{ entry }}.csv", "a.json/{{ entry }}", "x.json-{{ entry }}"] {
            assert!(!template(pattern).ends_as_json(), "{pattern}");
        }
    }

    #[test]
    fn object_is_hidden_by_the_first_character_of_a_name_below_the_table() {
        for (pattern, expected) in [
            ("_t/_{{ entry }}.json", true),
            ("_t/.x/{{ entry }}", true),
            ("_t/x_/{{ topic }}_{{ entry }}", false),
            ("t/_{{ entry }}.json", false),
        ] {
            assert_eq!(template(pattern).is_hidden("_t/"), expected, "{pattern}");
        }
        assert!(is_hidden("t/_raw_0_1.json", "t/") && is_hidden(".x", "") && !is_hidden("_t/x_", "_t/"));
    }

    #[test]
    fn folders_below_the_table_are_its_partitions() {
        let key = template("t/Year=2024/topic={{ topic }}/{{ key }}/{{ partition }}-{{ offset }}.json");
        assert_eq!(key.partitions(1), ["year", "topic", "partition_2"]);
        assert_eq!(key.partitions(2), ["topic", "partition_1"]);
        assert!(template("t/{{ entry }}.json").partitions(1).is_empty());
        assert!(template("{{ entry }}.json").partitions(3).is_empty());
    }
}
