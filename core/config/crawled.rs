//! Connects crawlers with the sinks whose objects they make tables of.

use anyhow::Error;

use crate::error::OptionError;
use crate::pipeline::Component;
use crate::plugin::Built;
use crate::sink::{CrawlerDefinition, Sink};

/// A crawler of the file: the name of its sink, and what it is.
pub(super) struct Defined {
    sink: String,
    definition: CrawlerDefinition,
}

/// The crawlers among the components.
pub(super) fn definitions<'a>(components: impl Iterator<Item = &'a Component>) -> Vec<Defined> {
    let crawler = |component: &Component| {
        let definition = sink_of(component)?.crawler()?.definition();
        Some(Defined { sink: component.name.clone(), definition })
    };
    components.filter_map(crawler).collect()
}

/// Tells every sink whose objects a crawler makes a table of. Returns the sinks that cannot be part of
/// a table, the crawlers that two sinks describe differently, and why.
pub(super) fn connect(components: &mut [Component]) -> Vec<(usize, Error)> {
    let mut errors = Vec::new();
    let crawler = |component: &Component| Some(sink_of(component)?.crawler()?.definition());
    let crawlers: Vec<(usize, CrawlerDefinition)> =
        components.iter().enumerate().filter_map(|(index, it)| Some((index, crawler(it)?))).collect();
    for (place, (index, crawler)) in crawlers.iter().enumerate() {
        let is_other =
            |other: &CrawlerDefinition| other.id == crawler.id && other.settings != crawler.settings;
        if let Some((other, theirs)) = crawlers[..place].iter().find(|(_, other)| is_other(other)) {
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
pub(super) fn refuse(dead_letter: &Component, crawlers: &[Defined]) -> Option<Error> {
    let location = sink_of(dead_letter)?.location()?;
    let crawler = crawlers.iter().find(|it| location.starts_with(&it.definition.target))?;
    let message = format!(
        "dead letters would become rows of the table that sink `{}` makes of {}: store them outside of that folder",
        crawler.sink, crawler.definition.target
    );
    Some(OptionError::new("key", message))
}

fn sink_of(component: &Component) -> Option<&dyn Sink> {
    match &component.built {
        Built::Sink(sink) => Some(&**sink),
        Built::Source(_) | Built::Transform(_) => None,
    }
}
