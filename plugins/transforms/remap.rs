//! `remap`: changes records with a program in VRL.

use std::path::PathBuf;

use runner_core::{
    Batch, Body, BuildContext, Flow, Mapped, OptionError, Output, Plugin, Record, Result, Transform,
    TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::shared::vrl::{Made, Metadata, Program, ProgramText, on_large_stack};

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
/// `.` is the body: a JSON value of any type, or a row. The value of `.` at the end of the program is
/// the new body, as compact JSON with its keys sorted; numbers with a fraction or an exponent are
/// 64-bit floats. An array becomes one record per element. `abort`, null and an empty array filter
/// the record; an error rejects it. A record without a body (a tombstone in Kafka) passes unchanged.
///
/// Give `source` or `file`. The program is compiled when the pipeline file is read.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RemapConfig {
    /// The program.
    source: Option<String>,
    /// A file with the program. A relative path starts in the folder of the pipeline file.
    file: Option<PathBuf>,
    /// The zone of times that have none, such as `"Europe/Berlin"`; `"local"` is the zone of this
    /// machine. Default: `"UTC"`.
    timezone: Option<String>,
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
        Ok(Box::new(Remap { program, metadata: Metadata::default() }))
    }
}

struct Remap {
    program: Program,
    metadata: Metadata,
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
        match self.program.run(&record.body, &self.metadata) {
            Ok(Made::Nothing) => Mapped::Filter,
            Ok(Made::One(json)) => {
                record.body = Body::Bytes(json);
                Mapped::Keep
            }
            Ok(Made::Many(parts)) => {
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
        let config = RemapConfig { source: Some(source.into()), file: None, timezone: None };
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

    #[test]
    fn program_must_be_given_once() {
        let none = RemapConfig { source: None, file: None, timezone: None }.build(&context());
        assert!(none.err().unwrap().to_string().contains("there is no program"));
        let both = RemapConfig { source: Some(".".into()), file: Some("a.vrl".into()), timezone: None };
        assert!(both.build(&context()).err().unwrap().to_string().contains("not both"));
        let absent = RemapConfig { source: None, file: Some("absent.vrl".into()), timezone: None };
        assert!(absent.build(&context()).err().unwrap().to_string().contains("cannot be read"));
    }
}
