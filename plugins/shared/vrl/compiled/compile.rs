//! Compiles a program; its errors and warnings point into its text.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Error, Result};
use runner_core::{OptionError, OptionErrors, TextError, Warnings};
use vrl::compiler::state::ExternalEnv;
use vrl::compiler::{CompilationResult, CompileConfig, compile_with_external};
use vrl::diagnostic::{Diagnostic, DiagnosticList, Label, Note, Span};
use vrl::path::OwnedTargetPath;
use vrl::prelude::{Function, Kind};
use vrl::value::kind::Collection;

use super::ProgramText;
use super::functions::{FUNCTIONS, FUNCTIONS_OF_EDITED, is_left_out};
use super::limits::{memory_of_process, on_large_stack};
use super::rewrite::Rewritten;
use super::syntax;
use crate::shared::quiet_panic::catch_quietly;

/// What a program is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It changes `.`.
    Records,
    /// It gives a boolean, and changes nothing.
    Condition,
}

/// A program that can run.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) program: vrl::compiler::Program,
    /// What was compiled, if it is not the text itself.
    rewritten: Option<Rewritten>,
}

impl Compiled {
    /// The place in the text for one in the compiled program.
    pub(super) fn original_place(&self, at: usize) -> usize {
        self.rewritten.as_ref().map_or(at, |rewritten| rewritten.original_place(at))
    }
}

/// How long the compiler may work on a program. Types that a program doubles again and again would
/// keep it busy for ever.
const MAX_TIME: Duration = Duration::from_secs(60);
/// How much memory the process may take in addition meanwhile.
const MAX_MEMORY: u64 = 1 << 30;

/// The code of a change where nothing may be changed, as in a condition.
const READ_ONLY: usize = 315;

/// The code of a text that is not a program.
const SYNTAX: usize = 203;

/// The code of a name that is not a variable.
const UNDEFINED: usize = 701;

/// Compiles a program. All its errors are returned together.
///
/// The compiler works on a thread of its own. It cannot be interrupted: if it exceeds a limit, the
/// thread works on until the process ends, which it does as the pipeline file has an error.
pub(super) fn compile(text: &ProgramText, purpose: Purpose, warnings: &Warnings) -> Result<Compiled> {
    let failed = |message: &str| Err(OptionError::new(&*text.option, message));
    let (sender, compiled) = mpsc::channel();
    let (program, found) = (text.clone(), warnings.clone());
    let work = move || {
        let compiled = catch_quietly(|| on_large_stack(|| compile_text(&program, purpose, &found)));
        // Nobody waits any more once a limit is exceeded.
        drop(sender.send(compiled));
    };
    if let Err(error) = thread::Builder::new().name("vrl compiler".into()).spawn(work) {
        return failed(&format!("no thread can be started for the compiler: {error}"));
    }
    let (started, before) = (Instant::now(), memory_of_process().unwrap_or(0));
    loop {
        match compiled.recv_timeout(Duration::from_millis(50)) {
            Ok(Some(compiled)) => return compiled,
            Ok(None) | Err(RecvTimeoutError::Disconnected) => {
                return failed("the compiler of VRL has panicked on this program, which is a bug in it");
            }
            Err(RecvTimeoutError::Timeout) => {
                let has_grown = memory_of_process().is_some_and(|memory| memory > before + MAX_MEMORY);
                if has_grown || started.elapsed() > MAX_TIME {
                    return failed("the program is too complex: compiling it takes more than 60 s or 1 GiB");
                }
            }
        }
    }
}

fn compile_text(text: &ProgramText, purpose: Purpose, warnings: &Warnings) -> Result<Compiled> {
    if text.text.trim().is_empty() {
        return Err(OptionError::new(&*text.option, "the program is empty"));
    }
    // The compiler reports the errors of a text that cannot be parsed.
    let edits = match vrl::parser::parse(&*text.text) {
        Ok(program) => syntax::edits(program, purpose).map_err(|refused| {
            let refused = Diagnostic::error(0, refused.message).with_primary("here", refused.span);
            text_error(refused, text)
        })?,
        Err(_) => Vec::new(),
    };
    let result = compile_with(&text.text, &FUNCTIONS, purpose).map_err(|found| {
        let errors = found.into_iter().filter(Diagnostic::is_problem).map(|it| text_error(it, text));
        OptionErrors::none_of(errors).err().unwrap_or_else(|| Error::msg("the program is not valid"))
    })?;
    if purpose == Purpose::Condition {
        check_boolean(&result, text)?;
    }
    for warning in result.warnings {
        warnings.add(text_error(warning, text));
    }
    if !edits.is_empty() {
        let rewritten = Rewritten::of(&text.text, edits);
        if let Ok(result) = compile_with(&rewritten.text, &FUNCTIONS_OF_EDITED, purpose) {
            return Ok(Compiled { program: result.program, rewritten: Some(rewritten) });
        }
    }
    Ok(Compiled { program: result.program, rewritten: None })
}

