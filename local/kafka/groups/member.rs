//! Members of a group: their requests and the answers to them.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponse;
use kafka_protocol::messages::sync_group_response::SyncGroupResponse;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot::{Receiver, Sender};
use tokio::time::Instant;

/// The generation before the first one.
pub(super) const NO_GENERATION: i32 = -1;

/// A member of a group.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) client: String,
    pub(super) instance: Option<String>,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) protocols: Vec<(String, Bytes)>,
    pub(super) assignment: Bytes,
    pub(super) last_seen: Instant,
    /// The answer to its `JoinGroup`, sent when all members have joined.
    pub(super) joining: Option<Sender<JoinGroupResponse>>,
    /// The answer to its `SyncGroup`, sent when the leader has assigned.
    pub(super) syncing: Option<Sender<SyncGroupResponse>>,
}

impl Member {
    /// When the session of the member times out; never while the member waits for the group.
    pub(super) fn expires(&self) -> Option<Instant> {
        let waits = self.joining.is_some() || self.syncing.is_some();
        (!waits).then(|| self.last_seen + self.session_timeout)
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let known = self.protocols.iter().find(|(name, _)| name == protocol);
        known.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }
}

/// A request to join.
#[derive(Clone, Debug)]
pub(super) struct Join {
    /// Empty the first time.
    pub(super) member: String,
    pub(super) client: String,
    pub(super) instance: Option<String>,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) protocol_type: String,
    /// The supported assignment protocols, the preferred one first, each with its metadata.
    pub(super) protocols: Vec<(String, Bytes)>,
}

/// Sends an answer at once.
pub(super) fn answered<T>(answer: Sender<T>, receiver: Receiver<T>, response: T) -> Receiver<T> {
    drop(answer.send(response));
    receiver
}

/// Refuses a `JoinGroup`.
pub(super) fn refused(error: ResponseError, member: String) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_generation_id(NO_GENERATION)
        .with_protocol_type(Some(StrBytes::new()))
        .with_protocol_name(Some(StrBytes::new()))
        .with_member_id(member.into())
}

/// Refuses a `SyncGroup`.
pub(super) fn not_synced(error: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_error_code(error.code())
        .with_protocol_type(Some(StrBytes::new()))
        .with_protocol_name(Some(StrBytes::new()))
}
