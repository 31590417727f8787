//! Builds the components that a file describes, each after its inputs.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Error;

use super::component::ComponentOptions;
use super::crawled;
use super::graph::{self, ComponentHeader, OrderedComponent};
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
use crate::pipeline_options::{BatchLimits, PipelineOptions, RetryLimits};
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
    pub(crate) named: Vec<ComponentHeader>,
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
struct DiagnosticContext<'a> {
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
        order: Vec<OrderedComponent>,
        load: &LoadContext,
    ) -> Result<(Pipeline, Vec<Diagnostic>), Vec<Diagnostic>> {
        let Assembly { path, source, top, named, options, dead_letter } = self;
        let TopLevel { options: top_options, spans, .. } = &top;
        let mut builder = Builder {
            source,
            pipeline: top.name(path),
            folder: folder_of(path),
            batch: top_options.batch,
            retry: top_options.retry,
            errors: Vec::new(),
            warnings: Vec::new(),
        };
        let built = builder.build_components(order, &named, options);
        let dead_letter = dead_letter.and_then(|it| builder.build_dead_letter(it, &built));
        if !builder.errors.is_empty() {
            return Err(builder.errors);
        }
        let built = built.into_iter().filter_map(|it| Some((it.component?, it.shown)));
        let (mut components, shown): (Vec<Component>, Vec<DiagnosticContext>) = built.unzip();
        builder.connect(&mut components, &shown);
        let tests = TestCases { tests: &top_options.tests, spans };
        builder.errors.extend(tests.check_built(&mut components));
        let state = builder.find_state(load, top_options.data_dir.as_deref(), &components);
        if !builder.errors.is_empty() {
            return Err(builder.errors);
        }
        let pipeline = Pipeline {
            name: builder.pipeline,
            file: path.to_owned(),
            state,
            warnings: None,
            batch: builder.batch,
            retry: builder.retry,
            components,
            dead_letter,
            checkpoints: Checkpoints::Saved,
            stores_nothing: false,
            tests: top.options.tests,
        };
        Ok((pipeline, builder.warnings))
    }
}

/// Builds the components, and collects what is wrong with them.
struct Builder<'a> {
    /// The text of the file.
    source: &'a str,
    /// The name of the pipeline.
    pipeline: String,
    folder: PathBuf,
    batch: BatchLimits,
    retry: RetryLimits,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

/// One component of `sources`, `transforms` or `sinks`.
struct BuiltComponent<'a> {
    /// `None` if it has errors.
    component: Option<Component>,
    shown: DiagnosticContext<'a>,
    is_sink: bool,
    /// The sources that number its records, sorted.
    counting_sources: Vec<String>,
}

