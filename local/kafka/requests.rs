//! Requests: which part of the broker answers which of Kafka's requests.

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsResponse, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Encodable as _, StrBytes, decode_request_header_from_buffer};

use super::groups::Groups;
use super::store::Store;

/// The size of the length in front of a request or a response.
const LENGTH: usize = 4;

/// The supported requests, and the last supported version of each.
const SUPPORTED: [(ApiKey, i16); 24] = [
    (ApiKey::AddOffsetsToTxn, 3),
    (ApiKey::AddPartitionsToTxn, 3),
    (ApiKey::ApiVersions, 4),
    (ApiKey::CreateTopics, 7),
    (ApiKey::DeleteGroups, 2),
    (ApiKey::DeleteTopics, 6),
    (ApiKey::DescribeConfigs, 4),
    (ApiKey::DescribeGroups, 5),
    (ApiKey::EndTxn, 3),
    // Later versions use the ids of topics.
    (ApiKey::Fetch, 12),
    (ApiKey::FindCoordinator, 6),
    (ApiKey::Heartbeat, 4),
    (ApiKey::IncrementalAlterConfigs, 1),
    (ApiKey::InitProducerId, 4),
    (ApiKey::JoinGroup, 9),
    (ApiKey::LeaveGroup, 5),
    (ApiKey::ListGroups, 5),
    // Later versions look for the record with the latest timestamp.
    (ApiKey::ListOffsets, 6),
    (ApiKey::Metadata, 13),
    (ApiKey::OffsetCommit, 9),
    // Later versions are about several groups.
    (ApiKey::OffsetFetch, 7),
    // Later versions add partitions to transactions by themselves.
    (ApiKey::Produce, 11),
    (ApiKey::SyncGroup, 5),
    (ApiKey::TxnOffsetCommit, 3),
];

/// Answers the requests of all connections.
#[derive(Clone)]
pub(super) struct Requests {
    store: Store,
    groups: Groups,
}

impl Requests {
    pub(super) fn new(store: Store, groups: Groups) -> Requests {
        Requests { store, groups }
    }

    /// Answers one request; both have their length in front. A record sent with `acks=0` gets no answer.
    pub(super) async fn answer(&self, mut request: Bytes) -> Result<Option<Bytes>> {
        if request.len() < 2 * LENGTH {
            bail!("a request of {} bytes", request.len());
        }
        request.advance(LENGTH);
        let header = decode_request_header_from_buffer(&mut request)?;
        let (key, version) = (header.request_api_key, header.request_api_version);
        let kind = ApiKey::try_from(key).ok().filter(|kind| SUPPORTED.iter().any(|(known, _)| known == kind));
        let kind = kind.with_context(|| format!("the embedded broker does not support the request {key}"))?;
        if kind == ApiKey::ApiVersions && version > kind.valid_versions().max {
            // The client asks again with a version of the answer.
            let body = versions().with_error_code(ResponseError::UnsupportedVersion.code());
            return respond(header.correlation_id, &body.into(), 0).map(Some);
        }
        let ask = RequestKind::decode(kind, &mut request, version)?;
        let is_silent = matches!(&ask, RequestKind::Produce(ask) if ask.acks == 0);
        let body = self.body(ask, header.client_id).await?;
        if is_silent { Ok(None) } else { respond(header.correlation_id, &body, version).map(Some) }
    }

    async fn body(&self, ask: RequestKind, client: Option<StrBytes>) -> Result<ResponseKind> {
        let (store, groups) = (&self.store, &self.groups);
        Ok(match ask {
            RequestKind::AddOffsetsToTxn(ask) => store.add_group(&ask).into(),
            RequestKind::AddPartitionsToTxn(ask) => store.add_partitions(ask).into(),
            RequestKind::ApiVersions(_) => versions().into(),
            RequestKind::CreateTopics(ask) => store.create_topics(ask).into(),
            RequestKind::DeleteGroups(ask) => groups.delete(ask).into(),
            RequestKind::DeleteTopics(ask) => store.delete_topics(ask).into(),
            RequestKind::DescribeConfigs(ask) => store.describe_options(ask).into(),
            RequestKind::DescribeGroups(ask) => groups.describe(ask).into(),
            RequestKind::EndTxn(ask) => store.end_transaction(&ask).into(),
            RequestKind::Fetch(ask) => store.fetch(ask).await.into(),
            RequestKind::FindCoordinator(ask) => store.find_coordinator(ask).into(),
            RequestKind::Heartbeat(ask) => groups.heartbeat(&ask).into(),
            RequestKind::IncrementalAlterConfigs(ask) => store.alter_options(ask).into(),
            RequestKind::InitProducerId(ask) => store.init_producer(ask).into(),
            RequestKind::JoinGroup(ask) => groups.join(ask, client).await.into(),
            RequestKind::LeaveGroup(ask) => groups.leave(&ask).into(),
            RequestKind::ListGroups(_) => groups.list().into(),
            RequestKind::ListOffsets(ask) => store.list_offsets(ask).into(),
            RequestKind::Metadata(ask) => store.metadata(ask).into(),
            RequestKind::OffsetCommit(ask) => groups.commit(ask).into(),
            RequestKind::OffsetFetch(ask) => groups.offsets(ask).into(),
            RequestKind::Produce(ask) => store.produce(ask).into(),
            RequestKind::SyncGroup(ask) => groups.sync(ask).await.into(),
            RequestKind::TxnOffsetCommit(ask) => groups.commit_in_transaction(ask).into(),
            other => bail!("the embedded broker does not support this request: {other:?}"),
        })
    }
}

