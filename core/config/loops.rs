//! Finds loops through an external system: a sink writes to a place that a source before it reads.

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

/// A sink whose records come back to it.
pub(super) struct Loop {
    pub(super) sink: usize,
    pub(super) why: Error,
    /// No transform on the way filters records, so each comes back.
    pub(super) is_endless: bool,
}

/// The sinks whose records come back to them, and why.
pub(super) fn find(components: &[Component]) -> Vec<Loop> {
    let mut ways: Vec<Back> = Vec::new();
    for (sink, component) in components.iter().enumerate() {
        let Some(written) = written(component) else { continue };
        for (source, why) in readers(components.iter(), &written) {
            ways.push(Back { sink, source, written: written.clone(), why });
        }
    }
    let passes_all = |component: &Component| match &component.built {
        Built::Transform(transform) => transform.filter_reason().is_empty(),
        Built::Source(_) | Built::Sink(_) => true,
    };
    let found = ways.iter().filter(|way| reaches(components, &ways, way, |_| true)).map(|way| {
        let is_endless = reaches(components, &ways, way, passes_all);
        let (name, read) = (&components[way.source].name, &way.why);
        let message = if is_endless {
            format!(
                "source `{name}` reads what this sink writes ({read}), and its records reach this sink: each would be \
                 written again and again. Write to a name that the source does not read"
            )
        } else {
            format!(
                "source `{name}` reads what this sink writes ({read}): a record that no transform in between filters is \
                 written again and again"
            )
        };
        Loop { sink: way.sink, why: OptionError::new(way.written.option, message), is_endless }
    });
    found.collect()
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

/// Whether records of the source of `way` reach its sink through components that pass them, also through what other
/// sinks write and sources read.
fn reaches(components: &[Component], ways: &[Back], way: &Back, passes: impl Fn(&Component) -> bool) -> bool {
    let mut is_reached = vec![false; components.len()];
    is_reached[way.source] = true;
    loop {
        let takes = |at: usize| {
            let from_inputs =
                passes(&components[at]) && components[at].inputs.iter().any(|&input| is_reached[input]);
            from_inputs || ways.iter().any(|way| way.source == at && is_reached[way.sink])
        };
        let more: Vec<usize> = (0..components.len()).filter(|&at| !is_reached[at] && takes(at)).collect();
        if more.is_empty() {
            return is_reached[way.sink];
        }
        for at in more {
            is_reached[at] = true;
        }
    }
}
