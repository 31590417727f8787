//! Connects crawlers with the sinks whose objects they make tables of.

use anyhow::Error;

use crate::error::OptionError;
use crate::pipeline::Component;
use crate::plugin::Built;
use crate::sink::CrawlerDefinition;

/// Tells every sink whose objects a crawler makes a table of. Returns the sinks that cannot be part of
/// a table, the crawlers that two sinks describe differently, and why.
pub(super) fn connect(components: &mut [Component]) -> Vec<(usize, Error)> {
    let mut errors = Vec::new();
    let crawlers: Vec<(usize, CrawlerDefinition)> =
        components.iter().enumerate().filter_map(|(index, it)| Some((index, it.crawler()?))).collect();
    for (place, (index, crawler)) in crawlers.iter().enumerate() {
        let mut before = crawlers[..place].iter();
        if let Some((other, theirs)) = before.find(|(_, other)| crawler.conflicts_with(other)) {
            let message = format!(
                "sink `{}` describes the same crawler with other settings ({}, here {}): give each sink a crawler \
                 of its own",
                components[*other].name, theirs.settings, crawler.settings
            );
            errors.push((*index, OptionError::new(crawler.option, message)));
            continue;
        }
        let inputs = components[*index].inputs.clone();
        for (at, component) in components.iter_mut().enumerate() {
            let Built::Sink(sink) = &mut component.built else { continue };
            let is_inside = sink.location().is_some_and(|location| location.starts_with(&crawler.target));
            if at != *index
                && (is_inside || inputs.contains(&at))
                && let Err(error) = sink.set_crawled(&crawler.target)
            {
                errors.push((at, error));
            }
        }
    }
    errors
}

/// Why dead letters cannot be stored where they are to be: a crawler would add them to its table.
pub(super) fn refuse<'a>(
    dead_letter: &Component,
    mut components: impl Iterator<Item = &'a Component>,
) -> Option<Error> {
    let location = dead_letter.sink()?.location()?;
    components.find_map(|component| {
        let crawler = component.crawler().filter(|it| location.starts_with(&it.target))?;
        let message = format!(
            "dead letters would become rows of the table that sink `{}` makes of {}: store them outside of that folder",
            component.name, crawler.target
        );
        Some(OptionError::new("key", message))
    })
}
