//! Builds the components that a file describes, each after its inputs.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Error;

use super::component::ComponentOptions;
use super::crawled;
use super::graph::{self, Named, Placed};
use super::loops::{self, Loop};
use super::option_spans::OptionSpans;
use super::test_cases::TestCases;
use super::text_places::place_in_file;
use super::{LoadContext, is_plain_name};
use super::{find_state_folder, outputs, transaction};
use crate::build_context::{BuildContext, Upstream};
use crate::checkpoint::Checkpoints;
use crate::diagnostics::{Diagnostic, OtherFile};
use crate::error::{OptionError, OptionErrors};
use crate::pipeline::{Component, DEAD_LETTER, Pipeline, keep_checkpoints};
use crate::pipeline_options::PipelineOptions;
use crate::plugin::{Built, Kind};
use crate::progress::{Counters, Gauges};
use crate::redaction::Redaction;
use crate::source::Replay;
use crate::state_folder::StateFolder;
use crate::text_error::{TextError, Warnings};

/// All that is needed to build the components.
pub(crate) struct Assembly<'a> {
    pub(crate) path: &'a Path,
    /// The text of the file.
    pub(crate) source: &'a str,
    pub(crate) top: TopLevel,
    pub(crate) named: Vec<Named>,
    /// The options of each of `named`.
    pub(crate) options: Vec<ComponentOptions>,
    pub(crate) dead_letter: Option<DeadLetter>,
}

/// The options at the top of a file, and what their errors are shown with.
pub(crate) struct TopLevel {
    pub(crate) options: PipelineOptions,
    pub(crate) spans: OptionSpans,
    pub(crate) redaction: Redaction,
}

/// The sink of `[dead_letter]`, and where it is named.
pub(crate) struct DeadLetter {
    pub(crate) options: ComponentOptions,
    pub(crate) at: Range<usize>,
}

/// What the errors of a component are shown with.
struct Shown<'a> {
    /// The component, as in "`sources.prices` (http)".
    component: String,
    at: &'a Range<usize>,
    source: &'a str,
    spans: OptionSpans,
    redaction: Redaction,
}

impl TopLevel {
    /// Finds the options that are valid by themselves and not for the pipeline of this file.
    pub(crate) fn check(&self, path: &Path) -> Vec<Diagnostic> {
        let mut errors = Vec::new();
        for (options, message) in self.options.check() {
            let place = options.iter().find_map(|option| self.spans.find(option).map(|at| (option, at)));
            errors.push(match place {
                Some((option, at)) => Diagnostic::new(format!("`{option}`: {message}"), at, "here"),
                None => Diagnostic::of_file(message),
            });
        }
        let name = self.name(path);
        if !is_plain_name(&name) {
            let message = self.redaction.apply(&format!("`{name}` cannot be the name of a pipeline"));
            let advice = "letters, digits, `_`, `-` and `.`";
            errors.push(match self.spans.find("name") {
                Some(at) => Diagnostic::new(message, at, format!("use {advice}")),
                None => Diagnostic::of_file(format!("{message}: set `name` to {advice}")),
            });
        }
        errors
    }

    /// The name of the pipeline: its own, or that of the file.
    fn name(&self, path: &Path) -> String {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.options.name.clone().or(stem).unwrap_or_else(|| "pipeline".into())
    }
}

