//! Consumer groups: Kafka's classic protocol, kept in memory.
//!
//! tansu's own coordinator never reassigns the partitions of a member that was killed, and accepts the
//! commits of members that it has removed.

mod admin;
mod group;
mod member;
mod offsets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tansu_sans_io::heartbeat_response::HeartbeatResponse;
use tansu_sans_io::join_group_response::JoinGroupResponse;
use tansu_sans_io::leave_group_request::MemberIdentity;
use tansu_sans_io::leave_group_response::{LeaveGroupResponse, MemberResponse};
use tansu_sans_io::sync_group_response::SyncGroupResponse;
use tansu_sans_io::{
    ErrorCode, HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, OffsetCommitRequest,
    OffsetCommitResponse, SyncGroupRequest,
};
use tansu_storage::Error;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::storage::Storage;
use group::Group;
use member::{Join, not_synced, refused};
pub(super) use offsets::fetch as fetch_offsets;

/// All groups of the broker.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    storage: Storage,
    groups: Arc<Mutex<BTreeMap<String, Group>>>,
    changed: Arc<Notify>,
}

impl Groups {
    pub(super) fn new(storage: Storage) -> Groups {
        Groups { storage, groups: Arc::default(), changed: Arc::default() }
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies `act` to a group, which is created if it is missing.
    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Group, Instant) -> T) -> T {
        let now = Instant::now();
        let mut groups = self.lock();
        let group = groups.entry(name.to_owned()).or_default();
        group.expire(now);
        let done = act(group, now);
        drop(groups);
        self.changed.notify_one();
        done
    }

    pub(super) async fn join(&self, ask: JoinGroupRequest, client: Option<String>) -> JoinGroupResponse {
        let protocols = ask.protocols.unwrap_or_default().into_iter();
        let member = ask.member_id.clone();
        let join = Join {
            member: ask.member_id,
            client: client.unwrap_or_default(),
            instance: ask.group_instance_id,
            session_timeout: milliseconds(ask.session_timeout_ms),
            rebalance_timeout: milliseconds(ask.rebalance_timeout_ms.unwrap_or(ask.session_timeout_ms)),
            protocol_type: ask.protocol_type,
            protocols: protocols.map(|known| (known.name, known.metadata)).collect(),
        };
        let joined = self.with(&ask.group_id, |group, now| group.join(now, join)).await;
        // The sender is gone: the member was removed while it waited.
        joined.unwrap_or_else(|_| refused(ErrorCode::UnknownMemberId, member))
    }

    pub(super) async fn sync(&self, ask: SyncGroupRequest) -> SyncGroupResponse {
        let assignments = ask.assignments.unwrap_or_default().into_iter();
        let assignments = assignments.map(|it| (it.member_id, it.assignment)).collect();
        let synced = self.with(&ask.group_id, |group, now| {
            group.sync(now, &ask.member_id, ask.generation_id, assignments)
        });
        synced.await.unwrap_or_else(|_| not_synced(ErrorCode::UnknownMemberId))
    }

    pub(super) fn heartbeat(&self, ask: &HeartbeatRequest) -> HeartbeatResponse {
        let code =
            self.with(&ask.group_id, |group, now| group.heartbeat(now, &ask.member_id, ask.generation_id));
        HeartbeatResponse::default().throttle_time_ms(Some(0)).error_code(code.into())
    }

    pub(super) fn leave(&self, ask: &LeaveGroupRequest) -> LeaveGroupResponse {
        let one = ask.member_id.clone().map(|id| MemberIdentity::default().member_id(id));
        let leaving = one.iter().chain(ask.members.as_deref().unwrap_or_default());
        let left: Vec<_> = self.with(&ask.group_id, |group, now| {
            let left = leaving.map(|it| {
                let code = group.leave(now, &it.member_id);
                MemberResponse::default()
                    .member_id(it.member_id.clone())
                    .group_instance_id(it.group_instance_id.clone())
                    .error_code(code.into())
            });
            left.collect()
        });
        // The old form of the request names one member; its result is that of the whole request.
        let code = match (&one, left.first()) {
            (Some(_), Some(one)) => one.error_code,
            _ => ErrorCode::None.into(),
        };
        LeaveGroupResponse::default().throttle_time_ms(Some(0)).error_code(code).members(Some(left))
    }

    pub(super) async fn commit(&self, ask: &OffsetCommitRequest) -> Result<OffsetCommitResponse, Error> {
        let member = ask.member_id.as_deref().unwrap_or_default();
        let generation = ask.generation_id_or_member_epoch.unwrap_or(-1);
        match self.with(&ask.group_id, |group, now| group.commit(now, member, generation)) {
            ErrorCode::None => offsets::commit(&self.storage, ask).await,
            code => Ok(offsets::refuse(ask, code)),
        }
    }
}

fn milliseconds(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
