//! Consumer groups: Kafka's classic protocol, kept in memory.
//!
//! The stock coordinator keeps the partitions of a member that was killed, hands them to nobody, and
//! takes the commits of members that it has sent away.

mod admin;
mod group;
mod member;
mod offsets;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tansu_broker::Error;
use tansu_broker::coordinator::group::{Coordinator, OffsetCommit};
use tansu_sans_io::heartbeat_response::HeartbeatResponse;
use tansu_sans_io::join_group_request::JoinGroupRequestProtocol;
use tansu_sans_io::leave_group_request::MemberIdentity;
use tansu_sans_io::leave_group_response::{LeaveGroupResponse, MemberResponse};
use tansu_sans_io::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopic};
use tansu_sans_io::sync_group_request::SyncGroupRequestAssignment;
use tansu_sans_io::{Body, ErrorCode};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::storage::Storage;
use group::Group;
use member::{Join, not_synced, refused};

pub(super) use admin::{DeleteGroups, DescribeGroups, ListGroups};

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

    /// Sends away members that have gone silent, for as long as it is polled.
    pub(super) async fn tend(self) {
        loop {
            let deadline = self.lock().values().filter_map(Group::next_deadline).min();
            let Some(deadline) = deadline else {
                self.changed.notified().await;
                continue;
            };
            // Whatever changes keeps a note for the one who waits, even while nobody does.
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

    /// Does something to a group, which is made if there is none of that name.
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
}

fn milliseconds(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[async_trait]
impl Coordinator for Groups {
    async fn join(
        &mut self,
        client_id: Option<&str>,
        group_id: &str,
        session_timeout_ms: i32,
        rebalance_timeout_ms: Option<i32>,
        member_id: &str,
        group_instance_id: Option<&str>,
        protocol_type: &str,
        protocols: Option<&[JoinGroupRequestProtocol]>,
        _reason: Option<&str>,
    ) -> Result<Body, Error> {
        let protocols = protocols.unwrap_or_default().iter();
        let ask = Join {
            member: member_id.to_owned(),
            client: client_id.unwrap_or_default().to_owned(),
            instance: group_instance_id.map(str::to_owned),
            session_timeout: milliseconds(session_timeout_ms),
            rebalance_timeout: milliseconds(rebalance_timeout_ms.unwrap_or(session_timeout_ms)),
            protocol_type: protocol_type.to_owned(),
            protocols: protocols.map(|known| (known.name.clone(), known.metadata.clone())).collect(),
        };
        let joined = self.with(group_id, |group, now| group.join(now, ask)).await;
        // Without an answer the member was sent away while it waited.
        let gone = |_| refused(ErrorCode::UnknownMemberId, member_id.to_owned());
        Ok(joined.unwrap_or_else(gone).into())
    }

    async fn sync(
        &mut self,
        group_id: &str,
        generation_id: i32,
        member_id: &str,
        _group_instance_id: Option<&str>,
        _protocol_type: Option<&str>,
        _protocol_name: Option<&str>,
        assignments: Option<&[SyncGroupRequestAssignment]>,
    ) -> Result<Body, Error> {
        let assignments = assignments.unwrap_or_default().iter();
        let assignments = assignments.map(|it| (it.member_id.clone(), it.assignment.clone())).collect();
        let synced = self.with(group_id, |group, now| group.sync(now, member_id, generation_id, assignments));
        Ok(synced.await.unwrap_or_else(|_| not_synced(ErrorCode::UnknownMemberId)).into())
    }

    async fn heartbeat(
        &mut self,
        group_id: &str,
        generation_id: i32,
        member_id: &str,
        _group_instance_id: Option<&str>,
    ) -> Result<Body, Error> {
        let code = self.with(group_id, |group, now| group.heartbeat(now, member_id, generation_id));
        Ok(HeartbeatResponse::default().throttle_time_ms(Some(0)).error_code(code.into()).into())
    }

    async fn leave(
        &mut self,
        group_id: &str,
        member_id: Option<&str>,
        members: Option<&[MemberIdentity]>,
    ) -> Result<Body, Error> {
        let one = member_id.map(|id| MemberIdentity::default().member_id(id.to_owned()));
        let leaving = one.iter().chain(members.unwrap_or_default());
        let left = self.with(group_id, |group, now| {
            let left = leaving.map(|it| {
                let code = group.leave(now, &it.member_id, it.group_instance_id.as_deref());
                MemberResponse::default()
                    .member_id(it.member_id.clone())
                    .group_instance_id(it.group_instance_id.clone())
                    .error_code(code.into())
            });
            left.collect::<Vec<_>>()
        });
        // The old form names one member, and has its outcome as that of the whole request.
        let code = match (member_id, left.first()) {
            (Some(_), Some(one)) => one.error_code,
            _ => ErrorCode::None.into(),
        };
        let answer = LeaveGroupResponse::default().throttle_time_ms(Some(0)).error_code(code);
        Ok(answer.members(Some(left)).into())
    }

    async fn offset_commit(&mut self, detail: OffsetCommit<'_>) -> Result<Body, Error> {
        let (member, generation) =
            (detail.member_id.unwrap_or_default(), detail.generation_id_or_member_epoch.unwrap_or(-1));
        let code = self.with(detail.group_id, |group, now| group.commit(now, member, generation));
        if code == ErrorCode::None {
            offsets::commit(&self.storage, &detail).await
        } else {
            Ok(offsets::refuse(&detail, code))
        }
    }

    async fn offset_fetch(
        &mut self,
        group_id: Option<&str>,
        topics: Option<&[OffsetFetchRequestTopic]>,
        groups: Option<&[OffsetFetchRequestGroup]>,
        _require_stable: Option<bool>,
    ) -> Result<Body, Error> {
        offsets::fetch(&self.storage, group_id, topics, groups).await
    }
}
