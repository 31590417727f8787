//! Consumer groups: Kafka's classic protocol, kept in memory.

mod admin;
mod group;
mod member;
mod offsets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    GroupId, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::store::{Store, code};
use group::Group;
use member::{not_synced, refused};

/// All groups of the broker.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    store: Store,
    groups: Arc<Mutex<BTreeMap<GroupId, Group>>>,
    changed: Arc<Notify>,
}

impl Groups {
    pub(super) fn new(store: Store) -> Groups {
        Groups { store, groups: Arc::default(), changed: Arc::default() }
    }

    /// Removes members whose session has timed out, for as long as it is polled.
    pub(super) async fn expire_members(self) {
        loop {
            let deadline = self.lock().values().filter_map(Group::next_deadline).min();
            let Some(deadline) = deadline else {
                self.changed.notified().await;
                continue;
            };
            // `notify_one` keeps a permit, so a change between two waits is not missed.
            if timeout_at(deadline, self.changed.notified()).await.is_ok() {
                continue;
            }
            let now = Instant::now();
            self.lock().values_mut().for_each(|group| group.expire(now));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupId, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies `act` to a group, which is created if it is missing.
    fn with<T>(&self, name: &GroupId, act: impl FnOnce(&mut Group, Instant) -> T) -> T {
        let now = Instant::now();
        let mut groups = self.lock();
        let group = groups.entry(name.clone()).or_default();
        group.expire(now);
        let done = act(group, now);
        drop(groups);
        self.changed.notify_one();
        done
    }

    pub(super) async fn join(&self, ask: JoinGroupRequest, client: Option<StrBytes>) -> JoinGroupResponse {
        let (name, member) = (ask.group_id.clone(), ask.member_id.clone());
        let joined = self.with(&name, |group, now| group.join(now, ask, client.unwrap_or_default())).await;
        // The sender is gone: the member was removed while it waited.
        joined.unwrap_or_else(|_| refused(ResponseError::UnknownMemberId, member))
    }

    pub(super) async fn sync(&self, ask: SyncGroupRequest) -> SyncGroupResponse {
        let assignments = ask.assignments.into_iter().map(|it| (it.member_id.to_string(), it.assignment));
        let assignments = assignments.collect();
        let synced = self.with(&ask.group_id, |group, now| {
            group.sync(now, &ask.member_id, ask.generation_id, assignments)
        });
        synced.await.unwrap_or_else(|_| not_synced(ResponseError::UnknownMemberId))
    }

    pub(super) fn heartbeat(&self, ask: &HeartbeatRequest) -> HeartbeatResponse {
        let alive =
            self.with(&ask.group_id, |group, now| group.heartbeat(now, &ask.member_id, ask.generation_id));
        HeartbeatResponse::default().with_error_code(code(&alive))
    }

    pub(super) fn leave(&self, ask: &LeaveGroupRequest) -> LeaveGroupResponse {
        // The old form of the request names one member; its result is that of the whole request.
        let is_old = ask.members.is_empty();
        let one = is_old.then(|| MemberIdentity::default().with_member_id(ask.member_id.clone()));
        let mut left: Vec<_> = self.with(&ask.group_id, |group, now| {
            let left = one.iter().chain(&ask.members).map(|it| {
                MemberResponse::default()
                    .with_member_id(it.member_id.clone())
                    .with_group_instance_id(it.group_instance_id.clone())
                    .with_error_code(code(&group.leave(now, &it.member_id)))
            });
            left.collect()
        });
        let code = if is_old { left.remove(0).error_code } else { 0 };
        LeaveGroupResponse::default().with_error_code(code).with_members(left)
    }

    pub(super) fn commit_in_transaction(&self, ask: TxnOffsetCommitRequest) -> TxnOffsetCommitResponse {
        // Old clients do not name the member.
        let is_anonymous = ask.member_id.is_empty() && ask.generation_id < 0;
        let allowed = self.with(&ask.group_id, |group, now| {
            if is_anonymous { Ok(()) } else { group.commit(now, &ask.member_id, ask.generation_id) }
        });
        self.store.add_offsets(ask, allowed)
    }
}
