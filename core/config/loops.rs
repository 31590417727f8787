//! Finds loops through an external system: a sink writes to a place that a source before it reads.

use anyhow::Error;

use crate::error::OptionError;
use crate::pipeline::Component;
use crate::plugin::Built;
use crate::sink::{Sink, Written};

/// A sink, and a source that reads what it writes.
struct ReadBack {
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
    let mut read_backs: Vec<ReadBack> = Vec::new();
    for (sink, component) in components.iter().enumerate() {
        let Some(written) = component.sink().and_then(Sink::written) else { continue };
        for (source, why) in readers(components.iter(), &written) {
            read_backs.push(ReadBack { sink, source, written: written.clone(), why });
        }
    }
    let passes_all = |component: &Component| match &component.built {
        Built::Transform(transform) => transform.filter_reason().is_empty(),
        Built::Source(_) | Built::Sink(_) => true,
    };
    let found = read_backs.iter().filter(|it| reaches(components, &read_backs, it, |_| true)).map(|read_back| {
        let is_endless = reaches(components, &read_backs, read_back, passes_all);
        let (name, read) = (&components[read_back.source].name, &read_back.why);
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
        Loop { sink: read_back.sink, why: OptionError::new(read_back.written.option, message), is_endless }
    });
    found.collect()
}

/// Why dead letters cannot be stored where they are to be: a source of the pipeline would read them.
pub(super) fn refuse<'a>(
    dead_letter: &Component,
    components: impl Iterator<Item = &'a Component> + Clone,
) -> Option<Error> {
    let written = dead_letter.sink()?.written()?;
    let (source, why) = readers(components.clone(), &written).into_iter().next()?;
    let name = &components.clone().nth(source)?.name;
    let message = format!(
        "source `{name}` would read the dead letters ({why}), and a letter that is rejected would become a letter in a \
         letter, again and again. Write them to a name that the source does not read"
    );
    Some(OptionError::new(written.option, message))
}

/// The sources that read what is written there, and why.
fn readers<'a>(components: impl Iterator<Item = &'a Component>, written: &Written) -> Vec<(usize, String)> {
    let reader = |(index, component): (usize, &Component)| match &component.built {
        Built::Source(source) => Some((index, source.reads(written)?)),
        Built::Transform(_) | Built::Sink(_) => None,
    };
    components.enumerate().filter_map(reader).collect()
}

/// Whether records of the source of `read_back` reach its sink through components that pass them, also through what other
/// sinks write and sources read.
fn reaches(
    components: &[Component],
    read_backs: &[ReadBack],
    read_back: &ReadBack,
    passes: impl Fn(&Component) -> bool,
) -> bool {
    let mut is_reached = vec![false; components.len()];
    is_reached[read_back.source] = true;
    loop {
        let takes = |at: usize| {
            let from_inputs =
                passes(&components[at]) && components[at].inputs.iter().any(|&input| is_reached[input]);
            from_inputs || read_backs.iter().any(|it| it.source == at && is_reached[it.sink])
        };
        let more: Vec<usize> = (0..components.len()).filter(|&at| !is_reached[at] && takes(at)).collect();
        if more.is_empty() {
            return is_reached[read_back.sink];
        }
        for at in more {
            is_reached[at] = true;
        }
    }
}
