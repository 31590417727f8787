//! Refuses pipelines whose records come back: a sink writes to what a source before it reads.

use anyhow::Error;

use crate::error::OptionError;
use crate::pipeline::Component;
use crate::plugin::Built;
use crate::sink::Written;

/// A sink, and a source that reads what it writes.
struct Back {
    sink: usize,
    source: usize,
    written: Written,
    /// What makes the source read it.
    why: String,
}

/// The sinks whose records would reach them again and again, and why.
pub(super) fn find(components: &[Component]) -> Vec<(usize, Error)> {
    let mut ways: Vec<Back> = Vec::new();
    for (sink, component) in components.iter().enumerate() {
        let Some(written) = written(component) else { continue };
        for (source, why) in readers(components.iter(), &written) {
            ways.push(Back { sink, source, written: written.clone(), why });
        }
    }
    let is_loop = |way: &&Back| reaches(components, &ways, way.source, way.sink);
    let refused = ways.iter().filter(is_loop).map(|way| {
        let message = format!(
            "source `{}` reads what this sink writes ({}), and its records reach this sink: each would be written again \
             and again. Write to a name that the source does not read",
            components[way.source].name, way.why
        );
        (way.sink, OptionError::new(way.written.option, message))
    });
    refused.collect()
}

/// Why dead letters cannot be stored where they are to be: a source of the pipeline would read them.
pub(super) fn refuse<'a>(
    dead_letter: &Component,
    components: impl Iterator<Item = &'a Component> + Clone,
) -> Option<Error> {
    let written = written(dead_letter)?;
    let (source, why) = readers(components.clone(), &written).into_iter().next()?;
    let name = &components.clone().nth(source)?.name;
    let message = format!(
        "source `{name}` would read the dead letters ({why}), and a letter that is rejected would become a letter in a \
         letter, again and again. Write them to a name that the source does not read"
    );
    Some(OptionError::new(written.option, message))
}

fn written(component: &Component) -> Option<Written> {
    match &component.built {
        Built::Sink(sink) => sink.written(),
        Built::Source(_) | Built::Transform(_) => None,
    }
}

/// The sources that read what is written there, and why.
fn readers<'a>(components: impl Iterator<Item = &'a Component>, written: &Written) -> Vec<(usize, String)> {
    let reader = |(index, component): (usize, &Component)| match &component.built {
        Built::Source(source) => Some((index, source.reads(written)?)),
        Built::Transform(_) | Built::Sink(_) => None,
    };
    components.enumerate().filter_map(reader).collect()
}

/// Whether records of one component reach another one, also through what sinks write and sources read.
fn reaches(components: &[Component], ways: &[Back], from: usize, to: usize) -> bool {
    let mut is_reached = vec![false; components.len()];
    is_reached[from] = true;
    loop {
        let takes = |at: usize| {
            let from_inputs = components[at].inputs.iter().any(|&input| is_reached[input]);
            from_inputs || ways.iter().any(|way| way.source == at && is_reached[way.sink])
        };
        let more: Vec<usize> = (0..components.len()).filter(|&at| !is_reached[at] && takes(at)).collect();
        if more.is_empty() {
            return is_reached[to];
        }
        for at in more {
            is_reached[at] = true;
        }
    }
}
