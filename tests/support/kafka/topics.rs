//! Creating, filling and reading topics.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};

use super::Broker;
use crate::support::env::wait_until_ok;

/// A record in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub timestamp: Option<i64>,
}

impl StoredRecord {
    /// The payload as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.payload.as_deref().unwrap_or_default()).expect("a payload of text")
    }

    /// The last header of that name, as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().rev().find(|(header, _)| header == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);

impl Broker {
    /// A unique name for a topic or a group.
    pub fn name(&self, purpose: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        format!("{purpose}-{}-{number}", std::process::id())
    }

    /// Creates a topic with a unique name and returns the name.
    pub fn create_topic(&self, purpose: &str, partitions: i32) -> String {
        let name = self.name(purpose);
        self.create_topic_named(&name, partitions);
        name
    }

    /// Creates a topic with that name.
    pub fn create_topic_named(&self, name: &str, partitions: i32) {
        self.create(&NewTopic::new(name, partitions, TopicReplication::Fixed(1)));
    }

    /// Creates a topic of one partition with a setting and a unique name, and returns the name.
    pub fn create_topic_with(&self, purpose: &str, setting: &str, value: &str) -> String {
        let name = self.name(purpose);
        self.create(&NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set(setting, value));
        name
    }

    /// The value of a setting of a topic.
    pub fn setting(&self, topic: &str, name: &str) -> String {
        let topic = ResourceSpecifier::Topic(topic);
        let described = wait_for(self.admin().describe_configs([&topic], &AdminOptions::new()));
        let found = described.expect("asking for settings").remove(0).expect("the topic exists");
        found.get(name).and_then(|it| it.value.clone()).expect("the setting exists")
    }

    /// Creates a topic; false if it cannot be created now, for example while it is being deleted.
    pub fn try_create_topic(&self, name: &str, partitions: i32) -> bool {
        let new = [NewTopic::new(name, partitions, TopicReplication::Fixed(1))];
        let created = wait_for(self.admin().create_topics(&new, &AdminOptions::new()));
        created.expect("asking for a topic").remove(0).is_ok()
    }

    /// Adds partitions to a topic.
    pub fn add_partitions(&self, topic: &str, n_partitions: usize) {
        let wanted = [NewPartitions::new(topic, n_partitions)];
        let added = wait_for(self.admin().create_partitions(&wanted, &AdminOptions::new()));
        added.expect("asking for partitions").remove(0).expect("adding partitions");
        let client: BaseConsumer = self.client().create().expect("a client");
        let deadline = Instant::now() + TIMEOUT;
        while self.n_partitions(&client, topic) != n_partitions {
            assert!(Instant::now() < deadline, "the partitions of {topic} do not appear");
        }
    }

    fn create(&self, topic: &NewTopic<'_>) {
        let (name, partitions) = (topic.name, topic.num_partitions);
        let created = wait_for(self.admin().create_topics([topic], &AdminOptions::new()));
        let created = created.expect("asking for a topic").remove(0);
        created.expect("creating a topic");
        let client: BaseConsumer = self.client().create().expect("a client");
        let deadline = Instant::now() + TIMEOUT;
        while self.n_partitions(&client, name) != partitions as usize {
            assert!(Instant::now() < deadline, "the topic {name} does not appear");
        }
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, topic: &str) {
        let deleted = wait_for(self.admin().delete_topics(&[topic], &AdminOptions::new()));
        deleted.expect("asking for a deletion").remove(0).expect("deleting a topic");
    }

    /// The number of partitions of a topic; `None` if there is no such topic.
    pub fn partitions(&self, topic: &str) -> Option<usize> {
        let client: BaseConsumer = self.client().create().expect("a client");
        Some(self.n_partitions(&client, topic)).filter(|&n| n > 0)
    }

    fn n_partitions(&self, client: &BaseConsumer, topic: &str) -> usize {
        let metadata = client.fetch_metadata(Some(topic), TIMEOUT);
        let metadata = metadata.unwrap_or_else(|error| panic!("metadata of {}: {error}", self.bootstrap()));
        metadata.topics()[0].partitions().len()
    }

