//! A compiled program, and what it makes of a record.

use std::sync::Arc;

use anyhow::{Error, anyhow, bail};
use runner_core::{BuildContext, OptionError, Record, Result};
use vrl::compiler::runtime::{Runtime, Terminate};
use vrl::compiler::state::RuntimeState;
use vrl::compiler::{ExpressionError, TargetValue, TimeZone};
use vrl::value::{Secrets, Value};

use super::compile::{self, Compiled, Purpose};
use super::limits::{Limits, on_large_stack};
use super::target::{RecordTarget, Replaced};
use super::{Input, Metadata, ProgramResult, ProgramText, metadata, reason, value};
use crate::shared::quiet_panic::catch_quietly;

/// The outcome of a run of a program.
struct Outcome {
    /// The result of its last expression, or `None` if it has aborted.
    result: Option<Value>,
    /// `.`
    value: Value,
    replaced: Option<Replaced>,
}

/// A compiled program. Clones share it.
#[derive(Clone)]
pub(crate) struct Program {
    compiled: Arc<Compiled>,
    text: ProgramText,
    timezone: TimeZone,
    reads_metadata: bool,
}

impl Program {
    /// Compiles a program that changes records. `timezone` is where times without a zone are;
    /// UTC by default. Warnings go to the context.
    pub(crate) fn compile(
        text: &ProgramText,
        timezone: Option<&str>,
        context: &BuildContext,
    ) -> Result<Program> {
        let timezone = timezone.unwrap_or("UTC");
        let zone = TimeZone::parse(timezone).filter(|_| !timezone.is_empty()).ok_or_else(|| {
            let advice = "use a name such as `Europe/Berlin`, `UTC` or `local`";
            OptionError::new("timezone", format!("`{timezone}` is not a time zone; {advice}"))
        })?;
        Program::of(text, zone, Purpose::Records, context)
    }

    /// Compiles a program that gives a boolean and changes nothing.
    pub(crate) fn compile_condition(text: &ProgramText, context: &BuildContext) -> Result<Program> {
        let utc = TimeZone::parse("UTC").unwrap_or_default();
        let condition = Program::of(text, utc, Purpose::Condition, context)?;
        condition.check_metadata(context);
        Ok(condition)
    }

    fn of(
        text: &ProgramText,
        timezone: TimeZone,
        purpose: Purpose,
        context: &BuildContext,
    ) -> Result<Program> {
        let compiled = compile::compile(text, purpose, &context.warnings)?;
        let reads_metadata = metadata::is_read(&compiled.program.info().target_queries);
        Ok(Program { compiled: Arc::new(compiled), text: text.clone(), timezone, reads_metadata })
    }

    /// Warns of a name that the metadata of a record do not have.
    pub(crate) fn check_metadata(&self, context: &BuildContext) {
        for message in metadata::unknown_names(&self.compiled.program.info().target_queries) {
            context.warnings.add(OptionError::new(&*self.text.option, message));
        }
    }

    /// The metadata of a record, if the program reads any.
    pub(crate) fn metadata(&self, record: &Record) -> Metadata {
        if self.reads_metadata { Metadata::of(record) } else { Metadata::default() }
    }

    /// What the program makes of a value. The error does not contain parts of it.
    pub(crate) fn run(&self, input: &Input<'_>, metadata: &Metadata) -> Result<ProgramResult> {
        on_large_stack(|| self.make(input, metadata))
    }

    /// Whether the condition holds for a record. The error does not contain values of it.
    pub(crate) fn holds(&self, record: &Record) -> Result<bool> {
        on_large_stack(|| {
            let outcome = self.resolve(&Input::Body(&record.body), &self.metadata(record))?;
            match outcome.result {
                Some(Value::Boolean(holds)) => Ok(holds),
                Some(other) => bail!("the condition gives {}, not a boolean", other.kind_str()),
                // `abort` in a condition: the record is not wanted.
                None => Ok(false),
            }
        })
    }

    fn make(&self, input: &Input<'_>, metadata: &Metadata) -> Result<ProgramResult> {
        let Outcome { result, value, replaced } = self.resolve(input, metadata)?;
        if let Some(Replaced { kind, path }) = replaced {
            bail!(
                "the record is of type {kind}, and the assignment to `{path}` would replace all of it: make an object of \
                 it first, as in `. = {{ \"value\": . }}`, or leave such records alone, as in `if is_object(.) {{ … }}`"
            );
        }
        match (result, value) {
            (None, _) | (Some(_), Value::Null) => Ok(ProgramResult::Nothing),
            (Some(_), Value::Array(items)) => value::all_to_json(&items).map(ProgramResult::Many),
            (Some(_), one) => value::to_json(&one).map(ProgramResult::One),
        }
    }

    /// Runs the program.
    fn resolve(&self, input: &Input<'_>, metadata: &Metadata) -> Result<Outcome> {
        let mut target = RecordTarget::new(TargetValue {
            value: value::of(input)?,
            metadata: metadata.0.clone(),
            secrets: Secrets::default(),
        });
        let mut limits = Limits::default();
        let resolved = catch_quietly(|| {
            Runtime::new(RuntimeState::default()).resolve_with_control(
                &mut target,
                &self.compiled.program,
                &self.timezone,
                &mut limits,
            )
        });
        match resolved {
            Some(Ok(result)) => {
                let (value, replaced) = target.into_parts();
                Ok(Outcome { result: Some(result), value, replaced })
            }
            Some(Err(Terminate::Abort(ExpressionError::Abort { .. }))) => {
                Ok(Outcome { result: None, value: Value::Null, replaced: None })
            }
            Some(Err(Terminate::Interrupted)) => Err(limits.exceeded()),
            Some(Err(Terminate::Abort(error) | Terminate::Error(error))) => {
                Err(self.error(&error, &[target.value(), &value::of(input)?]))
            }
            None => Err(anyhow!("a function of the program has panicked, which is a bug in VRL")),
        }
    }

    fn error(&self, error: &ExpressionError, values: &[&Value]) -> Error {
        let original = |at: usize| self.compiled.original_place(at);
        reason::of(error, &self.text, original, values)
    }
}
