//! A key template gives every record an object name of its own.

mod parse;

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use anyhow::{Context as _, Result, bail};
use runner_core::Record;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// The longest name an object can have, in bytes of UTF-8 (Amazon S3 user guide, "Naming objects").
const LONGEST_KEY: usize = 1024;

/// A pattern for object names that can never give two records the same one.
///
/// A `%` is kept free for the parts of a date: it has to be written twice.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct KeyTemplate {
    parts: Vec<Part>,
    /// Nothing but the entry number tells two records apart.
    by_entry_alone: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Field(Field),
}

/// What a placeholder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Entry,
    Topic,
    Partition,
    Offset,
    Key,
}

impl KeyTemplate {
    /// The name of the object for this record; an error if the record lacks what the template asks for.
    pub(crate) fn render(&self, record: &Record) -> Result<String> {
        let mut name = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Literal(text) => name.push_str(text),
                Part::Field(field) => field.render(record, &mut name)?,
            }
        }
        if name.len() > LONGEST_KEY {
            bail!(
                "the key would have {} bytes, and S3 takes {LONGEST_KEY} at most: {}…",
                name.len(),
                name.chars().take(80).collect::<String>()
            );
        }
        Ok(name)
    }

    /// The literal front up to the last `/`: the folder that holds every object; may be empty.
    pub(crate) fn folder(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(front)) => front.rfind('/').map_or("", |end| &front[..=end]),
            _ => "",
        }
    }

    /// Whether two records are told apart by their entry numbers and nothing
    /// else, so that all of them must have been numbered by one source.
    pub(crate) fn is_by_entry_alone(&self) -> bool {
        self.by_entry_alone
    }
}

impl Field {
    const ALL: [Field; 5] = [Field::Entry, Field::Topic, Field::Partition, Field::Offset, Field::Key];

