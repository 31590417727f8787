//! The routes: which service answers which of Kafka's requests.

use anyhow::Result;
use rama::layer::{MapErrLayer, MapStateLayer};
use rama::service::BoxService;
use rama::{Context, Layer as _, Service};
use tansu_broker::service::{coordinator, storage as stock};
use tansu_sans_io::{
    ApiKey, Body, EndTxnRequest, EndTxnResponse, ErrorCode, Frame, Header, Request, Response,
};
use tansu_service::{BytesFrameLayer, BytesFrameService, FrameRequestLayer, FrameRouteService};
use tansu_storage::Storage as _;

use super::fetch::Fetch;
use super::groups::{DeleteGroups, DescribeGroups, Groups, ListGroups};
use super::storage::Storage;

/// Answers whole requests; one serves all connections.
pub(super) type Route = BytesFrameService<Untagged>;

/// The table of all requests that are answered.
///
/// Fetching and the groups are ours, and the stock table lacks the end of a transaction.
pub(super) fn routes(storage: Storage, groups: Groups) -> Result<Route> {
    let services = [
        stock::add_offsets_to_txn,
        stock::add_partitions_to_txn,
        stock::consumer_group_describe,
        stock::create_topics,
        stock::delete_records,
        stock::delete_topics,
        stock::describe_cluster,
        stock::describe_configs,
        stock::describe_topic_partitions,
        stock::find_coordinator,
        stock::incremental_alter_configs,
        stock::init_producer_id,
        stock::list_offsets,
        stock::metadata,
        stock::produce,
        stock::txn_offset_commit_request,
    ];
    let mut builder = FrameRouteService::<(), tansu_broker::Error>::builder();
    for service in services {
        builder = service(builder, storage.clone())?;
    }
    let builder = coordinator::services(builder, groups.clone())?
        .with_route(Fetch::KEY, route(storage.clone(), Fetch))?
        .with_route(EndTxn::KEY, route(storage, EndTxn))?
        .with_route(ListGroups::KEY, route(groups.clone(), ListGroups))?
        .with_route(DescribeGroups::KEY, route(groups.clone(), DescribeGroups))?
        .with_route(DeleteGroups::KEY, route(groups, DeleteGroups))?;
    Ok(BytesFrameLayer::default().into_layer(Untagged(builder.build()?)))
}

/// The table, whose list of requests comes without the features of a cluster, and whose groups take in old clients.
///
/// The stock list says in four tagged fields that there are none. A client as old as librdkafka 2.0
/// (Debian's kcat) skips a byte too few of each and takes the answer for cut off.
#[derive(Clone, Debug)]
pub(super) struct Untagged(FrameRouteService<(), tansu_broker::Error>);

impl Service<(), Frame> for Untagged {
    type Response = Frame;
    type Error = tansu_broker::Error;

    async fn serve(&self, ctx: Context<()>, ask: Frame) -> Result<Frame, Self::Error> {
        let mut again = joins_uninvited(&ask).then(|| ask.clone());
        let mut answer = self.0.serve(ctx.clone(), ask).await?;
        // Clients from before KIP-394 do not come back with the id that they are given: it is done for them.
        if let Some(ask) = &mut again
            && let (Body::JoinGroupRequest(join), Body::JoinGroupResponse(invited)) =
                (&mut ask.body, &answer.body)
            && invited.error_code == i16::from(ErrorCode::MemberIdRequired)
        {
            join.member_id.clone_from(&invited.member_id);
            answer = self.0.serve(ctx, ask.clone()).await?;
        }
        if let Body::ApiVersionsResponse(list) = answer.body {
            answer.body = list
                .supported_features(None)
                .finalized_features_epoch(None)
                .finalized_features(None)
                .zk_migration_ready(None)
                .into();
        }
        Ok(answer)
    }
}

/// Whether a client that knows nothing of invitations joins a group for the first time.
fn joins_uninvited(ask: &Frame) -> bool {
    matches!(ask.header, Header::Request { api_version: ..4, .. })
        && matches!(&ask.body, Body::JoinGroupRequest(join) if join.member_id.is_empty())
}

/// A service of ours, with what it works on, as the table takes it.
fn route<W, S, Q>(works_on: W, service: S) -> BoxService<(), Frame, Frame, tansu_broker::Error>
where
    W: Clone + Send + Sync + 'static,
    S: Service<W, Q, Error = tansu_storage::Error>,
    S::Response: Response,
    Q: Request,
    <Q as TryFrom<Body>>::Error: Into<tansu_storage::Error>,
{
    let layers = (
        MapErrLayer::new(tansu_broker::Error::from),
        MapStateLayer::new(move |()| works_on),
        FrameRequestLayer::<Q>::new(),
    );
    layers.into_layer(service).boxed()
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
