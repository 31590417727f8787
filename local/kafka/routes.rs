//! The routes: which service answers which of Kafka's requests.

use anyhow::Result;
use rama::layer::{MapErrLayer, MapStateLayer};
use rama::{Context, Layer as _, Service};
use tansu_broker::coordinator::group::Coordinator;
use tansu_broker::service::{coordinator, storage as stock};
use tansu_sans_io::{ApiKey, EndTxnRequest, EndTxnResponse, FetchRequest};
use tansu_service::{BytesFrameLayer, BytesFrameService, FrameRequestLayer, FrameRouteService};
use tansu_storage::Storage as _;

use super::fetch::Fetch;
use super::storage::Storage;

/// Answers whole requests; one serves all connections.
pub(super) type Route = BytesFrameService<FrameRouteService<(), tansu_broker::Error>>;

/// The table of all requests that are answered.
///
/// The stock services but two: fetching is ours, and the stock table lacks the end of a transaction.
pub(super) fn routes(storage: Storage, groups: impl Coordinator) -> Result<Route> {
    let services = [
        stock::add_offsets_to_txn,
        stock::add_partitions_to_txn,
        stock::consumer_group_describe,
        stock::create_topics,
        stock::delete_groups,
        stock::delete_records,
        stock::delete_topics,
        stock::describe_cluster,
        stock::describe_configs,
        stock::describe_groups,
        stock::describe_topic_partitions,
        stock::find_coordinator,
        stock::incremental_alter_configs,
        stock::init_producer_id,
        stock::list_groups,
        stock::list_offsets,
        stock::metadata,
        stock::produce,
        stock::txn_offset_commit_request,
    ];
    let mut builder = FrameRouteService::<(), tansu_broker::Error>::builder();
    for service in services {
        builder = service(builder, storage.clone())?;
    }
    let fetched = storage.clone();
    let fetch = (
        MapErrLayer::new(tansu_broker::Error::from),
        MapStateLayer::new(|()| fetched),
        FrameRequestLayer::<FetchRequest>::new(),
    );
    let end_txn = (
        MapErrLayer::new(tansu_broker::Error::from),
        MapStateLayer::new(|()| storage),
        FrameRequestLayer::<EndTxnRequest>::new(),
    );
    let builder = coordinator::services(builder, groups)?
        .with_route(FetchRequest::KEY, fetch.into_layer(Fetch).boxed())?
        .with_route(EndTxnRequest::KEY, end_txn.into_layer(EndTxn).boxed())?;
    Ok(BytesFrameLayer::default().into_layer(builder.build()?))
}

/// Commits or aborts a transaction.
#[derive(Clone, Copy, Debug)]
struct EndTxn;

impl ApiKey for EndTxn {
    const KEY: i16 = EndTxnRequest::KEY;
}

impl Service<Storage, EndTxnRequest> for EndTxn {
    type Response = EndTxnResponse;
    type Error = tansu_storage::Error;

    async fn serve(&self, ctx: Context<Storage>, ask: EndTxnRequest) -> Result<EndTxnResponse, Self::Error> {
        let ended = ctx
            .state()
            .txn_end(&ask.transactional_id, ask.producer_id, ask.producer_epoch, ask.committed)
            .await?;
        Ok(EndTxnResponse::default().throttle_time_ms(0).error_code(ended.into()))
    }
}