    fn name(self) -> &'static str {
        match self {
            Field::Entry => "entry",
            Field::Topic => "topic",
            Field::Partition => "partition",
            Field::Offset => "offset",
            Field::Key => "key",
        }
    }

    /// Rendered as decimal digits, and thus without a doubt about where it ends.
    fn is_number(self) -> bool {
        matches!(self, Field::Entry | Field::Partition | Field::Offset)
    }

    fn render(self, record: &Record, out: &mut String) -> Result<()> {
        match self {
            Field::Entry => {
                let entry = record.entry.context(
                    "the record has no entry number, which `{{ entry }}` in the key asks for: name the objects by \
                     `{{ topic }}`, `{{ partition }}` and `{{ offset }}`, or let a producer write the topic that \
                     numbers its records (header `runner-entry`), as the runner does",
                )?;
                write!(out, "{}", entry.number)?;
            }
            Field::Topic => push_text(record.origin.source.as_str().as_bytes(), out),
            Field::Partition => write!(out, "{}", record.origin.partition)?,
            Field::Offset => write!(out, "{}", record.origin.offset)?,
            Field::Key => {
                let key = record.key.as_deref().filter(|key| !key.is_empty());
                push_text(key.context("the record has no key, which `{{ key }}` asks for")?, out);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{{{{ {} }}}}`", self.name())
    }
}

/// Appends text from a record so that it stays one part of a path and can be told
/// apart from any other text: `/`, `\`, `%`, control characters, bytes that are no
/// UTF-8 and a text of dots alone are percent-encoded.
fn push_text(text: &[u8], out: &mut String) {
    let only_dots = text.iter().all(|&byte| byte == b'.');
    for chunk in text.utf8_chunks() {
        for char in chunk.valid().chars() {
            if char.is_control() || matches!(char, '/' | '\\' | '%') || only_dots {
                char.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| push_encoded(byte, out));
            } else {
                out.push(char);
            }
        }
        chunk.invalid().iter().for_each(|&byte| push_encoded(byte, out));
    }
}

fn push_encoded(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.extend(['%', char::from(HEX[usize::from(byte >> 4)]), char::from(HEX[usize::from(byte & 15)])]);
}

impl JsonSchema for KeyTemplate {
    fn schema_name() -> Cow<'static, str> {
        "KeyTemplate".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;
    use runner_core::{Body, EntryNumber, Name, Origin};

    fn template(pattern: &str) -> KeyTemplate {
        KeyTemplate::try_from(pattern.to_owned()).unwrap()
    }

    fn refusal(pattern: &str) -> String {
        KeyTemplate::try_from(pattern.to_owned()).expect_err(pattern)
    }

    fn record(topic: &str, partition: i32, offset: u64) -> Record {
        Record::new(Body::Tombstone, Origin { source: Name::new(topic), partition, offset })
    }

    #[test]
    fn placeholders_stand_for_where_the_record_comes_from() {
        let mut record = record("stock_market", 3, 41);
        record.entry = Some(EntryNumber { number: 7, source: Name::new("producer/stocks") });
        record.key = Some(Bytes::from_static(b"NYA"));
        let name =
            template("a/{{topic}}/{{ partition }}-{{ offset }}/{{ key }}_{{ entry }}.json").render(&record);
        assert_eq!(name.unwrap(), "a/stock_market/3-41/NYA_7.json");
    }

    #[test]
    fn a_record_without_a_number_is_told_the_ways_out() {
        let error = template("{{ entry }}.json").render(&record("t", 0, 0)).unwrap_err().to_string();
        assert!(error.contains("`{{ topic }}`, `{{ partition }}` and `{{ offset }}`"), "{error}");
        assert!(error.contains("runner-entry"), "{error}");
    }

    #[test]
    fn a_template_that_could_name_two_records_alike_is_refused() {
        for pattern in
            ["data.json", "{{ key }}.json", "{{ topic }}/{{ offset }}", "{{ partition }}/{{ offset }}", ""]
        {
            assert!(refusal(pattern).contains("the same name"), "{pattern}");
        }
    }

    #[test]
    fn values_that_could_run_into_each_other_are_refused() {
        assert!(refusal("{{ topic }}/{{ partition }}{{ offset }}").contains("no digit"));
        assert!(refusal("{{ topic }}/{{ partition }}0{{ offset }}").contains("no digit"));
        assert!(refusal("{{ key }}{{ entry }}").contains("no digit"));
        assert!(refusal("{{ topic }}-{{ key }}-{{ entry }}").contains("need a `/`"));
        template("{{ topic }}-{{ partition }}-{{ offset }}/{{ key }}.json");
    }

    #[test]
    fn a_slip_in_a_placeholder_gets_the_right_name() {
        assert!(refusal("{{ entri }}").contains("did you mean `{{ entry }}`?"));
        assert!(refusal("{{ Offset }}").contains("did you mean `{{ offset }}`?"));
        assert!(refusal("{{ colour }}").contains("there are `{{ entry }}`, `{{ topic }}`"));
        assert!(refusal("{{ .Index }}/{{ entry }}").contains("fields of the record"));
        assert!(refusal("{{ entry").contains("never closed"));
        assert!(refusal("{entry}").contains("two braces"));
    }

    #[test]
    fn dates_are_kept_free_and_a_percent_sign_is_written_twice() {
        assert!(refusal("%Y/{{ entry }}").contains("dates"));
        assert_eq!(template("100%%/{{ entry }}").folder(), "100%/");
    }

    #[test]
    fn folders_without_a_name_and_folders_that_climb_are_refused() {
        for pattern in ["/{{ entry }}", "a//{{ entry }}", "a/../{{ entry }}", "./{{ entry }}", "{{ entry }}/"]
        {
            refusal(pattern);
        }
    }

    #[test]
    fn the_folder_is_the_literal_front_up_to_the_last_slash() {
        assert_eq!(
            template("stockmarket_project/stock_market_{{ entry }}.json").folder(),
            "stockmarket_project/"
        );
        assert_eq!(template("a/b/{{ topic }}/{{ partition }}/{{ offset }}").folder(), "a/b/");
        assert_eq!(template("stock_{{ entry }}").folder(), "");
        assert_eq!(template("{{ entry }}/x").folder(), "");
    }

    #[test]
    fn text_from_a_record_stays_one_part_of_the_path() {
        let name = |key: &'static [u8]| {
            let mut record = record("t", 0, 0);
            record.entry = Some(EntryNumber { number: 0, source: Name::new("p/s") });
            record.key = Some(Bytes::from_static(key));
            template("{{ key }}/{{ entry }}").render(&record).unwrap()
        };
        assert_eq!(name(b"../../etc"), "..%2F..%2Fetc/0");
        assert_eq!(name(b".."), "%2E%2E/0");
        assert_eq!(name(b"a\nb%\xff"), "a%0Ab%25%FF/0");
        assert_eq!(name("Zürich 1".as_bytes()), "Zürich 1/0");
    }

    #[test]
    fn a_name_that_s3_would_refuse_is_refused_before() {
        let mut record = record(&"x".repeat(1100), 0, 0);
        record.entry = Some(EntryNumber { number: 0, source: Name::new("p/s") });
        let error = template("{{ topic }}/{{ entry }}").render(&record).unwrap_err();
        assert!(error.to_string().contains("1102 bytes"), "{error}");
    }

    proptest! {
        #[test]
        fn two_origins_never_share_a_name(
            a in ("[a-c0-1/.%-]{1,4}", 0..120i32, 0..120u64),
            b in ("[a-c0-1/.%-]{1,4}", 0..120i32, 0..120u64),
            pattern in prop::sample::select(vec![
                "{{ topic }}-{{ partition }}-{{ offset }}",
                "{{ partition }}.{{ offset }}.{{ topic }}",
                "{{ partition }}0-{{ topic }}-1{{ offset }}",
                "x/{{ offset }}/{{ topic }}/{{ partition }}",
            ]),
        ) {
            let template = template(pattern);
            let name = |(topic, lane, offset): &(String, i32, u64)| template.render(&record(topic, *lane, *offset)).unwrap();
            prop_assert_eq!(name(&a) == name(&b), a == b);
        }
    }
}
