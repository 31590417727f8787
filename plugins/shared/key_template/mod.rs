//! Key templates: the names of objects, unique for each record.

mod folders;
mod parse;

use std::fmt::{self, Write as _};

use anyhow::{Context as _, Result, ensure};
use percent_encoding::percent_encode_byte;
use runner_core::{Record, quoting};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::folders::is_hidden;
use super::record_field;

/// The longest object key in bytes of UTF-8 (Amazon S3 user guide, "Naming objects").
const MAX_KEY_BYTES: usize = 1024;

/// A template for object names that gives no two records the same name, and a record that is delivered again the name
/// that it had.
///
/// A single `%` is reserved; a literal one is written `%%`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(into = "String", inline, extend("minLength" = 1))]
pub(crate) struct KeyTemplate {
    parts: Vec<Part>,
    /// Whether only the entry number distinguishes two records.
    by_entry_alone: bool,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Field(Field),
}

/// The value of a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Entry,
    Topic,
    Partition,
    Offset,
    Key,
    /// A field of the record.
    Record(record_field::Field),
}

impl KeyTemplate {
    /// The name of the object for this record; an error if the record has no value for a placeholder.
    pub(crate) fn render(&self, record: &Record) -> Result<String> {
        let mut name = String::with_capacity(64);
        for part in &self.parts {
            match part {
                Part::Literal(text) => name.push_str(text),
                Part::Field(field) => field.render(record, &mut name)?,
            }
        }
        if name.len() > MAX_KEY_BYTES {
            let what =
                format!("the key has {} bytes, more than the {MAX_KEY_BYTES} that S3 allows: ", name.len());
            return Err(quoting(what, name.chars().take(80).collect::<String>(), "…"));
        }
        Ok(name)
    }

    /// The literal prefix up to the last `/`: the folder that contains every object; may be empty.
    pub(crate) fn folder(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(prefix)) => prefix.rfind('/').map_or("", |end| &prefix[..=end]),
            _ => "",
        }
    }

    /// The names of the fields of the record in it.
    pub(crate) fn record_fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(Field::Record(field)) => Some(&*field.name),
            Part::Field(_) | Part::Literal(_) => None,
        })
    }

    /// Whether only the entry number distinguishes two records, so that one source must have
    /// numbered all of them.
    pub(crate) fn is_by_entry_alone(&self) -> bool {
        self.by_entry_alone
    }
}

impl Field {
    /// Those that every record has.
    const FIXED: [Field; 5] = [Field::Entry, Field::Topic, Field::Partition, Field::Offset, Field::Key];

    fn name(&self) -> &str {
        match self {
            Field::Entry => "entry",
            Field::Topic => "topic",
            Field::Partition => "partition",
            Field::Offset => "offset",
            Field::Key => "key",
            Field::Record(field) => &field.name,
        }
    }

    /// Whether it is rendered as decimal digits, so that any other character ends it.
    fn is_number(&self) -> bool {
        matches!(self, Field::Entry | Field::Partition | Field::Offset)
    }

    fn render(&self, record: &Record, out: &mut String) -> Result<()> {
        match self {
            Field::Entry => {
                let entry = record.entry.as_ref().context(
                    "the record has no entry number for `{{ entry }}`: use `{{ topic }}`, `{{ partition }}` and \
                     `{{ offset }}` in the key, or let a producer write the topic that sets the header \
                     `runner-entry`, as runner does",
                )?;
                write!(out, "{}", entry.text())?;
            }
            Field::Topic => push_text(record.origin.source.as_str().as_bytes(), out),
            Field::Partition => write!(out, "{}", record.origin.partition)?,
            Field::Offset => {
                write!(out, "{}", record.origin.offset)?;
                record.parts().iter().try_for_each(|part| write!(out, "-{part}"))?;
            }
            Field::Key => {
                let key = record.key.as_deref().filter(|key| !key.is_empty());
                push_text(key.context("the record has no key for `{{ key }}`, or an empty one")?, out);
            }
            Field::Record(field) => {
                let text = field.get(record)?;
                ensure!(
                    !text.is_empty(),
                    "the field {field} of the record is empty, and it is part of the name of the object"
                );
                push_text(&text, out);
            }
        }
        Ok(())
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dot = if matches!(self, Field::Record(_)) { "." } else { "" };
        write!(f, "`{{{{ {dot}{} }}}}`", self.name())
    }
}