    /// Deletes the records before `offset`, as retention does.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).expect("an offset");
        let deleted = wait_for(self.admin().delete_records(&list, &AdminOptions::new()));
        deleted.expect("deleting records");
    }

    /// Writes payloads into one partition.
    pub fn produce<P: AsRef<[u8]>>(
        &self,
        topic: &str,
        partition: i32,
        payloads: impl IntoIterator<Item = P>,
    ) {
        let producer = self.producer();
        for payload in payloads {
            let record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(payload.as_ref());
            send(&producer, record);
        }
        producer.flush(TIMEOUT).expect("writing to the topic");
    }

    /// Writes one record with key, headers or timestamp.
    pub fn produce_record(&self, record: BaseRecord<'_, [u8], [u8]>) {
        self.produce_records([record]);
    }

    /// Writes records with keys, headers or timestamps.
    pub fn produce_records<'a>(&self, records: impl IntoIterator<Item = BaseRecord<'a, [u8], [u8]>>) {
        let producer = self.producer();
        for record in records {
            send(&producer, record);
        }
        producer.flush(TIMEOUT).expect("writing to the topic");
    }

    /// Writes payloads into partition 0 in one transaction, which is committed or aborted.
    pub fn produce_transaction(&self, topic: &str, payloads: &[&str], is_committed: bool) {
        let mut config = self.client();
        let producer: BaseProducer =
            config.set("transactional.id", self.name("transaction")).create().expect("a producer");
        producer.init_transactions(TIMEOUT).expect("preparing transactions");
        producer.begin_transaction().expect("beginning a transaction");
        for payload in payloads {
            send(&producer, BaseRecord::<(), [u8]>::to(topic).partition(0).payload(payload.as_bytes()));
        }
        producer.flush(TIMEOUT).expect("writing to the topic");
        let ended = if is_committed {
            producer.commit_transaction(TIMEOUT)
        } else {
            producer.abort_transaction(TIMEOUT)
        };
        ended.expect("ending the transaction");
    }

    /// The first and the end offset of a partition, for a `read_committed` consumer.
    pub fn watermarks(&self, topic: &str, partition: i32) -> (i64, i64) {
        let client: BaseConsumer = self.client().create().expect("a client");
        watermarks(&client, topic, partition)
    }

    /// Waits until every transaction in the topic has ended, at the latest by its timeout.
    pub fn wait_for_transactions(&self, topic: &str) {
        let reader = |isolation| -> BaseConsumer {
            self.client().set("isolation.level", isolation).create().expect("a client")
        };
        let (committed, all) = (reader("read_committed"), reader("read_uncommitted"));
        for partition in 0..self.n_partitions(&all, topic) as i32 {
            wait_until_ok(TIMEOUT * 4, || {
                let (stable, end) =
                    (watermarks(&committed, topic, partition), watermarks(&all, topic, partition));
                let what = || format!("the end of a transaction ({stable:?} of {end:?}; {})", self.log());
                (stable == end).then_some(()).ok_or_else(what)
            });
        }
    }

    fn producer(&self) -> BaseProducer {
        self.client().set("linger.ms", "1").create().expect("a producer")
    }

    /// All committed records of a topic, partition by partition.
    pub fn read_all(&self, topic: &str) -> Vec<StoredRecord> {
        self.read_isolated(topic, "read_committed")
    }

    /// All records of a topic, including those of aborted transactions.
    pub fn read_uncommitted(&self, topic: &str) -> Vec<StoredRecord> {
        self.read_isolated(topic, "read_uncommitted")
    }

    fn read_isolated(&self, topic: &str, isolation: &str) -> Vec<StoredRecord> {
        let mut config = self.client();
        config.set("group.id", "reads-all").set("isolation.level", isolation);
        let client: BaseConsumer = config.create().expect("a client");
        let mut ends = Vec::new();
        let mut list = TopicPartitionList::new();
        for partition in 0..self.n_partitions(&client, topic) as i32 {
            let (_, high) = watermarks(&client, topic, partition);
            list.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
            ends.push(high);
        }
        let is_at_end = |client: &BaseConsumer| {
            let positions = client.position().expect("the positions");
            let mut positions = positions.elements().into_iter();
            positions.all(|it| {
                let end = ends[it.partition() as usize];
                let is_read = matches!(it.offset(), Offset::Offset(offset) if offset >= end);
                is_read || end == 0
            })
        };
        client.assign(&list).expect("assigning the partitions");
        let deadline = Instant::now() + TIMEOUT * 4;
        let mut stored = Vec::new();
        while !is_at_end(&client) {
            assert!(Instant::now() < deadline, "reading {topic} takes too long");
            for _ in 0..1000 {
                let Some(message) = client.poll(Duration::from_millis(20)) else { break };
                let message = message.expect("reading the topic");
                let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
                stored.push(StoredRecord {
                    partition: message.partition(),
                    offset: message.offset(),
                    key: message.key().map(<[u8]>::to_vec),
                    payload: message.payload().map(<[u8]>::to_vec),
                    headers: headers.map(|it| (it.key.to_owned(), it.value.map(<[u8]>::to_vec))).collect(),
                    timestamp: message.timestamp().to_millis(),
                });
            }
        }
        stored.sort_by_key(|it| (it.partition, it.offset));
        stored
    }

    /// The committed offset of a group for each partition; `None` where there is none.
    pub fn committed(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        let client: BaseConsumer = self.client().set("group.id", group).create().expect("a client");
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, self.n_partitions(&client, topic) as i32 - 1);
        // A broker that has just started takes a moment to find the group coordinator, and
        // the offsets of a transaction are returned only after it has ended.
        let mut found = None;
        super::super::wait_until("the committed offsets", TIMEOUT * 2, || {
            let committed = client.committed_offsets(list.clone(), TIMEOUT).ok();
            let is_told = |it: &TopicPartitionList| it.elements().iter().all(|it| it.error().is_ok());
            found = committed.filter(is_told);
            found.is_some()
        });
        let committed = found.expect("just found");
        let offset = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
        committed.elements().into_iter().map(|it| offset(it.offset())).collect()
    }

    /// The number of live members of a group.
    pub fn n_members(&self, group: &str) -> usize {
        let client: BaseConsumer = self.client().create().expect("a client");
        let groups = client.fetch_group_list(Some(group), TIMEOUT).expect("the groups of the broker");
        groups.groups().first().map_or(0, |group| group.members().len())
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client")
    }
}

fn send(producer: &BaseProducer, record: BaseRecord<'_, impl rdkafka::message::ToBytes + ?Sized, [u8]>) {
    let mut record = Some(record);
    while let Some(waiting) = record.take() {
        match producer.send(waiting) {
            Ok(()) => {}
            Err((error, back)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                producer.poll(Duration::from_millis(1));
                record = Some(back);
            }
            Err((error, _)) => panic!("writing to the topic: {error}"),
        }
    }
}

fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(future)
}

/// Retries until the partition has a leader: a broker that has just started takes a moment.
fn watermarks(client: &BaseConsumer, topic: &str, partition: i32) -> (i64, i64) {
    let mut found = None;
    super::super::wait_until("a leader of the partition", TIMEOUT, || {
        found = client.fetch_watermarks(topic, partition, TIMEOUT).ok();
        found.is_some()
    });
    found.expect("just found")
}
