//! Members of a group, what they ask for and what they hear.

use std::time::Duration;

use bytes::Bytes;
use tansu_sans_io::ErrorCode;
use tansu_sans_io::join_group_response::JoinGroupResponse;
use tansu_sans_io::sync_group_response::SyncGroupResponse;
use tokio::sync::oneshot::{Receiver, Sender};
use tokio::time::Instant;

/// What generations are counted from: none.
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
    /// The answer that the member waits for until everybody has joined.
    pub(super) joining: Option<Sender<JoinGroupResponse>>,
    /// The answer that the member waits for until the leader has assigned.
    pub(super) syncing: Option<Sender<SyncGroupResponse>>,
}

impl Member {
    /// When the member counts as gone unless it is heard of; never while it waits for the group.
    pub(super) fn expires(&self) -> Option<Instant> {
        let waits = self.joining.is_some() || self.syncing.is_some();
        (!waits).then(|| self.last_seen + self.session_timeout)
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
    /// The ways of assigning that the member knows, the best one first, with what it says for each.
    pub(super) protocols: Vec<(String, Bytes)>,
}

/// Sends an answer at once to who would have waited for it.
pub(super) fn told<T>(answer: Sender<T>, answered: Receiver<T>, response: T) -> Receiver<T> {
    drop(answer.send(response));
    answered
}

/// The answer to who may not join.
pub(super) fn refused(code: ErrorCode, member: String) -> JoinGroupResponse {
    JoinGroupResponse::default()
        .throttle_time_ms(Some(0))
        .error_code(code.into())
        .generation_id(NO_GENERATION)
        .protocol_type(Some(String::new()))
        .protocol_name(Some(String::new()))
        .leader(String::new())
        .skip_assignment(Some(false))
        .member_id(member)
        .members(Some(Vec::new()))
}

/// The answer to who gets no share.
pub(super) fn not_synced(code: ErrorCode) -> SyncGroupResponse {
    SyncGroupResponse::default()
        .throttle_time_ms(Some(0))
        .error_code(code.into())
        .protocol_type(Some(String::new()))
        .protocol_name(Some(String::new()))
        .assignment(Bytes::new())
}
