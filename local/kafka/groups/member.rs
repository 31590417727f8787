//! Members of a group: their requests and the answers to them.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot::{Receiver, Sender, channel};
use tokio::time::Instant;

/// The generation before the first one.
pub(super) const NO_GENERATION: i32 = -1;

/// A member of a group.
#[derive(Debug)]
pub(super) struct Member {
    /// The request with which the member has joined.
    pub(super) ask: JoinGroupRequest,
    pub(super) client: StrBytes,
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
        (!waits).then(|| self.last_seen + milliseconds(self.ask.session_timeout_ms))
    }

    pub(super) fn rebalance_timeout(&self) -> Duration {
        // The first version of the request has one timeout.
        let is_missing = self.ask.rebalance_timeout_ms < 0;
        milliseconds(if is_missing { self.ask.session_timeout_ms } else { self.ask.rebalance_timeout_ms })
    }

    pub(super) fn supports(&self, protocol: &StrBytes) -> bool {
        self.ask.protocols.iter().any(|it| it.name == *protocol)
    }

    pub(super) fn metadata(&self, protocol: &StrBytes) -> Bytes {
        let known = self.ask.protocols.iter().find(|it| it.name == *protocol);
        known.map(|it| it.metadata.clone()).unwrap_or_default()
    }

    /// Answers a `SyncGroup` that waits.
    pub(super) fn synced(&mut self, now: Instant, response: impl FnOnce(&Member) -> SyncGroupResponse) {
        if let Some(answer) = self.syncing.take() {
            self.last_seen = now;
            drop(answer.send(response(self)));
        }
    }
}

fn milliseconds(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// Sends an answer at once.
pub(super) fn answered<T>(response: T) -> Receiver<T> {
    let (answer, receiver) = channel();
    drop(answer.send(response));
    receiver
}

/// Refuses a `JoinGroup`.
pub(super) fn refused(error: ResponseError, member: StrBytes) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .with_error_code(error.code())
        .with_generation_id(NO_GENERATION)
        .with_protocol_type(Some(StrBytes::new()))
        .with_protocol_name(Some(StrBytes::new()))
        .with_member_id(member)
}

/// Refuses a `SyncGroup`.
pub(super) fn not_synced(error: ResponseError) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .with_error_code(error.code())
        .with_protocol_type(Some(StrBytes::new()))
        .with_protocol_name(Some(StrBytes::new()))
}
