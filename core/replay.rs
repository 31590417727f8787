//! A replay is what is left of a pipeline when dead letters take the place of its sources.

use std::sync::Arc;

use anyhow::{Result, bail};

use crate::pipeline::{Component, Pipeline};
use crate::plugin::Built;
use crate::progress::{Counters, Gauges};
use crate::sink::{Sink, Transaction};
use crate::source::Source;

impl Pipeline {
    /// Feeds components from sources of their own instead of from their inputs. Of the rest only
    /// what lies behind them is left; what is rejected goes to `dead_letter`. An error if that
    /// leaves a sink whose transactions are to hold the position of a source.
    pub fn with_replay_sources(
        self,
        feeds: Vec<(String, Box<dyn Source>)>,
        dead_letter: Box<dyn Sink>,
    ) -> Result<Pipeline> {
        let mut feeds = feeds;
        let mut components: Vec<Component> = Vec::new();
        // Where a component stands now, if it is left.
        let mut places: Vec<Option<usize>> = Vec::new();
        for mut component in self.components {
            component.inputs = component.inputs.iter().filter_map(|input| places[*input]).collect();
            let feed = feeds.iter().position(|(name, _)| *name == component.name);
            if let Some((name, source)) = feed.map(|index| feeds.swap_remove(index)) {
                component.inputs.push(components.len());
                components.push(new(format!("letters for {name}"), Built::Source(source)));
            }
            let is_left = !component.inputs.is_empty();
            if let Built::Sink(sink) = &component.built
                && let Some(Transaction { option, .. }) = sink.transaction().filter(|_| is_left)
            {
                bail!(
                    "sink `{}` writes in transactions that hold the position of its source, which dead letters \
                     do not have: replay them with a copy of the file in which its option `{option}` is left out",
                    component.name
                );
            }
            places.push(is_left.then_some(components.len()));
            if is_left {
                components.push(component);
            }
        }
        let dead_letter = Some(new(crate::config::DEAD_LETTER.into(), Built::Sink(dead_letter)));
        Ok(Pipeline { components, dead_letter, ..self })
    }
}

fn new(name: String, built: Built) -> Component {
    Component {
        name,
        plugin: "dlq",
        inputs: Vec::new(),
        built,
        gauges: Arc::new(Gauges::default()),
        counters: Arc::new(Counters::default()),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::batch::Batch;
    use crate::plugin::{BatchLimits, RetryLimits};
    use crate::record::Record;
    use crate::sink::WriteError;
    use crate::source::{ReadError, Start};

    struct Nothing;

    #[async_trait]
    impl Source for Nothing {
        fn identity(&self) -> String {
            String::new()
        }

        async fn open(&mut self, _: &Start) -> Result<()> {
            Ok(())
        }

        async fn next(&mut self) -> Result<Option<Batch>, ReadError> {
            Ok(None)
        }
    }

    #[async_trait]
    impl Sink for Nothing {
        async fn write(&self, _: &[Record]) -> Result<(), WriteError> {
            Ok(())
        }
    }

    /// `stocks -> (lake -> crawl, file)`
    fn pipeline() -> Pipeline {
        let component = |name: &str, inputs: &[usize]| {
            let built = match inputs {
                [] => Built::Source(Box::new(Nothing)),
                _ => Built::Sink(Box::new(Nothing)),
            };
            Component { inputs: inputs.to_vec(), ..new(name.into(), built) }
        };
        Pipeline {
            name: "p".into(),
            file: "p.toml".into(),
            data_dir: "p".into(),
            batch: BatchLimits::default(),
            retry: RetryLimits::default(),
            components: vec![
                component("stocks", &[]),
                component("lake", &[0]),
                component("crawl", &[1]),
                component("file", &[0]),
            ],
            dead_letter: None,
        }
    }

    /// What is left of it when these are fed, with their inputs.
    fn fed(names: &[&str]) -> Vec<String> {
        let feed = |name: &&str| -> (String, Box<dyn Source>) { ((*name).to_owned(), Box::new(Nothing)) };
        let left =
            pipeline().with_replay_sources(names.iter().map(feed).collect(), Box::new(Nothing)).unwrap();
        left.components.iter().map(|it| format!("{} {:?}", it.name, it.inputs)).collect()
    }

    #[test]
    fn what_does_not_lie_behind_a_fed_component_is_gone() {
        assert_eq!(fed(&["lake"]), ["letters for lake []", "lake [0]", "crawl [1]"]);
        assert_eq!(fed(&["file"]), ["letters for file []", "file [0]"]);
    }

    /// Writes what nobody would ever commit.
    struct InTransactions;

    #[async_trait]
    impl Sink for InTransactions {
        async fn write(&self, _: &[Record]) -> Result<(), WriteError> {
            Ok(())
        }

        fn transaction(&self) -> Option<Transaction> {
            Some(Transaction { option: "delivery", handle: Arc::new(()) })
        }
    }

    #[test]
    fn a_sink_with_transactions_is_not_fed() {
        let mut pipeline = pipeline();
        pipeline.components[3].built = Built::Sink(Box::new(InTransactions));
        let feeds = |name: &str| vec![(name.to_owned(), Box::new(Nothing) as Box<dyn Source>)];
        let refused = pipeline.with_replay_sources(feeds("file"), Box::new(Nothing)).err().unwrap();
        assert!(refused.to_string().contains("`delivery`"), "{refused}");
    }

    #[test]
    fn a_component_that_is_fed_behind_another_hears_both() {
        let left = ["letters for lake []", "lake [0]", "letters for crawl []", "crawl [1, 2]"];
        assert_eq!(fed(&["crawl", "lake"]), left);
    }
}
