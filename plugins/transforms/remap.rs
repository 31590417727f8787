//! `remap`: changes records with a program in VRL.

use std::path::PathBuf;

use runner_core::{
    Batch, Body, BuildContext, Flow, Mapped, OptionError, Output, Plugin, Record, Result, Transform,
    TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::shared::vrl::{Input, Program, ProgramResult, ProgramText, on_large_stack};

runner_core::register! {
    Plugin::transform::<RemapConfig>("remap").example(
        r#"type = "remap"
inputs = ["stocks"]
source = '''
.close = to_float!(del(.Close))
'''"#,
    )
}

/// Changes records with a program in VRL, the language of Vector's `remap`.
///
/// `.` is the body: a JSON value of any type, or a row; with `body = "text"` it is a text. The value
/// of `.` at the end of the program is the new body, as compact JSON with its keys sorted; numbers with
/// a fraction or an exponent are 64-bit floats. An array becomes one record per element. `abort`, null
/// and an empty array filter the record; an error rejects it. A record without a body (a tombstone in
/// Kafka) passes unchanged.
///
/// `%key`, `%timestamp`, `%headers`, `%topic`, `%partition` and `%offset` are the key, the time, the headers
/// and the place of the record in Kafka.
///
/// Give `source` or `file`. The program is compiled when the pipeline file is read.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemapConfig {
    /// The program.
    source: Option<String>,
    /// A file with the program. A relative path starts in the folder of the pipeline file.
    file: Option<PathBuf>,
    /// What `.` is: `"json"`, the value that the body holds, or `"text"`, the body as it is, as in
    /// `. = parse_syslog!(.)` for the lines of a log.
    #[serde(default)]
    body: BodyIs,
    /// The zone of times that have none, such as `"Europe/Berlin"`; `"local"` is the zone of this
    /// machine. Default: `"UTC"`.
    timezone: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum BodyIs {
    /// JSON or a row.
    #[default]
    Json,
    /// Text in UTF-8. A row is its CSV line.
    Text,
}

impl TransformConfig for RemapConfig {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Transform>> {
        let text = match (&self.source, &self.file) {
            (Some(source), None) => ProgramText::inline("source", source)?,
            (None, Some(file)) => ProgramText::read("file", file, context)?,
            (Some(_), Some(_)) => {
                return Err(OptionError::new("file", "give `source` or `file`, not both"));
            }
            (None, None) => {
                let message = "there is no program: give `source`, or `file` with the path of one";
                return Err(OptionError::new("source", message));
            }
        };
        let program = Program::compile(&text, self.timezone.as_deref(), context)?;
        program.check_metadata(context);
        Ok(Box::new(Remap { program, body: self.body }))
    }
}

struct Remap {
    program: Program,
    body: BodyIs,
}

#[async_trait]
impl Transform for Remap {
    fn filter_reason(&self) -> &'static str {
        "the program makes no record of it"
    }

    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let rejects = on_large_stack(|| batch.map(|record| self.map(record)));
        if !rejects.is_empty() {
            batch = out.reject(batch, rejects).await?;
        }
        out.send(batch).await
    }
}

