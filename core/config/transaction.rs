//! Hands the transactions of sinks to the sources whose positions they are to hold.

use anyhow::{Error, anyhow};

use crate::error::OptionError;
use crate::pipeline::Component;
use crate::plugin::{Built, Kind};
use crate::sink::Transaction;

/// Joins every sink that writes in transactions with its source. Answers with
/// the sinks that cannot have one, and why.
pub(super) fn join(components: &mut [Component]) -> Vec<(usize, Error)> {
    let mut errors = Vec::new();
    for sink in 0..components.len() {
        let Some(Transaction { option, handle }) = transaction_of(&components[sink]) else { continue };
        let joined = only_source(components, sink).and_then(|source| {
            let Component { name, built: Built::Source(source), .. } = &mut components[source] else {
                unreachable!("just found to be a source")
            };
            source
                .join_transaction(handle)
                .map_err(|why| anyhow!("source `{name}` cannot be part of it: {why:#}"))
        });
        if let Err(why) = joined {
            errors.push((sink, OptionError::new(option, format!("{why:#}"))));
        }
    }
    errors
}

/// Why dead letters cannot be written in transactions, if they are to be.
pub(super) fn refuse(dead_letter: &Component) -> Option<Error> {
    let Transaction { option, .. } = transaction_of(dead_letter)?;
    Some(OptionError::new(
        option,
        "dead letters are written at least once: they come from no source of their own",
    ))
}

fn transaction_of(component: &Component) -> Option<Transaction> {
    match &component.built {
        Built::Sink(sink) => sink.transaction(),
        Built::Source(_) | Built::Transform(_) => None,
    }
}

/// The source whose records all end in `sink` and nowhere else.
fn only_source(components: &[Component], sink: usize) -> Result<usize, Error> {
    const APART: &str = "what has to be written exactly once needs a pipeline of its own";
    let takes = |from: usize| components.iter().enumerate().filter(move |(_, it)| it.inputs.contains(&from));
    if let Some((_, behind)) = takes(sink).next() {
        return Err(anyhow!(
            "`{}` takes its input from this sink and would be given records that are not committed yet: {APART}",
            behind.name
        ));
    }
    let mut at = sink;
    loop {
        let name = &components[at].name;
        let [input] = components[at].inputs[..] else {
            return Err(anyhow!(
                "`{name}` has several inputs, but a transaction holds the position of one source: {APART}"
            ));
        };
        let Component { name: from, .. } = &components[input];
        if let Some((_, other)) = takes(input).find(|(index, _)| *index != at) {
            return Err(anyhow!(
                "`{from}` feeds `{}` as well, whose failure would hold the transactions open: {APART}",
                other.name
            ));
        }
        match components[input].kind() {
            Kind::Source => return Ok(input),
            Kind::Transform => at = input,
            Kind::Sink => {
                return Err(anyhow!(
                    "it stands behind sink `{from}`, which writes outside of the transaction: {APART}"
                ));
            }
        }
    }
}