/// Appends text from a record as one segment of a path, different for every text: `/`, `\`, `%`,
/// control characters, bytes that are not UTF-8, and a text of dots alone are percent-encoded.
fn push_text(text: &[u8], out: &mut String) {
    let only_dots = text.iter().all(|&byte| byte == b'.');
    for chunk in text.utf8_chunks() {
        for char in chunk.valid().chars() {
            if char.is_control() || matches!(char, '/' | '\\' | '%') || only_dots {
                char.encode_utf8(&mut [0; 4])
                    .bytes()
                    .for_each(|byte| out.push_str(percent_encode_byte(byte)));
            } else {
                out.push(char);
            }
        }
        chunk.invalid().iter().for_each(|&byte| out.push_str(percent_encode_byte(byte)));
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

    fn rejection(pattern: &str) -> String {
        KeyTemplate::try_from(pattern.to_owned()).expect_err(pattern)
    }

    fn record(topic: &str, partition: i32, offset: u64) -> Record {
        Record::new(Body::Tombstone, Origin { source: Name::new(topic), partition, offset })
    }

    #[test]
    fn placeholders_render_origin_key_and_entry() {
        let mut record = record("stock_market", 3, 41);
        record.entry = Some(EntryNumber::new(7, Name::new("producer/stocks")));
        record.key = Some(Bytes::from_static(b"NYA"));
        let name =
            template("a/{{topic}}/{{ partition }}-{{ offset }}/{{ key }}_{{ entry }}.json").render(&record);
        assert_eq!(name.unwrap(), "a/stock_market/3-41/NYA_7.json");
    }

    #[test]
    fn fields_of_the_record_are_parts_of_the_name() {
        let named = |pattern: &str, body: &'static str| {
            let mut record = record("t", 0, 7);
            record.entry = Some(EntryNumber::new(3, Name::new("p/s")));
            record.body = Body::Bytes(Bytes::from_static(body.as_bytes()));
            template(pattern).render(&record)
        };
        let pattern = "by_index={{ .Index }}/day={{.Date}}/{{ entry }}.json";
        assert_eq!(
            named(pattern, r#"{"Index":"N/Y","Date":"2024-01-31","n":1}"#).unwrap(),
            "by_index=N%2FY/day=2024-01-31/3.json"
        );
        assert_eq!(named("{{ .n }}/{{ entry }}", r#"{"n":1.50}"#).unwrap(), "1.50/3");
        for (body, part) in [
            (r#"{"Index":"NYA"}"#, "no field `Date` (`key`)"),
            (r#"{"Index":"","Date":"x"}"#, "`Index` (`key`) of the record is empty"),
            ("NYA", "not a JSON object"),
        ] {
            let error = format!("{:#}", named(pattern, body).unwrap_err());
            assert!(error.contains(part), "{error}");
        }
        assert!(
            rejection("{{ .Index }}.json").contains("the same name"),
            "a field does not make a name unique"
        );
        assert!(rejection("{{ .a }}{{ entry }}").contains("not a digit"));
        assert!(rejection("{{ .a }}-{{ .b }}-{{ entry }}").contains("need a `/`"));
        for pattern in ["{{ .a }}-{{ entry }}", "{{ entry }}-0-{{ .a }}"] {
            assert!(rejection(pattern).contains("other than `-`"), "{pattern}");
        }
        template("{{ .a }}_{{ entry }}-{{ partition }}.json");
    }

    #[test]
    fn record_without_entry_number_is_rejected_with_advice() {
        let error = template("{{ entry }}.json").render(&record("t", 0, 0)).unwrap_err().to_string();
        assert!(error.contains("`{{ topic }}`, `{{ partition }}` and `{{ offset }}`"), "{error}");
        assert!(error.contains("runner-entry"), "{error}");
    }

    #[test]
    fn template_without_unique_names_is_rejected() {
        for pattern in
            ["data.json", "{{ key }}.json", "{{ topic }}/{{ offset }}", "{{ partition }}/{{ offset }}", ""]
        {
            assert!(rejection(pattern).contains("the same name"), "{pattern}");
        }
    }

    #[test]
    fn adjacent_placeholders_without_separator_are_rejected() {
        assert!(rejection("{{ topic }}/{{ partition }}{{ offset }}").contains("not a digit"));
        assert!(rejection("{{ topic }}/{{ partition }}0{{ offset }}").contains("not a digit"));
        assert!(rejection("{{ key }}{{ entry }}").contains("not a digit"));
        assert!(rejection("{{ topic }}-{{ key }}-{{ entry }}").contains("need a `/`"));
        template("{{ topic }}-{{ partition }}-{{ offset }}/{{ key }}.json");
    }

    #[test]
    fn unknown_placeholder_suggests_the_closest_name() {
        assert!(rejection("{{ entri }}").contains("did you mean `{{ entry }}`?"));
        assert!(rejection("{{ Offset }}").contains("did you mean `{{ offset }}`?"));
        assert!(rejection("{{ colour }}").contains("there are `{{ entry }}`, `{{ topic }}`"));
        assert!(rejection("{{ Index }}/{{ entry }}").contains("`{{ .Index }}`, with a dot"));
        assert!(rejection("{{ . }}/{{ entry }}").contains("with a dot"));
        assert!(rejection("{{ entry").contains("no closing"));
        assert!(rejection("{entry}").contains("two braces"));
    }

    #[test]
    fn single_percent_sign_is_rejected_and_double_one_is_literal() {
        let error = rejection("day=%Y-%m-%d/{{ entry }}");
        assert!(error.contains("another name") && error.contains("`day={{ .Date }}`"), "{error}");
        assert_eq!(template("100%%/{{ entry }}").folder(), "100%/");
    }

    #[test]
    fn empty_and_relative_folders_are_rejected() {
        for pattern in ["/{{ entry }}", "a//{{ entry }}", "a/../{{ entry }}", "./{{ entry }}", "{{ entry }}/"]
        {
            rejection(pattern);
        }
    }

    #[test]
    fn folder_is_the_literal_prefix_up_to_the_last_slash() {
        assert_eq!(
            template("stockmarket_project/stock_market_{{ entry }}.json").folder(),
            "stockmarket_project/"
        );
        assert_eq!(template("a/b/{{ topic }}/{{ partition }}/{{ offset }}").folder(), "a/b/");
        assert_eq!(template("stock_{{ entry }}").folder(), "");
        assert_eq!(template("{{ entry }}/x").folder(), "");
    }

    #[test]
    fn text_from_a_record_stays_one_path_segment() {
        let name = |key: &'static [u8]| {
            let mut record = record("t", 0, 0);
            record.entry = Some(EntryNumber::new(0, Name::new("p/s")));
            record.key = Some(Bytes::from_static(key));
            template("{{ key }}/{{ entry }}").render(&record).unwrap()
        };
        assert_eq!(name(b"../../etc"), "..%2F..%2Fetc/0");
        assert_eq!(name(b".."), "%2E%2E/0");
        assert_eq!(name(b"a\nb%\xff"), "a%0Ab%25%FF/0");
        assert_eq!(name("Zürich 1".as_bytes()), "Zürich 1/0");
    }

    #[test]
    fn key_longer_than_s3_allows_is_rejected() {
        let mut record = record(&"x".repeat(1100), 0, 0);
        record.entry = Some(EntryNumber::new(0, Name::new("p/s")));
        let error = template("{{ topic }}/{{ entry }}").render(&record).unwrap_err();
        assert!(error.to_string().contains("1102 bytes"), "{error}");
    }

    proptest! {
        #[test]
        fn two_origins_never_have_the_same_name(
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
            let name = |(topic, partition, offset): &(String, i32, u64)| template.render(&record(topic, *partition, *offset)).unwrap();
            prop_assert_eq!(name(&a) == name(&b), a == b);
        }
    }
}