fn respond(id: i32, body: &ResponseKind, version: i16) -> Result<Bytes> {
    let mut response = BytesMut::new();
    response.put_i32(0);
    ResponseHeader::default().with_correlation_id(id).encode(&mut response, body.header_version(version))?;
    body.encode(&mut response, version)?;
    let length = i32::try_from(response.len() - LENGTH)?;
    response[..LENGTH].copy_from_slice(&length.to_be_bytes());
    Ok(response.freeze())
}

/// The supported requests, without the features of a cluster: librdkafka 2.0 (Debian's kcat) cannot read them.
fn versions() -> ApiVersionsResponse {
    let known = SUPPORTED.iter().map(|(kind, max)| {
        let min = match kind {
            // Without it librdkafka does not compress records; Apache Kafka 4 states it too.
            ApiKey::Produce => 0,
            kind => kind.valid_versions().min,
        };
        ApiVersion::default().with_api_key(*kind as i16).with_min_version(min).with_max_version(*max)
    });
    ApiVersionsResponse::default().with_api_keys(known.collect())
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::RequestHeader;
    use kafka_protocol::messages::leave_group_request::MemberIdentity;
    use kafka_protocol::protocol::encode_request_header_into_buffer;

    use super::*;

    /// A request of a kind with nothing in it.
    fn empty(kind: ApiKey) -> RequestKind {
        macro_rules! empty {
            ($($kind:ident)*) => {
                match kind {
                    $(ApiKey::$kind => RequestKind::$kind(Default::default()),)*
                    other => panic!("{other:?} is not in this test"),
                }
            };
        }
        empty!(AddOffsetsToTxn AddPartitionsToTxn ApiVersions CreateTopics DeleteGroups DeleteTopics
            DescribeConfigs DescribeGroups EndTxn Fetch FindCoordinator Heartbeat IncrementalAlterConfigs InitProducerId
            JoinGroup LeaveGroup ListGroups ListOffsets Metadata OffsetCommit OffsetFetch Produce SyncGroup TxnOffsetCommit)
    }

    /// The library refuses to write a field that a version does not have.
    #[tokio::test]
    async fn every_version_of_a_request_is_answered() {
        let store = Store::new(([127, 0, 0, 1], 9092).into());
        let requests = Requests::new(store.clone(), Groups::new(store));
        for (kind, last) in SUPPORTED {
            for version in kind.valid_versions().min..=last {
                let mut ask = empty(kind);
                match &mut ask {
                    RequestKind::FindCoordinator(ask) if version >= 4 => {
                        ask.coordinator_keys.push("group".into());
                    }
                    RequestKind::LeaveGroup(ask) if version >= 3 => {
                        ask.members.push(MemberIdentity::default());
                    }
                    RequestKind::Produce(ask) => ask.acks = -1,
                    _ => {}
                }
                let header = RequestHeader::default()
                    .with_request_api_key(kind as i16)
                    .with_request_api_version(version)
                    .with_correlation_id(7);
                let mut request = BytesMut::from(&[0; LENGTH][..]);
                encode_request_header_into_buffer(&mut request, &header).expect("a header");
                ask.encode(&mut request, version).expect("a request");
                let answer = requests.answer(request.freeze()).await;
                let answer = answer.unwrap_or_else(|error| panic!("{kind:?} {version}: {error}"));
                assert_eq!(
                    answer.expect("an answer")[LENGTH..2 * LENGTH],
                    7_i32.to_be_bytes(),
                    "{kind:?} {version}"
                );
            }
        }
    }
}
