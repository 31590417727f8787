//! What the folders and the ending of a key template say about the objects.

use super::{KeyTemplate, Part};

/// Stands for the value of a placeholder; a literal cannot contain control characters.
const VALUE: char = '\0';

impl KeyTemplate {
    /// Whether every object has a name that promises JSON.
    pub(crate) fn promises_json(&self) -> bool {
        let ending = self.ending().to_ascii_lowercase();
        [".json", ".jsonl", ".ndjson"].iter().any(|json| ending.ends_with(json))
    }

    /// The text behind the last placeholder.
    pub(crate) fn ending(&self) -> &str {
        if let Some(Part::Literal(ending)) = self.parts.last() { ending } else { "" }
    }

    /// The columns that a crawler makes of the folders after the first `n_folders`, in lower case: of
    /// `year=2024` the column `year`, of another folder `partition_0` and so on.
    pub(crate) fn partitions(&self, n_folders: usize) -> Vec<String> {
        let path: String = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.clone(),
                Part::Field(_) => VALUE.into(),
            })
            .collect();
        let mut folders: Vec<&str> = path.split('/').collect();
        folders.pop();
        let name = |(index, folder): (usize, &str)| match folder.split_once('=') {
            Some((name, _)) if !name.is_empty() && !name.contains(VALUE) => name.to_lowercase(),
            _ => format!("partition_{index}"),
        };
        folders.into_iter().skip(n_folders).enumerate().map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(pattern: &str) -> KeyTemplate {
        KeyTemplate::try_from(pattern.to_owned()).unwrap()
    }

    #[test]
    fn name_promises_json_by_its_ending() {
        for pattern in ["a/{{ entry }}.json", "{{ entry }}.JSON", "{{ entry }}.jsonl", "{{ entry }}.ndjson"] {
            assert!(template(pattern).promises_json(), "{pattern}");
        }
        for pattern in ["{{ entry }}", "{{ entry }}.csv", "a.json/{{ entry }}", "x.json-{{ entry }}"] {
            assert!(!template(pattern).promises_json(), "{pattern}");
        }
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