impl Assembly<'_> {
    /// Builds all components and returns their warnings too, or returns all that is wrong with them.
    pub(crate) fn build(
        self,
        order: Vec<Placed>,
        load: &LoadContext,
    ) -> Result<(Pipeline, Vec<Diagnostic>), Vec<Diagnostic>> {
        let Assembly { path, source, top, named, options, dead_letter } = self;
        let name = top.name(path);
        let mut errors = Vec::new();
        let mut warnings = Vec::new();
        let mut options: Vec<Option<ComponentOptions>> = options.into_iter().map(Some).collect();
        let folder = folder_of(path);
        let batch = top.options.batch;
        let retry = top.options.retry;
        let context = |component: &str| BuildContext {
            pipeline: name.clone(),
            component: component.to_owned(),
            folder: folder.clone(),
            batch,
            retry,
            gauges: Arc::new(Gauges::default()),
            upstream: Upstream::default(),
            is_dead_letter: false,
            warnings: Warnings::default(),
        };
        let mut components: Vec<Option<Component>> = Vec::new();
        let mut numbered_by: Vec<Vec<String>> = Vec::new();
        let mut shown = Vec::new();
        let mut is_sink = Vec::new();
        let branched = graph::branched(&order);
        for Placed { index, inputs } in order {
            let Named { name: component, kind, at, inputs: input_names } = &named[index];
            let Some(options) = options[index].take() else { continue };
            let location = |input: &usize| components[*input].as_ref()?.sink()?.location();
            let locations = inputs.iter().filter_map(location).collect();
            let mut numbering: Vec<String> =
                inputs.iter().flat_map(|input| &numbered_by[*input]).cloned().collect();
            numbering.sort_unstable();
            numbering.dedup();
            shown.push(Shown {
                component: format!("`{}.{component}` ({})", kind.section(), options.plugin),
                at,
                source,
                spans: options.spans.clone(),
                redaction: options.redaction.clone(),
            });
            numbered_by.push(numbering.clone());
            let has_branches = branched[components.len()];
            let upstream = Upstream { counting_sources: numbering, locations, has_branches };
            let context = BuildContext { upstream, ..context(component) };
            // What a component needs to know about a sink before it is not known if that has failed.
            let has_failed_sink = |input: &usize| is_sink[*input] && components[*input].is_none();
            let read = inputs.iter().zip(input_names).map(|(input, name)| {
                let found = outputs::output_index(components[*input].as_ref(), name);
                found.unwrap_or_else(|error| {
                    errors.push(*error);
                    0
                })
            });
            let input_outputs = read.collect();
            let built = if inputs.iter().any(has_failed_sink) {
                None
            } else {
                build(options, context, inputs, shown.last(), &mut errors, &mut warnings)
            };
            is_sink.push(*kind == Kind::Sink);
            if let (Some(Built::Source(source)), Some(own)) =
                (built.as_ref().map(|it| &it.built), numbered_by.last_mut())
                && source.replay() != Replay::External
            {
                own.push(component.clone());
            }
            components.push(built.map(|built| Component { input_outputs, ..built }));
        }
        let dead_letter = dead_letter.and_then(|DeadLetter { options, at }| {
            let mut numbering: Vec<String> = numbered_by.into_iter().flatten().collect();
            numbering.sort_unstable();
            numbering.dedup();
            let upstream = Upstream { counting_sources: numbering, ..Upstream::default() };
            let context = BuildContext { is_dead_letter: true, upstream, ..context(DEAD_LETTER) };
            let shown = Shown {
                component: format!("`[{DEAD_LETTER}]` ({})", options.plugin),
                at: &at,
                source,
                spans: options.spans.clone(),
                redaction: options.redaction.clone(),
            };
            let built = build(options, context, Vec::new(), Some(&shown), &mut errors, &mut warnings)?;
            let refused = transaction::refuse(&built)
                .into_iter()
                .chain(crawled::refuse(&built, components.iter().flatten()))
                .chain(loops::refuse(&built, components.iter().flatten()));
            errors.extend(refused.flat_map(|error| shown.diagnostics(&error)));
            if built.sink().is_some_and(|sink| !sink.stores_records()) {
                let message = format!(
                    "`{}` stores nothing, so rejected records would be lost; use `file`, `s3`, `kafka` or `console`",
                    built.plugin
                );
                errors.extend(shown.diagnostics(&OptionError::new("type", message)));
            }
            Some(built)
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut components: Vec<Component> = components.into_iter().flatten().collect();
        for (sink, error) in transaction::join(&mut components) {
            errors.extend(shown[sink].diagnostics(&error));
        }
        for (sink, error) in crawled::connect(&mut components) {
            errors.extend(shown[sink].diagnostics(&error));
        }
        for Loop { sink, why, is_endless } in loops::find(&components) {
            let found = shown[sink].diagnostics(&why).into_iter();
            if is_endless {
                errors.extend(found);
            } else {
                warnings.extend(found.map(|it| Diagnostic { is_warning: true, ..it }));
            }
        }
        let tests = TestCases { tests: &top.options.tests, spans: &top.spans };
        errors.extend(tests.check_built(&mut components));
        let state =
            find_state_folder::find(load, top.options.data_dir.as_deref(), &folder, &name)
                // No folder is needed by a pipeline that keeps no checkpoint.
                .or_else(|message| {
                    if keep_checkpoints(&components) { Err(message) } else { Ok(StateFolder::default()) }
                })
                .map_err(|message| errors.push(Diagnostic::of_file(message)));
        match state {
            Ok(state) if errors.is_empty() => {
                let pipeline = Pipeline {
                    name,
                    file: path.to_owned(),
                    state,
                    warnings: None,
                    batch,
                    retry,
                    components,
                    dead_letter,
                    checkpoints: Checkpoints::Saved,
                    stores_nothing: false,
                    tests: top.options.tests,
                };
                Ok((pipeline, warnings))
            }
            _ => Err(errors),
        }
    }
}

fn build(
    options: ComponentOptions,
    context: BuildContext,
    inputs: Vec<usize>,
    shown: Option<&Shown>,
    errors: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> Option<Component> {
    let gauges = Arc::clone(&context.gauges);
    let is_dead_letter = context.is_dead_letter;
    let built = (options.build)(&context);
    for warning in context.warnings.take() {
        let found = shown.iter().flat_map(|shown| shown.diagnostics(&warning));
        warnings.extend(found.map(|it| Diagnostic { is_warning: true, ..it }));
    }
    match built {
        Ok(built) => Some(Component {
            name: context.component,
            plugin: options.plugin,
            inputs,
            input_outputs: Vec::new(),
            built,
            gauges,
            counters: Arc::new(Counters::default()),
            is_dead_letter,
        }),
        Err(error) => {
            errors.extend(shown.iter().flat_map(|shown| shown.diagnostics(&error)));
            None
        }
    }
}

impl Shown<'_> {
    fn diagnostics(&self, error: &Error) -> Vec<Diagnostic> {
        match error.downcast_ref::<OptionErrors>() {
            Some(several) => several.iter().map(|error| self.diagnostic(error)).collect(),
            None => vec![self.diagnostic(error)],
        }
    }

    /// Shows an error about an option at its value or inside it, any other at the component.
    fn diagnostic(&self, error: &Error) -> Diagnostic {
        if let Some(error) = error.downcast_ref::<TextError>() {
            return self.text_diagnostic(error);
        }
        let label = format!("in {}", self.component);
        let (message, place) = match error.downcast_ref::<OptionError>() {
            Some(OptionError { option, message }) => {
                (format!("`{option}`: {}", self.redaction.apply(message)), self.spans.find_or_table(option))
            }
            None => (self.redaction.apply(&format!("{error:#}")), None),
        };
        Diagnostic::new(message, place.unwrap_or_else(|| self.at.clone()), label)
    }

    /// Shows an error inside the text of an option, or in the file that the option names.
    fn text_diagnostic(&self, error: &TextError) -> Diagnostic {
        let message = format!("`{}`: {}", error.option, self.redaction.apply(&error.message));
        let option = self.spans.find_or_table(&error.option).unwrap_or_else(|| self.at.clone());
        let in_file = |span: &Range<usize>| match error.file {
            Some(_) => Some(span.clone()),
            None => place_in_file(self.source, &option, &error.text, span),
        };
        let label = match &*error.label {
            "" => format!("in {}", self.component),
            label => self.redaction.apply(label),
        };
        let place = in_file(&error.span).unwrap_or_else(|| option.clone());
        let contexts =
            error.contexts.iter().filter_map(|(span, label)| Some((in_file(span)?, label.clone())));
        let note = format!("this is in {}", self.component);
        Diagnostic {
            other_file: error.file.as_ref().map(|path| OtherFile {
                path: Arc::clone(path),
                text: Arc::clone(&error.text),
                named_at: option.start,
            }),
            contexts: contexts.collect(),
            notes: error.notes.iter().map(|note| self.redaction.apply(note)).chain([note]).collect(),
            ..Diagnostic::new(message, place, label)
        }
    }
}

/// The folder that relative paths of a pipeline file begin in.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
