//! Builds the components that a file describes, each after its inputs.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Error;

use super::component::Read;
use super::diagnostic::Diagnostic;
use super::graph::{Named, Placed};
use super::places::Places;
use super::top::Top;
use super::transaction;
use super::{DEAD_LETTER, Surroundings, is_plain_name};
use crate::build_context::{BuildContext, Upstream};
use crate::error::{OptionError, OptionErrors};
use crate::pipeline::{Component, Pipeline};
use crate::plugin::{Built, Kind};
use crate::progress::{Counters, Gauges};
use crate::source::Replay;

/// All that is needed to build the components.
pub(crate) struct Assembly<'a> {
    pub(crate) path: &'a Path,
    pub(crate) top: Top,
    /// Where the options of `top` stand.
    pub(crate) places: Places,
    pub(crate) named: Vec<Named>,
    pub(crate) builds: Vec<Option<Read>>,
    pub(crate) dead_letter: Option<DeadLetter>,
}

/// The sink of `[dead_letter]`, and where it is named.
pub(crate) struct DeadLetter {
    pub(crate) read: Read,
    pub(crate) at: Range<usize>,
}

/// What an error of a component is shown with.
struct Shown<'a> {
    /// The component, as in "`sources.prices` (http)".
    component: String,
    at: &'a Range<usize>,
    options: Places,
    /// Whether all that stands in front of it is known.
    has_all_inputs: bool,
}

impl Assembly<'_> {
    /// Builds what could be read, in any case, so that all errors are found.
    pub(crate) fn build(
        self,
        order: Vec<Placed>,
        surroundings: &Surroundings,
        slips: &mut Vec<Diagnostic>,
    ) -> Option<Pipeline> {
        let Assembly { path, top, places, named, mut builds, dead_letter } = self;
        check(&top, &places, slips);
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = top.name.or(stem).unwrap_or_else(|| "pipeline".into());
        if !is_plain_name(&name) {
            let message = format!("`{name}` cannot be the name of a pipeline");
            let advice = "letters, digits, `_`, `-` and `.`";
            slips.push(match places.get("name") {
                Some(at) => Diagnostic::new(message, at, format!("use {advice}")),
                None => Diagnostic::of_file(format!("{message}: set `name` to {advice}")),
            });
        }
        let folder = folder_of(path);
        let batch = top.batch.into();
        let retry = top.retry.into();
        let context = |component: &str| BuildContext {
            pipeline: name.clone(),
            component: component.to_owned(),
            folder: folder.clone(),
            batch,
            retry,
            gauges: Arc::new(Gauges::default()),
            upstream: Upstream::default(),
            is_dead_letter: false,
        };
        let kinds: Vec<Kind> = order.iter().map(|placed| named[placed.index].kind).collect();
        let mut components: Vec<Option<Component>> = Vec::new();
        let mut numbered_by: Vec<Vec<String>> = Vec::new();
        let mut shown = Vec::new();
        for Placed { index, inputs, has_all_inputs } in order {
            let Named { name: component, kind, at, .. } = &named[index];
            let location = |input: &usize| match &components[*input].as_ref()?.built {
                Built::Sink(sink) => sink.location(),
                _ => None,
            };
            let locations = inputs.iter().filter_map(location).collect();
            let mut numbering: Vec<String> =
                inputs.iter().flat_map(|input| &numbered_by[*input]).cloned().collect();
            numbering.sort_unstable();
            numbering.dedup();
            // Only a sink says something to what stands behind it.
            let is_known = |input: &usize| kinds[*input] != Kind::Sink || components[*input].is_some();
            let has_all_inputs = has_all_inputs && inputs.iter().all(is_known);
            let read = builds[index].take();
            let plugin = read.as_ref().map_or("", |read| read.plugin);
            shown.push(Shown {
                component: format!("`{}.{component}` ({plugin})", kind.section()),
                at,
                options: read.as_ref().map(|read| read.options.clone()).unwrap_or_default(),
                has_all_inputs,
            });
            numbered_by.push(numbering.clone());
            let upstream = Upstream { counting_sources: numbering, locations };
            let context = BuildContext { upstream, ..context(component) };
            let built = read.and_then(|read| build(read, context, inputs, shown.last(), slips));
            if let (Some(Built::Source(source)), Some(own)) =
                (built.as_ref().map(|it| &it.built), numbered_by.last_mut())
                && source.replay() != Replay::External
            {
                own.push(component.clone());
            }
            components.push(built);
        }
        let dead_letter = dead_letter.and_then(|DeadLetter { read, at }| {
            let mut numbering: Vec<String> = numbered_by.into_iter().flatten().collect();
            numbering.sort_unstable();
            numbering.dedup();
            let upstream = Upstream { counting_sources: numbering, locations: Vec::new() };
            let context = BuildContext { is_dead_letter: true, upstream, ..context(DEAD_LETTER) };
            let shown = Shown {
                component: format!("`[{DEAD_LETTER}]` ({})", read.plugin),
                at: &at,
                options: read.options.clone(),
                has_all_inputs: true,
            };
            let built = build(read, context, Vec::new(), Some(&shown), slips)?;
            slips.extend(transaction::refuse(&built).iter().flat_map(|error| shown.slips(error)));
            if let Built::Sink(sink) = &built.built
                && !sink.stores_records()
            {
                let message = format!(
                    "`{}` stores nothing, so rejected records would be lost; use `file`, `s3`, `kafka` or `console`",
                    built.plugin
                );
                slips.extend(shown.slips(&OptionError::new("type", message)));
            }
            Some(built)
        });
        // One that was not built has a slip, or a value that is missing.
        if !slips.is_empty() || components.iter().any(Option::is_none) {
            return None;
        }
        let mut components: Vec<Component> = components.into_iter().flatten().collect();
        for (sink, error) in transaction::join(&mut components) {
            slips.extend(shown[sink].slips(&error));
        }
        let data_dir = data_dir(surroundings, top.data_dir.as_deref(), &folder, &name)
            .map_err(|message| slips.push(Diagnostic::of_file(message)))
            .ok()?;
        Some(Pipeline { name, file: path.to_owned(), data_dir, batch, retry, components, dead_letter })
    }
}

