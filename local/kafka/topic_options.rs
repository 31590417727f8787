//! The options of topics, which are stored and have no effect.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest as AlterConfigsRequest,
    IncrementalAlterConfigsResponse as AlterConfigsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::store::{Result, State, Store, Topic, code};

/// The type of a resource that is a topic.
const TOPIC: i8 = 2;
/// The source of an option that was set for a topic.
const SET_FOR_TOPIC: i8 = 1;
/// The type of an option that is a text.
const TEXT: i8 = 2;
/// The operation that sets an option.
const SET: i8 = 0;

impl Store {
    /// Only the options that were set; the broker itself has none.
    pub(super) fn describe_options(&self, ask: DescribeConfigsRequest) -> DescribeConfigsResponse {
        let mut state = self.lock();
        let results = ask.resources.into_iter().map(|ask| {
            let found = match ask.resource_type {
                TOPIC => state.topic(&ask.resource_name).map(|topic| described(&ask, topic)),
                _ => Ok(Vec::new()),
            };
            DescribeConfigsResult::default()
                .with_error_code(code(&found))
                .with_resource_type(ask.resource_type)
                .with_resource_name(ask.resource_name)
                .with_configs(found.unwrap_or_default())
        });
        DescribeConfigsResponse::default().with_results(results.collect())
    }

    pub(super) fn alter_options(&self, ask: AlterConfigsRequest) -> AlterConfigsResponse {
        let mut state = self.lock();
        let responses = ask.resources.into_iter().map(|resource| {
            let altered = if ask.validate_only { Ok(()) } else { state.alter(&resource) };
            AlterConfigsResourceResponse::default()
                .with_error_code(code(&altered))
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
        });
        AlterConfigsResponse::default().with_responses(responses.collect())
    }
}

impl State {
    fn topic(&mut self, name: &StrBytes) -> Result<&mut Topic> {
        self.topics.get_mut(&TopicName(name.clone())).ok_or(ResponseError::UnknownTopicOrPartition)
    }

    fn alter(&mut self, ask: &AlterConfigsResource) -> Result<()> {
        if ask.resource_type != TOPIC {
            return Err(ResponseError::InvalidRequest);
        }
        let topic = self.topic(&ask.resource_name)?;
        for option in &ask.configs {
            match &option.value {
                Some(value) if option.config_operation == SET => {
                    topic.options.insert(option.name.to_string(), value.to_string())
                }
                _ => topic.options.remove(option.name.as_str()),
            };
        }
        Ok(())
    }
}

fn described(ask: &DescribeConfigsResource, topic: &Topic) -> Vec<DescribeConfigsResourceResult> {
    let names = ask.configuration_keys.as_deref().filter(|names| !names.is_empty());
    let is_wanted = |name: &str| names.is_none_or(|names| names.iter().any(|wanted| wanted.as_str() == name));
    let options = topic.options.iter().filter(|(name, _)| is_wanted(name)).map(|(name, value)| {
        DescribeConfigsResourceResult::default()
            .with_name(name.clone().into())
            .with_value(Some(value.clone().into()))
            .with_config_source(SET_FOR_TOPIC)
            .with_config_type(TEXT)
    });
    options.collect()
}
