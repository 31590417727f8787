//! A group: its members and their assignments.
//!
//! The states and their names are those of Apache Kafka's classic protocol: members join, the leader
//! assigns, every member gets its assignment, and any change of the members starts a rebalance.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse, SyncGroupResponse};
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot::{Receiver, channel};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::store::Result;
use super::member::{Member, answered, not_synced, refused};

/// A consumer group.
#[derive(Debug, Default)]
pub(super) struct Group {
    phase: Phase,
    generation: i32,
    protocol_type: StrBytes,
    /// The assignment protocol that all members support.
    protocol: StrBytes,
    leader: String,
    members: BTreeMap<String, Member>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Empty,
    /// All members have to join again until then; the others are removed.
    PreparingRebalance(Instant),
    /// The leader assigns; members that have not sent a `SyncGroup` until then are removed.
    CompletingRebalance(Instant),
    Stable,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The state by the name that Kafka's tools print.
    pub(super) fn state(&self) -> &'static str {
        match self.phase {
            Phase::Empty => "Empty",
            Phase::PreparingRebalance(_) => "PreparingRebalance",
            Phase::CompletingRebalance(_) => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }

    pub(super) fn protocol_type(&self) -> StrBytes {
        self.protocol_type.clone()
    }

    pub(super) fn protocol(&self) -> StrBytes {
        self.protocol.clone()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    /// Adds a member. The answer is sent when all members have joined; a refusal at once.
    pub(super) fn join(
        &mut self,
        now: Instant,
        ask: JoinGroupRequest,
        client: StrBytes,
    ) -> Receiver<JoinGroupResponse> {
        if !self.shares_protocol_with(&ask) {
            return answered(refused(ResponseError::InconsistentGroupProtocol, ask.member_id));
        }
        let mut is_restarted = false;
        let id = if !ask.member_id.is_empty() {
            if !self.members.contains_key(&*ask.member_id) {
                return answered(refused(ResponseError::UnknownMemberId, ask.member_id));
            }
            ask.member_id.to_string()
        } else if let Some(instance) = &ask.group_instance_id {
            let id = format!("{instance}-{}", Uuid::new_v4());
            is_restarted = self.rename(now, instance, &id);
            id
        } else {
            format!("{client}-{}", Uuid::new_v4())
        };
        let has_settled = matches!(self.phase, Phase::Stable | Phase::CompletingRebalance(_));
        let is_same = self.members.get(&id).is_some_and(|member| member.ask.protocols == ask.protocols);
        let is_leader_again = self.phase == Phase::Stable && id == self.leader && !is_restarted;
        if has_settled && is_same && !is_leader_again {
            // Its answer was lost, or the client has restarted: the assignment stays as it is.
            return answered(self.joined(&id));
        }
        self.protocol_type = ask.protocol_type.clone();
        let assignment = self.members.remove(&id).map(|before| before.assignment).unwrap_or_default();
        let (answer, receiver) = channel();
        let joining = Some(answer);
        self.members.insert(id, Member { ask, client, assignment, last_seen: now, joining, syncing: None });
        self.rebalance(now);
        receiver
    }

    /// Gives a restarted static member a new id. Returns whether it was a member before.
    fn rename(&mut self, now: Instant, instance: &StrBytes, id: &str) -> bool {
        let named = self.members.iter().find(|(_, it)| it.ask.group_instance_id.as_ref() == Some(instance));
        let Some(before) = named.map(|(id, _)| id.clone()) else { return false };
        if self.leader == before {
            id.clone_into(&mut self.leader);
        }
        if let Some(member) = self.members.remove(&before) {
            // Requests of the old id are answered with `UnknownMemberId`.
            let member = Member { last_seen: now, joining: None, syncing: None, ..member };
            self.members.insert(id.to_owned(), member);
        }
        true
    }

    /// Whether the other members support one of the protocols of a new member.
    fn shares_protocol_with(&self, ask: &JoinGroupRequest) -> bool {
        let others = self.members.iter().filter(|(id, _)| **id != *ask.member_id).map(|(_, it)| it);
        let others: Vec<_> = others.collect();
        (others.is_empty() || self.protocol_type == ask.protocol_type)
            && ask.protocols.iter().any(|it| others.iter().all(|other| other.supports(&it.name)))
    }

    /// Takes the assignments of the leader; every member waits for its own.
    pub(super) fn sync(
        &mut self,
        now: Instant,
        id: &str,
        generation: i32,
        mut assignments: BTreeMap<String, Bytes>,
    ) -> Receiver<SyncGroupResponse> {
        let (phase, is_leader) = (self.phase, id == self.leader);
        let member = match self.member(id, generation) {
            Ok(_) if matches!(phase, Phase::Empty | Phase::PreparingRebalance(_)) => {
                return answered(not_synced(ResponseError::RebalanceInProgress));
            }
            Ok(member) => member,
            Err(error) => return answered(not_synced(error)),
        };
        let (answer, receiver) = channel();
        member.last_seen = now;
        member.syncing = Some(answer);
        if is_leader && matches!(phase, Phase::CompletingRebalance(_)) {
            for (id, member) in &mut self.members {
                member.assignment = assignments.remove(id).unwrap_or_default();
            }
            self.phase = Phase::Stable;
        }
        if self.phase == Phase::Stable {
            let response = SyncGroupResponse::default()
                .with_protocol_type(Some(self.protocol_type.clone()))
                .with_protocol_name(Some(self.protocol.clone()));
            for member in self.members.values_mut() {
                member.synced(now, |member| response.clone().with_assignment(member.assignment.clone()));
            }
        }
        receiver
    }

    pub(super) fn heartbeat(&mut self, now: Instant, id: &str, generation: i32) -> Result<()> {
        self.member(id, generation)?.last_seen = now;
        match self.phase {
            Phase::PreparingRebalance(_) => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Removes a member.
    pub(super) fn leave(&mut self, now: Instant, id: &str) -> Result<()> {
        self.members.remove(id).ok_or(ResponseError::UnknownMemberId)?;
        self.rebalance(now);
        Ok(())
    }

    /// Whether offsets may be committed: by a member of this generation, or by any client of an empty group.
    pub(super) fn commit(&mut self, now: Instant, id: &str, generation: i32) -> Result<()> {
        if generation < 0 && id.is_empty() && self.is_empty() {
            return Ok(());
        }
        self.member(id, generation)?.last_seen = now;
        match self.phase {
            Phase::CompletingRebalance(_) => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// Removes members whose time is up.
    pub(super) fn expire(&mut self, now: Instant) {
        let n_before = self.members.len();
        self.members.retain(|_, member| member.expires().is_none_or(|expires| expires > now));
        if let Phase::CompletingRebalance(until) = self.phase
            && until <= now
        {
            self.members.retain(|_, member| member.syncing.is_some());
        }
        if self.members.len() < n_before {
            self.rebalance(now);
        }
        self.complete(now);
    }

    /// When [`expire`](Self::expire) has to be called next.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let members = self.members.values().filter_map(Member::expires);
        let phase = match self.phase {
            Phase::PreparingRebalance(until) | Phase::CompletingRebalance(until) => Some(until),
            Phase::Empty | Phase::Stable => None,
        };
        members.chain(phase).min()
    }

    /// A member of this generation.
    fn member(&mut self, id: &str, generation: i32) -> Result<&mut Member> {
        let member = self.members.get_mut(id).ok_or(ResponseError::UnknownMemberId)?;
        if generation == self.generation { Ok(member) } else { Err(ResponseError::IllegalGeneration) }
    }

    fn longest_rebalance(&self) -> Duration {
        self.members.values().map(Member::rebalance_timeout).max().unwrap_or_default()
    }

    /// The members have changed: all of them have to join again.
    fn rebalance(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            member.synced(now, |_| not_synced(ResponseError::RebalanceInProgress));
        }
        if !matches!(self.phase, Phase::PreparingRebalance(_)) {
            self.phase = Phase::PreparingRebalance(now + self.longest_rebalance());
        }
        self.complete(now);
    }

    /// Completes the joining when all members have joined, or when the time is up.
    fn complete(&mut self, now: Instant) {
        let Phase::PreparingRebalance(until) = self.phase else { return };
        if until <= now {
            self.members.retain(|_, member| member.joining.is_some());
        }
        if self.members.values().any(|member| member.joining.is_none()) {
            return;
        }
        self.generation += 1;
        let Some(first) = self.members.keys().next().cloned() else {
            self.phase = Phase::Empty;
            self.leader.clear();
            return;
        };
        if !self.members.contains_key(&self.leader) {
            self.leader = first;
        }
        self.protocol = self.common_protocol();
        self.phase = Phase::CompletingRebalance(now + self.longest_rebalance());
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let response = self.joined(&id);
            if let Some(member) = self.members.get_mut(&id)
                && let Some(answer) = member.joining.take()
            {
                member.last_seen = now;
                drop(answer.send(response));
            }
        }
    }

    /// The protocol that all members support and the leader prefers.
    fn common_protocol(&self) -> StrBytes {
        let leader = self.members.get(&self.leader);
        let mut preferred = leader.into_iter().flat_map(|leader| &leader.ask.protocols).map(|it| &it.name);
        let common = preferred.find(|name| self.members.values().all(|member| member.supports(name)));
        common.cloned().unwrap_or_default()
    }

    fn joined(&self, id: &str) -> JoinGroupResponse {
        let members = self.members.iter().filter(|_| id == self.leader).map(|(id, member)| {
            JoinGroupResponseMember::default()
                .with_member_id(id.clone().into())
                .with_group_instance_id(member.ask.group_instance_id.clone())
                .with_metadata(member.metadata(&self.protocol))
        });
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(Some(self.protocol_type.clone()))
            .with_protocol_name(Some(self.protocol.clone()))
            .with_leader(self.leader.clone().into())
            .with_member_id(id.to_owned().into())
            .with_members(members.collect())
    }
}
