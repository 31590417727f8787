//! Topics, and the one broker of the cluster.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreateTopicsRequest};
use kafka_protocol::messages::create_topics_response::{CreatableTopicResult, CreateTopicsResponse};
use kafka_protocol::messages::delete_topics_request::{DeleteTopicState, DeleteTopicsRequest};
use kafka_protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use kafka_protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use kafka_protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};
use kafka_protocol::messages::metadata_request::{MetadataRequest, MetadataRequestTopic};
use kafka_protocol::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::log::Log;
use super::store::{Result, State, Store, Topic, code};

const CLUSTER: StrBytes = StrBytes::from_static_str("runner-local");
const NODE: BrokerId = BrokerId(1);

impl Store {
    pub(super) fn metadata(&self, ask: MetadataRequest) -> MetadataResponse {
        let state = self.lock();
        let topics = match ask.topics {
            None => state.topics.iter().map(|(name, topic)| described(name, topic)).collect(),
            Some(asked) => asked.into_iter().map(|topic| state.described(topic)).collect(),
        };
        let (host, port) = self.host_and_port();
        let broker = MetadataResponseBroker::default().with_node_id(NODE).with_host(host).with_port(port);
        MetadataResponse::default()
            .with_brokers(vec![broker])
            .with_cluster_id(Some(CLUSTER))
            .with_controller_id(NODE)
            .with_topics(topics)
    }

    /// The broker coordinates all groups and transactions.
    pub(super) fn find_coordinator(&self, ask: FindCoordinatorRequest) -> FindCoordinatorResponse {
        let (host, port) = self.host_and_port();
        let response = FindCoordinatorResponse::default();
        if ask.coordinator_keys.is_empty() {
            // The first versions of the request are about one group.
            return response.with_node_id(NODE).with_host(host).with_port(port);
        }
        let node = Coordinator::default().with_node_id(NODE).with_host(host).with_port(port);
        let coordinators = ask.coordinator_keys.into_iter().map(|key| node.clone().with_key(key));
        response.with_coordinators(coordinators.collect())
    }

    pub(super) fn create_topics(&self, ask: CreateTopicsRequest) -> CreateTopicsResponse {
        let mut state = self.lock();
        let results = ask.topics.into_iter().map(|topic| {
            let result = CreatableTopicResult::default().with_name(topic.name.clone());
            match state.create_topic(topic, ask.validate_only) {
                Ok((id, n_partitions)) => result
                    .with_topic_id(id)
                    .with_num_partitions(i32::try_from(n_partitions).unwrap_or(i32::MAX))
                    .with_replication_factor(1),
                Err(error) => {
                    result.with_error_code(error.code()).with_error_message(Some(error.to_string().into()))
                }
            }
        });
        CreateTopicsResponse::default().with_topics(results.collect())
    }

    pub(super) fn delete_topics(&self, ask: DeleteTopicsRequest) -> DeleteTopicsResponse {
        let mut state = self.lock();
        let named = ask.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
        let responses = named.chain(ask.topics).map(|topic| {
            let found = state.find(topic.name.as_ref(), topic.topic_id);
            let deleted = found.map(|name| state.delete_topic(&name));
            DeletableTopicResult::default()
                .with_name(topic.name)
                .with_topic_id(topic.topic_id)
                .with_error_code(code(&deleted))
        });
        DeleteTopicsResponse::default().with_responses(responses.collect())
    }

    fn host_and_port(&self) -> (StrBytes, i32) {
        (self.address.ip().to_string().into(), self.address.port().into())
    }
}

impl State {
    /// The name of a topic that is given by its name or its id.
    fn find(&self, name: Option<&TopicName>, id: Uuid) -> Result<TopicName> {
        let (found, missing) = match name {
            Some(name) => (self.topics.get_key_value(name), ResponseError::UnknownTopicOrPartition),
            None => (self.topics.iter().find(|(_, topic)| topic.id == id), ResponseError::UnknownTopicId),
        };
        found.map(|(name, _)| name.clone()).ok_or(missing)
    }

    fn described(&self, ask: MetadataRequestTopic) -> MetadataResponseTopic {
        match self.find(ask.name.as_ref(), ask.topic_id) {
            Ok(name) => described(&name, &self.topics[&name]),
            Err(error) => MetadataResponseTopic::default()
                .with_name(ask.name)
                .with_topic_id(ask.topic_id)
                .with_error_code(error.code()),
        }
    }

    /// Checks what Apache Kafka checks; returns the id of the topic and the number of its partitions.
    fn create_topic(&mut self, ask: CreatableTopic, is_check: bool) -> Result<(Uuid, usize)> {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name = ask.name.as_str();
        if matches!(name, "" | "." | "..") || name.len() > 249 || !name.chars().all(is_allowed) {
            return Err(ResponseError::InvalidTopicException);
        }
        if self.topics.contains_key(&ask.name) {
            return Err(ResponseError::TopicAlreadyExists);
        }
        // The metrics of Kafka have `_` for `.`.
        let plain = |name: &str| name.replace('.', "_");
        if self.topics.keys().any(|other| plain(other) == plain(name)) {
            return Err(ResponseError::InvalidTopicException);
        }
        let n_partitions = match (ask.assignments.len(), ask.num_partitions) {
            (0, -1) => 1,
            (0, n) => usize::try_from(n).unwrap_or(0),
            (n, _) => n,
        };
        if n_partitions == 0 {
            return Err(ResponseError::InvalidPartitions);
        }
        if ask.assignments.is_empty() && !matches!(ask.replication_factor, -1 | 1) {
            return Err(ResponseError::InvalidReplicationFactor);
        }
        let id = Uuid::new_v4();
        if !is_check {
            let partitions = (0..n_partitions).map(|_| Log::default()).collect();
            let options = ask.configs.into_iter();
            let options =
                options.filter_map(|it| Some((it.name.to_string(), it.value?.to_string()))).collect();
            self.topics.insert(ask.name, Topic { id, partitions, options });
        }
        Ok((id, n_partitions))
    }

    /// Groups lose the offsets that they have committed in the topic.
    fn delete_topic(&mut self, name: &TopicName) {
        self.topics.remove(name);
        for offsets in self.offsets.values_mut() {
            offsets.retain(|(topic, _), _| topic != name);
        }
        for transaction in self.transactions.values_mut() {
            transaction.forget(name);
        }
    }
}

fn described(name: &TopicName, topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..).zip(&topic.partitions).map(|(number, _)| {
        MetadataResponsePartition::default()
            .with_partition_index(number)
            .with_leader_id(NODE)
            .with_leader_epoch(0)
            .with_replica_nodes(vec![NODE])
            .with_isr_nodes(vec![NODE])
    });
    MetadataResponseTopic::default()
        .with_name(Some(name.clone()))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}