fn compile_with(
    text: &str,
    functions: &[Box<dyn Function>],
    purpose: Purpose,
) -> Result<CompilationResult, DiagnosticList> {
    let environment = ExternalEnv::new_with_kind(Kind::any(), Kind::object(Collection::any()));
    let mut config = CompileConfig::default();
    match purpose {
        Purpose::Condition => config.set_read_only(),
        Purpose::Records => config.set_read_only_path(OwnedTargetPath::metadata_root(), true),
    }
    compile_with_external(text, functions, &environment, config)
}

/// Refuses a condition that cannot give a boolean.
fn check_boolean(result: &CompilationResult, text: &ProgramText) -> Result<()> {
    let gives = result.program.final_type_info().result;
    if gives.kind().contains_boolean() || gives.kind().is_never() {
        return Ok(());
    }
    let message = format!("the condition gives {}, not a boolean", gives.kind());
    let whole = Span::new(0, text.text.trim_end().len());
    Err(text_error(Diagnostic::error(0, message).with_primary("this must give true or false", whole), text))
}

/// What the compiler says, at its place in the text.
fn text_error(found: Diagnostic, text: &ProgramText) -> Error {
    let left_out = found.labels.iter().find_map(|label| {
        let name = text.text.get(label.span.range())?.split('(').next()?.trim_end_matches('!');
        is_left_out(name).then(|| name.to_owned())
    });
    let mut labels = found.labels;
    let first = labels.iter().position(|label| label.primary).unwrap_or(0);
    let primary = if labels.is_empty() {
        Label::primary("in this program", Span::new(0, text.text.trim_end().len()))
    } else {
        labels.remove(first)
    };
    let mut notes: Vec<String> = found.notes.iter().filter_map(note).collect();
    if let Some(name) = left_out {
        notes.push(format!(
            "runner leaves out `{name}`: a small record could make it take any amount of memory"
        ));
    }
    let before = text.text.get(..primary.span.start()).unwrap_or_default();
    if found.code == SYNTAX && before.trim_end().ends_with('[') {
        notes.push(
            "brackets take only a number: with a variable or a name write `get!(value, [index])`".into(),
        );
    }
    if is_after_field(before, found.code) {
        notes.push(
            "if the name of the field goes on here, write the whole name in quotes, as in `.\"Adj Close\"`"
                .into(),
        );
    }
    if found.code == READ_ONLY {
        notes.push("`=` assigns a value: to compare two, write `==`".into());
    }
    let message = match found.code {
        0 => found.message,
        code => {
            if (100..=110).contains(&code) {
                notes.push(format!("learn more at https://errors.vrl.dev/{code}"));
            }
            format!("{} (VRL E{code:03})", found.message)
        }
    };
    Error::new(TextError {
        option: text.option.to_string(),
        message,
        text: Arc::clone(&text.text),
        file: text.file.clone(),
        span: place(primary.span, text),
        label: primary.message,
        contexts: labels.into_iter().map(|label| (place(label.span, text), label.message)).collect(),
        notes,
    })
}

/// Whether the text before an error may be the first part of a name of a field, as in `.Adj Close` and `.order-id`.
fn is_after_field(before: &str, code: usize) -> bool {
    let before = match code {
        SYNTAX => before.trim_end_matches(' '),
        UNDEFINED => before.strip_suffix('-').unwrap_or_default(),
        _ => return false,
    };
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let start = before.trim_end_matches(is_part);
    start.len() < before.len() && start.ends_with('.')
}

/// A span of the compiler inside the text.
fn place(span: Span, text: &ProgramText) -> std::ops::Range<usize> {
    let text = &*text.text;
    let whole = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = whole(span.start());
    start..whole(span.end()).max(start)
}

/// What a note says, apart from general advice.
fn note(note: &Note) -> Option<String> {
    let text = match note {
        Note::Hint(_) | Note::Example(_) | Note::CoerceValue | Note::Basic(_) | Note::UserErrorMessage(_) => {
            note.to_string()
        }
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}
