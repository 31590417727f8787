//! Builds the components that a file describes, each after its inputs.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Error;

use super::component::Read;
use super::diagnostic::Diagnostic;
use super::graph::{Named, Order};
use super::top::Top;
use super::transaction;
use super::{DEAD_LETTER, Surroundings, is_plain_name};
use crate::error::OptionError;
use crate::pipeline::{Component, Pipeline};
use crate::plugin::{BuildContext, Built};
use crate::progress::{Counters, Gauges};

/// All that is needed to build the components.
pub(crate) struct Assembly<'a> {
    pub(crate) path: &'a Path,
    pub(crate) top: Top,
    pub(crate) named: Vec<Named>,
    pub(crate) builds: Vec<Option<Read>>,
    pub(crate) dead_letter: Option<Read>,
}

impl Assembly<'_> {
    pub(crate) fn build(
        self,
        order: Order,
        surroundings: &Surroundings,
    ) -> Result<Pipeline, Vec<Diagnostic>> {
        let Assembly { path, top, named, mut builds, dead_letter } = self;
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let name = top.name.or(stem).unwrap_or_else(|| "pipeline".into());
        let folder = folder_of(path);
        let batch = top.batch.into();
        let retry = top.retry.into();
        let context = |component: &str, upstream_locations| BuildContext {
            pipeline: name.clone(),
            component: component.to_owned(),
            folder: folder.clone(),
            batch,
            retry,
            gauges: Arc::new(Gauges::default()),
            upstream_locations,
            is_dead_letter: false,
        };
        let mut slips = Vec::new();
        if !is_plain_name(&name) {
            slips.push(Diagnostic::of_file(format!(
                "`{name}` cannot be the name of a pipeline: set `name` to letters, digits, `_`, `-` and `.`"
            )));
        }
        let mut components: Vec<Option<Component>> = Vec::new();
        let mut places: Vec<(Options, &Range<usize>)> = Vec::new();
        for (index, inputs) in order {
            let Named { name: component, at, .. } = &named[index];
            places.push((options_of(builds[index].as_ref()), at));
            let location = |input: &usize| match &components[*input].as_ref()?.built {
                Built::Sink(sink) => sink.location(),
                _ => None,
            };
            let context = context(component, inputs.iter().filter_map(location).collect());
            let built = builds[index].take().and_then(|read| build(read, context, inputs, at, &mut slips));
            components.push(built);
        }
        let dead_letter_options = options_of(dead_letter.as_ref());
        let dead_letter = dead_letter.and_then(|read| {
            let context = BuildContext { is_dead_letter: true, ..context(DEAD_LETTER, Vec::new()) };
            build(read, context, Vec::new(), &(0..0), &mut slips)
        });
        if let Some(error) = dead_letter.as_ref().and_then(transaction::refuse) {
            slips.push(slip(&error, &dead_letter_options, &(0..0)));
        }
        if let Some(Component { built: Built::Sink(sink), plugin, .. }) = &dead_letter
            && !sink.keeps_records()
        {
            slips.push(Diagnostic::of_file(format!(
                "`[dead_letter]`: `{plugin}` stores nothing, so what is rejected would be lost; \
                 `file` keeps it, `console` shows it"
            )));
        }
        if !slips.is_empty() {
            return Err(slips);
        }
        let mut components: Vec<Component> = components.into_iter().flatten().collect();
        let unjoined = transaction::join(&mut components);
        if !unjoined.is_empty() {
            let slip = |(sink, error): &(usize, Error)| slip(error, &places[*sink].0, places[*sink].1);
            return Err(unjoined.iter().map(slip).collect());
        }
        let data_dir = data_dir(surroundings, top.data_dir.as_deref(), &folder, &name);
        Ok(Pipeline {
            name,
            file: path.to_owned(),
            data_dir: data_dir.map_err(|message| vec![Diagnostic::of_file(message)])?,
            batch,
            retry,
            components,
            dead_letter,
        })
    }
}

fn build(
    read: Read,
    context: BuildContext,
    inputs: Vec<usize>,
    at: &Range<usize>,
    slips: &mut Vec<Diagnostic>,
) -> Option<Component> {
    let gauges = Arc::clone(&context.gauges);
    match (read.build)(&context) {
        Ok(built) => Some(Component {
            name: context.component,
            plugin: read.plugin,
            inputs,
            built,
            gauges,
            counters: Arc::new(Counters::default()),
        }),
        Err(error) => {
            slips.push(slip(&error, &read.options, at));
            None
        }
    }
}

/// The options of a component and where they stand.
type Options = Vec<(String, Range<usize>)>;

fn options_of(read: Option<&Read>) -> Options {
    read.map(|read| read.options.clone()).unwrap_or_default()
}

/// Shows an error about an option where the option stands, any other at the component.
fn slip(error: &Error, options: &Options, at: &Range<usize>) -> Diagnostic {
    match error.downcast_ref::<OptionError>() {
        Some(OptionError { option, message }) => {
            let first = option.split('.').next().unwrap_or(option);
            let place = options.iter().find(|(name, _)| name == first);
            let at = place.map_or(at.clone(), |(_, span)| span.clone());
            Diagnostic::new(format!("`{option}`: {message}"), at, "here")
        }
        None => Diagnostic::new(format!("{error:#}"), at.clone(), "in this component"),
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