impl<'a> Builder<'a> {
    fn build_components(
        &mut self,
        order: Vec<OrderedComponent>,
        named: &'a [ComponentHeader],
        options: Vec<ComponentOptions>,
    ) -> Vec<BuiltComponent<'a>> {
        let mut options: Vec<Option<ComponentOptions>> = options.into_iter().map(Some).collect();
        let branched = graph::branched(&order);
        let mut all = Vec::new();
        for (OrderedComponent { index, inputs }, has_branches) in order.into_iter().zip(branched) {
            let Some(options) = options[index].take() else { continue };
            let built = self.build_component(&named[index], options, inputs, has_branches, &all);
            all.push(built);
        }
        all
    }

    /// Builds one component; `before` are those that may be its inputs.
    fn build_component(
        &mut self,
        named: &'a ComponentHeader,
        options: ComponentOptions,
        inputs: Vec<usize>,
        has_branches: bool,
        before: &[BuiltComponent],
    ) -> BuiltComponent<'a> {
        let ComponentHeader { name, kind, at, inputs: input_names } = named;
        let senders = || inputs.iter().map(|&input| &before[input]);
        let locations = senders().filter_map(|it| it.component.as_ref()?.sink()?.location()).collect();
        let mut counting_sources = without_repeats(senders().flat_map(|it| &it.counting_sources));
        let upstream = Upstream { counting_sources: counting_sources.clone(), locations, has_branches };
        let context = BuildContext { upstream, ..self.context(name) };
        let label = format!("`{}.{name}` ({})", kind.section(), options.plugin);
        let shown = DiagnosticContext::new(label, at, self.source, &options);
        let mut input_outputs = Vec::new();
        for (sender, name) in senders().zip(input_names) {
            let found = outputs::output_index(sender.component.as_ref(), name);
            input_outputs.push(found.unwrap_or_else(|error| {
                self.errors.push(*error);
                0
            }));
        }
        // What a component needs to know about a sink before it is not known if that has failed.
        let has_failed_sink = senders().any(|it| it.is_sink && it.component.is_none());
        let built = if has_failed_sink { None } else { self.build(options, context, &shown) };
        let component = built.map(|built| Component { inputs, input_outputs, ..built });
        if let Some(Built::Source(source)) = component.as_ref().map(|it| &it.built)
            && source.replay() != Replay::External
        {
            counting_sources.push(name.clone());
        }
        BuiltComponent { component, shown, is_sink: *kind == Kind::Sink, counting_sources }
    }

    fn build_dead_letter(&mut self, dead_letter: DeadLetter, others: &[BuiltComponent]) -> Option<Component> {
        let DeadLetter { options, at } = dead_letter;
        let counting_sources = without_repeats(others.iter().flat_map(|it| &it.counting_sources));
        let upstream = Upstream { counting_sources, ..Upstream::default() };
        let context = BuildContext { is_dead_letter: true, upstream, ..self.context(DEAD_LETTER) };
        let label = format!("`[{DEAD_LETTER}]` ({})", options.plugin);
        let shown = DiagnosticContext::new(label, &at, self.source, &options);
        let built = self.build(options, context, &shown)?;
        let others = others.iter().filter_map(|it| it.component.as_ref());
        let refused = transaction::refuse(&built)
            .into_iter()
            .chain(crawled::refuse(&built, others.clone()))
            .chain(loops::refuse(&built, others));
        self.errors.extend(refused.flat_map(|error| shown.diagnostics(&error)));
        if built.sink().is_some_and(|sink| !sink.stores_records()) {
            let message = format!(
                "`{}` stores nothing, so rejected records would be lost; use `file`, `s3`, `kafka` or `console`",
                built.plugin
            );
            self.errors.extend(shown.diagnostics(&OptionError::new("type", message)));
        }
        Some(built)
    }

    /// Builds one component, without its inputs.
    fn build(
        &mut self,
        options: ComponentOptions,
        context: BuildContext,
        shown: &DiagnosticContext,
    ) -> Option<Component> {
        let gauges = Arc::clone(&context.gauges);
        let is_dead_letter = context.is_dead_letter;
        let built = (options.build)(&context);
        for warning in context.warnings.take() {
            self.warnings.extend(shown.warnings(&warning));
        }
        let built = built.map_err(|error| self.errors.extend(shown.diagnostics(&error))).ok()?;
        Some(Component {
            name: context.component,
            plugin: options.plugin,
            inputs: Vec::new(),
            input_outputs: Vec::new(),
            built,
            gauges,
            counters: Arc::new(Counters::default()),
            is_dead_letter,
        })
    }

    fn context(&self, component: &str) -> BuildContext {
        BuildContext {
            pipeline: self.pipeline.clone(),
            component: component.to_owned(),
            folder: self.folder.clone(),
            batch: self.batch,
            retry: self.retry,
            gauges: Arc::new(Gauges::default()),
            upstream: Upstream::default(),
            is_dead_letter: false,
            warnings: Warnings::default(),
        }
    }

    /// Tells components about each other, and finds what does not fit together.
    fn connect(&mut self, components: &mut [Component], shown: &[DiagnosticContext]) {
        let mut errors = transaction::join(components);
        errors.extend(crawled::connect(components));
        for (sink, error) in errors {
            self.errors.extend(shown[sink].diagnostics(&error));
        }
        for Loop { sink, why, is_endless } in loops::find(components) {
            if is_endless {
                self.errors.extend(shown[sink].diagnostics(&why));
            } else {
                self.warnings.extend(shown[sink].warnings(&why));
            }
        }
    }

    /// The folder of the checkpoints, which a pipeline without checkpoints does not need.
    fn find_state(
        &mut self,
        load: &LoadContext,
        data_dir: Option<&str>,
        components: &[Component],
    ) -> StateFolder {
        let found = find_state_folder::find(load, data_dir, &self.folder, &self.pipeline);
        found.unwrap_or_else(|message| {
            if keep_checkpoints(components) {
                self.errors.push(Diagnostic::of_file(message));
            }
            StateFolder::default()
        })
    }
}

fn without_repeats<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    names.collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

impl<'a> DiagnosticContext<'a> {
    fn new(component: String, at: &'a Range<usize>, source: &'a str, options: &ComponentOptions) -> Self {
        let (spans, redaction) = (options.spans.clone(), options.redaction.clone());
        DiagnosticContext { component, at, source, spans, redaction }
    }

    fn warnings(&self, warning: &Error) -> impl Iterator<Item = Diagnostic> {
        self.diagnostics(warning).into_iter().map(|it| Diagnostic { is_warning: true, ..it })
    }

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
