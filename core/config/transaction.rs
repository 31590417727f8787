//! Connects sinks that write in transactions with the sources whose positions these hold.

use anyhow::{Error, anyhow};

use crate::error::OptionError;
use crate::pipeline::Component;
use crate::plugin::{Built, Kind};
use crate::transaction::TransactionalSink;

/// Connects every sink that writes in transactions with its source. Returns the sinks for which
/// that is not possible, and why.
pub(super) fn join(components: &mut [Component]) -> Vec<(usize, Error)> {
    let mut errors = Vec::new();
    for sink in 0..components.len() {
        let Some((option, handle)) = transactional(&components[sink]).map(|it| (it.option(), it.handle()))
        else {
            continue;
        };
        let joined = only_source(components, sink).and_then(|source| {
            let Component { name, built: Built::Source(source), .. } = &mut components[source] else {
                unreachable!("just found to be a source")
            };
            match source.transactional() {
                Some(source) => source.join(handle).map_err(|why| anyhow!("source `{name}`: {why:#}")),
                None => Err(anyhow!("source `{name}` cannot commit its position in a transaction")),
            }
        });
        if let Err(why) = joined {
            errors.push((sink, OptionError::new(option, format!("{why:#}"))));
        }
    }
    errors
}

/// Why dead letters cannot be written in transactions, if they are to be.
pub(super) fn refuse(dead_letter: &Component) -> Option<Error> {
    let message = "dead letters are delivered at least once: they do not come from one source";
    transactional(dead_letter).map(|it| OptionError::new(it.option(), message))
}

fn transactional(component: &Component) -> Option<&dyn TransactionalSink> {
    component.sink()?.transactional()
}

/// The source whose records all end in `sink` and nowhere else.
fn only_source(components: &[Component], sink: usize) -> Result<usize, Error> {
    const APART: &str = "exactly-once delivery needs a pipeline of its own";
    let takes = |from: usize| components.iter().enumerate().filter(move |(_, it)| it.inputs.contains(&from));
    if let Some((_, behind)) = takes(sink).next() {
        return Err(anyhow!(
            "`{}` takes its input from this sink and would receive records that are not committed yet: {APART}",
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
                "`{from}` also feeds `{}`, whose failure would keep the transactions open: {APART}",
                other.name
            ));
        }
        match components[input].kind() {
            Kind::Source => return Ok(input),
            Kind::Transform => at = input,
            Kind::Sink => {
                return Err(anyhow!(
                    "it takes its input from sink `{from}`, which writes outside of the transaction: {APART}"
                ));
            }
        }
    }
}
