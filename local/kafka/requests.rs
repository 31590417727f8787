//! Requests: which part of the broker answers which of Kafka's requests.

use anyhow::{Result, bail};
use bytes::Bytes;
use rama::{Context, Service as _};
use tansu_sans_io::api_versions_response::ApiVersion;
use tansu_sans_io::{
    ApiKey as _, ApiVersionsResponse, Body, EndTxnRequest, EndTxnResponse, ErrorCode, FetchRequest, Frame,
    Header, OffsetFetchRequest, RootMessageMeta,
};
use tansu_storage::Storage as _;

use super::fetch;
use super::groups::{Groups, fetch_offsets};
use super::storage::Storage;

/// Answers the requests of all connections.
#[derive(Clone)]
pub(super) struct Requests {
    storage: Storage,
    groups: Groups,
}

/// Defines the supported requests: `own` are answered here, `stock` by the services of tansu.
macro_rules! requests {
    (own: $($own:ident),* ; stock: $($ask:ident => $service:ident),* $(,)?) => {
        /// The keys of the supported requests.
        const SUPPORTED: &[i16] = &[$(tansu_sans_io::$own::KEY,)* $(tansu_sans_io::$ask::KEY,)*];

        /// Lets a service of tansu answer a request.
        async fn stock(storage: Storage, ask: Body) -> Result<Body> {
            let context = Context::with_state(storage);
            Ok(match ask {
                $(Body::$ask(ask) => tansu_storage::$service.serve(context, ask).await?.into(),)*
                other => bail!("the embedded broker does not support this request: {other:?}"),
            })
        }
    };
}

requests! {
    own: ApiVersionsRequest, DeleteGroupsRequest, DescribeGroupsRequest, EndTxnRequest, FetchRequest,
        HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest,
        OffsetFetchRequest, SyncGroupRequest;
    stock:
        AddOffsetsToTxnRequest => TxnAddOffsetsService,
        AddPartitionsToTxnRequest => TxnAddPartitionService,
        ConsumerGroupDescribeRequest => ConsumerGroupDescribeService,
        CreateTopicsRequest => CreateTopicsService,
        DeleteTopicsRequest => DeleteTopicsService,
        DescribeClusterRequest => DescribeClusterService,
        DescribeConfigsRequest => DescribeConfigsService,
        DescribeTopicPartitionsRequest => DescribeTopicPartitionsService,
        FindCoordinatorRequest => FindCoordinatorService,
        IncrementalAlterConfigsRequest => IncrementalAlterConfigsService,
        InitProducerIdRequest => InitProducerIdService,
        ListOffsetsRequest => ListOffsetsService,
        MetadataRequest => MetadataService,
        ProduceRequest => ProduceService,
        TxnOffsetCommitRequest => TxnOffsetCommitService,
}

impl Requests {
    pub(super) fn new(storage: Storage, groups: Groups) -> Requests {
        Requests { storage, groups }
    }

    /// Answers one request; both have their length in front. A record sent with `acks=0` gets no answer.
    pub(super) async fn answer(&self, request: Bytes) -> Result<Option<Bytes>> {
        let Frame { header, body, .. } = Frame::request_from_bytes(request)?;
        let Header::Request { api_key, api_version, correlation_id, client_id } = header else {
            bail!("not a request: {header:?}");
        };
        let is_silent = matches!(&body, Body::ProduceRequest(ask) if ask.acks == 0);
        let body = self.body(body, client_id).await?;
        if is_silent {
            return Ok(None);
        }
        Ok(Some(Frame::response(Header::Response { correlation_id }, body, api_key, api_version)?))
    }

    async fn body(&self, ask: Body, client: Option<String>) -> Result<Body> {
        let (storage, groups) = (&self.storage, &self.groups);
        Ok(match ask {
            Body::ApiVersionsRequest(_) => versions().into(),
            Body::EndTxnRequest(ask) => self.end_transaction(ask).await?.into(),
            Body::FetchRequest(ask) => fetch::answer(storage, ask).await?.into(),
            Body::JoinGroupRequest(ask) => groups.join(ask, client).await.into(),
            Body::SyncGroupRequest(ask) => groups.sync(ask).await.into(),
            Body::HeartbeatRequest(ask) => groups.heartbeat(&ask).into(),
            Body::LeaveGroupRequest(ask) => groups.leave(&ask).into(),
            Body::OffsetCommitRequest(ask) => groups.commit(&ask).await?.into(),
            Body::OffsetFetchRequest(ask) => fetch_offsets(storage, &ask).await?.into(),
            Body::ListGroupsRequest(_) => groups.list().await?.into(),
            Body::DescribeGroupsRequest(ask) => groups.describe(ask).await?.into(),
            Body::DeleteGroupsRequest(ask) => groups.delete(ask).await?.into(),
            ask => stock(storage.clone(), ask).await?,
        })
    }

    async fn end_transaction(&self, ask: EndTxnRequest) -> Result<EndTxnResponse> {
        let EndTxnRequest { transactional_id, producer_id, producer_epoch, committed, .. } = ask;
        let code = self.storage.txn_end(&transactional_id, producer_id, producer_epoch, committed).await?;
        Ok(EndTxnResponse::default().throttle_time_ms(0).error_code(code.into()))
    }
}

/// The supported requests, without the features of a cluster: librdkafka 2.0 (Debian's kcat) cannot read them.
fn versions() -> ApiVersionsResponse {
    let known = RootMessageMeta::messages().requests().values();
    let supported = known.filter(|meta| SUPPORTED.contains(&meta.api_key)).map(|meta| {
        let max = match meta.api_key {
            // Later versions use the ids of topics.
            FetchRequest::KEY => 12,
            // Later versions are about several groups.
            OffsetFetchRequest::KEY => 7,
            _ => meta.version.valid.end,
        };
        let min = meta.version.valid.start;
        ApiVersion::default().api_key(meta.api_key).min_version(min).max_version(max)
    });
    ApiVersionsResponse::default()
        .error_code(ErrorCode::None.into())
        .throttle_time_ms(Some(0))
        .api_keys(Some(supported.collect()))
}
