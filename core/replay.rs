//! A replay runs the part of a pipeline that dead letters have to pass again.

use std::sync::Arc;

use anyhow::{Result, bail};

use crate::pipeline::{Component, DEAD_LETTER, Pipeline};
use crate::plugin::Built;
use crate::progress::{Counters, Gauges};
use crate::sink::Sink;
use crate::source::Source;

impl Pipeline {
    /// Gives components sources of their own in place of their inputs, and drops everything that
    /// is not one of these components or after one. What is rejected goes to `dead_letter`. It is
    /// an error if a sink remains whose transactions hold the position of a source.
    pub fn with_replay_sources(
        self,
        feeds: Vec<(String, Box<dyn Source>)>,
        dead_letter: Box<dyn Sink>,
    ) -> Result<Pipeline> {
        let mut feeds = feeds;
        let mut components: Vec<Component> = Vec::new();
        // The new place of a component, if it remains.
        let mut places: Vec<Option<usize>> = Vec::new();
        for mut component in self.components {
            let inputs = component.inputs.iter().zip(component.input_outputs);
            (component.inputs, component.input_outputs) =
                inputs.filter_map(|(input, output)| Some((places[*input]?, output))).unzip();
            let feed = feeds.iter().position(|(name, _)| *name == component.name);
            if let Some((name, source)) = feed.map(|index| feeds.swap_remove(index)) {
                component.inputs.push(components.len());
                component.input_outputs.push(0);
                components.push(new(format!("dead letters for {name}"), Built::Source(source)));
            }
            let is_left = !component.inputs.is_empty();
            if let Built::Sink(sink) = &component.built
                && let Some(transactional) = sink.transactional().filter(|_| is_left)
            {
                bail!(
                    "sink `{}` writes in transactions that hold the position of its source, but dead letters have \
                     no such position: replay them with a copy of the file without its option `{}`",
                    component.name,
                    transactional.option()
                );
            }
            places.push(is_left.then_some(components.len()));
            if is_left {
                components.push(component);
            }
        }
        let dead_letter = new(DEAD_LETTER.into(), Built::Sink(dead_letter));
        let dead_letter = Some(Component { is_dead_letter: true, ..dead_letter });
        Ok(Pipeline { components, dead_letter, ..self })
    }
}

fn new(name: String, built: Built) -> Component {
    Component {
        name,
        plugin: "dlq",
        inputs: Vec::new(),
        input_outputs: Vec::new(),
        built,
        gauges: Arc::new(Gauges::default()),
        counters: Arc::new(Counters::default()),
        is_dead_letter: false,
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::batch::Batch;
    use crate::checkpoint::Checkpoints;
    use crate::config::test_plugins::Nothing;
    use crate::pipeline_options::{BatchLimits, RetryLimits};
    use crate::sink::WriteError;
    use crate::transaction::TransactionalSink;

    /// `stocks -> (lake -> crawl, file)`
    fn pipeline() -> Pipeline {
        let component = |name: &str, inputs: &[usize]| {
            let built = match inputs {
                [] => Built::Source(Box::new(Nothing)),
                _ => Built::Sink(Box::new(Nothing)),
            };
            let input_outputs = vec![0; inputs.len()];
            Component { inputs: inputs.to_vec(), input_outputs, ..new(name.into(), built) }
        };
        Pipeline {
            name: "p".into(),
            file: "p.toml".into(),
            state: std::path::Path::new("p").into(),
            warnings: None,
            batch: BatchLimits::default(),
            retry: RetryLimits::default(),
            components: vec![
                component("stocks", &[]),
                component("lake", &[0]),
                component("crawl", &[1]),
                component("file", &[0]),
            ],
            dead_letter: None,
            checkpoints: Checkpoints::Saved,
            stores_nothing: false,
            tests: Vec::new(),
        }
    }

    /// What remains of it when these are replayed, with their inputs.
    fn replayed(names: &[&str]) -> Vec<String> {
        let feed = |name: &&str| -> (String, Box<dyn Source>) { ((*name).to_owned(), Box::new(Nothing)) };
        let left =
            pipeline().with_replay_sources(names.iter().map(feed).collect(), Box::new(Nothing)).unwrap();
        left.components.iter().map(|it| format!("{} {:?}", it.name, it.inputs)).collect()
    }

    #[test]
    fn replay_keeps_only_what_is_downstream() {
        assert_eq!(replayed(&["lake"]), ["dead letters for lake []", "lake [0]", "crawl [1]"]);
        assert_eq!(replayed(&["file"]), ["dead letters for file []", "file [0]"]);
    }

    struct InTransactions;

    #[async_trait]
    impl Sink for InTransactions {
        async fn write(&self, _: &Batch) -> Result<(), WriteError> {
            Ok(())
        }

        fn transactional(&self) -> Option<&dyn TransactionalSink> {
            Some(self)
        }
    }

    impl TransactionalSink for InTransactions {
        fn option(&self) -> &'static str {
            "delivery"
        }

        fn handle(&self) -> Arc<dyn std::any::Any + Send + Sync> {
            Arc::new(())
        }
    }

    #[test]
    fn replay_refuses_a_sink_with_transactions() {
        let mut pipeline = pipeline();
        pipeline.components[3].built = Built::Sink(Box::new(InTransactions));
        let feeds = |name: &str| vec![(name.to_owned(), Box::new(Nothing) as Box<dyn Source>)];
        let refused = pipeline.with_replay_sources(feeds("file"), Box::new(Nothing)).err().unwrap();
        assert!(refused.to_string().contains("`delivery`"), "{refused}");
    }

    #[test]
    fn replay_into_two_components_of_a_path_feeds_both() {
        let left = ["dead letters for lake []", "lake [0]", "dead letters for crawl []", "crawl [1, 2]"];
        assert_eq!(replayed(&["crawl", "lake"]), left);
    }
}