/// Shows what makes no sense among the options at the top of the file.
fn check(top: &Top, places: &Places, slips: &mut Vec<Diagnostic>) {
    for (options, message) in top.check() {
        let place = options.iter().find_map(|option| places.find(option).map(|at| (option, at)));
        slips.push(match place {
            Some((option, at)) => Diagnostic::new(format!("`{option}`: {message}"), at, "here"),
            None => Diagnostic::of_file(message),
        });
    }
}

fn build(
    read: Read,
    context: BuildContext,
    inputs: Vec<usize>,
    shown: Option<&Shown>,
    slips: &mut Vec<Diagnostic>,
) -> Option<Component> {
    let gauges = Arc::clone(&context.gauges);
    let is_dead_letter = context.is_dead_letter;
    match (read.build)(&context) {
        Ok(built) => Some(Component {
            name: context.component,
            plugin: read.plugin,
            inputs,
            built,
            gauges,
            counters: Arc::new(Counters::default()),
            is_dead_letter,
        }),
        Err(error) => {
            slips.extend(shown.iter().flat_map(|shown| shown.slips(&error)));
            None
        }
    }
}

impl Shown<'_> {
    fn slips(&self, error: &Error) -> Vec<Diagnostic> {
        match error.downcast_ref::<OptionErrors>() {
            Some(several) => several.iter().filter_map(|error| self.slip(error)).collect(),
            None => self.slip(error).into_iter().collect(),
        }
    }

    /// Shows an error about an option at its value, any other at the component. That an option is
    /// missing may be said only because something in front is: then it is no slip of its own.
    fn slip(&self, error: &Error) -> Option<Diagnostic> {
        let label = format!("in {}", self.component);
        match error.downcast_ref::<OptionError>() {
            Some(OptionError { option, message }) => {
                let place = self.options.get(option);
                if place.is_none() && !self.has_all_inputs {
                    return None;
                }
                let at = place.unwrap_or_else(|| self.at.clone());
                Some(Diagnostic::new(format!("`{option}`: {message}"), at, label))
            }
            None => Some(Diagnostic::new(format!("{error:#}"), self.at.clone(), label)),
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

/// The folder of this pipeline's checkpoints.
fn data_dir(
    surroundings: &Surroundings,
    option: Option<&str>,
    folder: &Path,
    name: &str,
) -> Result<PathBuf, String> {
    let variable = |name: &str| (surroundings.lookup)(name).filter(|value| !value.is_empty());
    let given = surroundings
        .data_dir
        .clone()
        .or_else(|| option.map(|option| folder.join(option)))
        .or_else(|| variable("RUNNER_DATA_DIR").map(PathBuf::from));
    if let Some(given) = given {
        return Ok(given.join(name));
    }
    let state = variable("XDG_STATE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".local/state")))
        .ok_or("there is no HOME to keep checkpoints in: name a folder with `data_dir` or RUNNER_DATA_DIR")?;
    // Two projects may both have a `producer.toml`: the folder of the file tells them apart.
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    Ok(state.join("runner").join(format!("{name}-{:08x}", fingerprint(&folder.to_string_lossy()))))
}

/// A short, stable name for a text (FNV-1a, 32 bits).
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