impl Remap {
    fn map(&self, record: &mut Record) -> Mapped {
        if matches!(record.body, Body::Tombstone) {
            return Mapped::Keep;
        }
        let input = match self.body {
            BodyIs::Json => Input::Body(&record.body),
            BodyIs::Text => Input::Text(record.to_bytes().unwrap_or_default()),
        };
        match self.program.run(&input, &self.program.metadata(record)) {
            Ok(ProgramResult::Nothing) => Mapped::Filter,
            Ok(ProgramResult::One(json)) => {
                record.body = Body::Bytes(json);
                Mapped::Keep
            }
            Ok(ProgramResult::Many(parts)) => {
                record.body = Body::Tombstone;
                let part = |json| {
                    let mut part = record.clone();
                    part.body = Body::Bytes(json);
                    part
                };
                Mapped::Split(parts.into_iter().map(part).collect())
            }
            Err(reason) => Mapped::Reject(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use runner_core::testing::{apply, context, record, records};
    use runner_core::{EntryNumber, Name};

    use super::*;

    fn remap(source: &str) -> Box<dyn Transform> {
        let config = RemapConfig { source: Some(source.into()), ..Default::default() };
        config.build(&context()).unwrap()
    }

    #[tokio::test]
    async fn records_are_changed_split_filtered_and_rejected() {
        let program = "if .x == 0 { abort }\nif is_array(.x) { . = .x } else { .y = int!(.x) + 1 }";
        let bodies = [r#"{"x":2}"#, r#"{"x":0}"#, r#"{"x":[1,"a"]}"#, r#"{"x":"b"}"#];
        let out = apply(&mut *remap(program), records(bodies)).await.unwrap();
        assert_eq!(out.bodies(), [r#"{"x":2,"y":3}"#, "1", r#""a""#]);
        assert_eq!(out.rejected.len(), 1);
        let (rejected, reason) = &out.rejected[0];
        assert_eq!(rejected.to_bytes().unwrap(), r#"{"x":"b"}"#, "as it came in");
        assert!(reason.to_string().contains("`int` has failed at line 2"), "{reason}");
    }

    #[tokio::test]
    async fn parts_of_a_record_have_numbers_with_suffixes() {
        let mut whole = record(r#"[["a"],["b","c"]]"#, 12);
        whole.entry = Some(EntryNumber::new(12, Name::new("p/s")));
        let mut split = remap(". = .");
        let once = apply(&mut *split, runner_core::testing::batch([whole])).await.unwrap();
        let twice = apply(&mut *split, runner_core::testing::batch(once.records)).await.unwrap();
        let numbers: Vec<String> =
            twice.records.iter().map(|it| it.entry.as_ref().unwrap().text().to_string()).collect();
        assert_eq!(numbers, ["12-0-0", "12-1-0", "12-1-1"]);
        assert_eq!(twice.bodies(), [r#""a""#, r#""b""#, r#""c""#]);
    }

    #[tokio::test]
    async fn tombstone_passes_unchanged() {
        let mut tombstone = record("", 0);
        tombstone.body = Body::Tombstone;
        let out = apply(&mut *remap("abort"), runner_core::testing::batch([tombstone])).await.unwrap();
        assert!(matches!(out.records[0].body, Body::Tombstone));
    }

    #[tokio::test]
    async fn text_is_parsed_and_split_and_what_is_not_text_is_rejected() {
        let text = |source: &str| {
            let config =
                RemapConfig { source: Some(source.into()), body: BodyIs::Text, ..Default::default() };
            config.build(&context()).unwrap()
        };
        let out = apply(&mut *text(". = parse_key_value!(.)"), records(["user=ann ms=12"])).await.unwrap();
        assert_eq!(out.bodies(), [r#"{"ms":"12","user":"ann"}"#]);
        let lines = r#". = map_values(split(string!(.), "\n")) -> |line| { { "line": line } }"#;
        let out = apply(&mut *text(lines), records(["a\n{\"b\":1}"])).await.unwrap();
        assert_eq!(out.bodies(), [r#"{"line":"a"}"#, r#"{"line":"{\"b\":1}"}"#]);
        let mut latin = record("", 0);
        latin.body = Body::Bytes(b"caf\xe9"[..].into());
        let out =
            apply(&mut *text(". = { \"line\": . }"), runner_core::testing::batch([latin])).await.unwrap();
        assert_eq!(out.rejected[0].1.to_string(), "the body is not UTF-8 text");
    }

    #[test]
    fn program_must_be_given_once() {
        let none = RemapConfig::default().build(&context());
        assert!(none.err().unwrap().to_string().contains("there is no program"));
        let both = RemapConfig { source: Some(".".into()), file: Some("a.vrl".into()), ..Default::default() };
        assert!(both.build(&context()).err().unwrap().to_string().contains("not both"));
        let absent = RemapConfig { file: Some("absent.vrl".into()), ..Default::default() };
        assert!(absent.build(&context()).err().unwrap().to_string().contains("cannot be read"));
    }
}
