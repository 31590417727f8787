//! A group: its members and their assignments.
//!
//! The states and their names are those of Apache Kafka's classic protocol: members join, the leader
//! assigns, every member gets its assignment, and any change of the members starts a rebalance.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use kafka_protocol::messages::sync_group_response::SyncGroupResponse;
use tokio::sync::oneshot::{Receiver, channel};
use tokio::time::Instant;
use uuid::Uuid;

use super::member::{Join, Member, answered, not_synced, refused};

/// A consumer group.
#[derive(Debug, Default)]
pub(super) struct Group {
    phase: Phase,
    generation: i32,
    protocol_type: String,
    /// The assignment protocol that all members support.
    protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Empty,
    /// All members have to join again until then; the others are removed.
    PreparingRebalance {
        until: Instant,
    },
    /// The leader assigns; members that have not sent a `SyncGroup` until then are removed.
    CompletingRebalance {
        until: Instant,
    },
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
            Phase::PreparingRebalance { .. } => "PreparingRebalance",
            Phase::CompletingRebalance { .. } => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }

    pub(super) fn protocol_type(&self) -> &str {
        &self.protocol_type
    }

    pub(super) fn protocol(&self) -> &str {
        &self.protocol
    }

    pub(super) fn members(&self) -> impl Iterator<Item = (&String, &Member)> {
        self.members.iter()
    }

    /// Adds a member. The answer is sent when all members have joined; a refusal at once.
    pub(super) fn join(&mut self, now: Instant, ask: Join) -> Receiver<JoinGroupResponse> {
        let (answer, receiver) = channel();
        if !self.shares_protocol_with(&ask) {
            return answered(answer, receiver, refused(ResponseError::InconsistentGroupProtocol, ask.member));
        }
        let mut is_restarted = false;
        let id = if !ask.member.is_empty() {
            if !self.members.contains_key(&ask.member) {
                return answered(answer, receiver, refused(ResponseError::UnknownMemberId, ask.member));
            }
            ask.member
        } else if let Some(instance) = &ask.instance {
            let id = format!("{instance}-{}", Uuid::new_v4());
            is_restarted = self.rename(now, instance, &id);
            id
        } else {
            format!("{}-{}", ask.client, Uuid::new_v4())
        };
        let has_settled = matches!(self.phase, Phase::Stable | Phase::CompletingRebalance { .. });
        let is_same = self.members.get(&id).is_some_and(|member| member.protocols == ask.protocols);
        let is_leader_again = self.phase == Phase::Stable && id == self.leader && !is_restarted;
        if has_settled && is_same && !is_leader_again {
            // Its answer was lost, or the client has restarted: the assignment stays as it is.
            let response = self.joined(&id);
            return answered(answer, receiver, response);
        }
        self.protocol_type = ask.protocol_type;
        let assignment = self.members.remove(&id).map(|before| before.assignment).unwrap_or_default();
        let member = Member {
            client: ask.client,
            instance: ask.instance,
            session_timeout: ask.session_timeout,
            rebalance_timeout: ask.rebalance_timeout,
            protocols: ask.protocols,
            assignment,
            last_seen: now,
            joining: Some(answer),
            syncing: None,
        };
        self.members.insert(id, member);
        self.rebalance(now);
        receiver
    }

    /// Gives a restarted static member a new id. Returns whether it was a member before.
    fn rename(&mut self, now: Instant, instance: &str, id: &str) -> bool {
        let named = self.members.iter().find(|(_, member)| member.instance.as_deref() == Some(instance));
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
    fn shares_protocol_with(&self, ask: &Join) -> bool {
        let others = self.members.iter().filter(|(id, _)| **id != ask.member).map(|(_, it)| it);
        let others: Vec<_> = others.collect();
        (others.is_empty() || self.protocol_type == ask.protocol_type)
            && ask.protocols.iter().any(|(name, _)| others.iter().all(|other| other.supports(name)))
    }

    /// Takes the assignments of the leader; every member waits for its own.
    pub(super) fn sync(
        &mut self,
        now: Instant,
        id: &str,
        generation: i32,
        assignments: Vec<(String, Bytes)>,
    ) -> Receiver<SyncGroupResponse> {
        let (answer, receiver) = channel();
        if let Err(error) = self.check(id, generation) {
            return answered(answer, receiver, not_synced(error));
        }
        if matches!(self.phase, Phase::Empty | Phase::PreparingRebalance { .. }) {
            return answered(answer, receiver, not_synced(ResponseError::RebalanceInProgress));
        }
        let is_leader = id == self.leader;
        if let Some(member) = self.members.get_mut(id) {
            member.last_seen = now;
            member.syncing = Some(answer);
        }
        if is_leader && matches!(self.phase, Phase::CompletingRebalance { .. }) {
            for member in self.members.values_mut() {
                member.assignment.clear();
            }
            for (id, assignment) in assignments {
                if let Some(member) = self.members.get_mut(&id) {
                    member.assignment = assignment;
                }
            }
            self.phase = Phase::Stable;
        }
        if self.phase == Phase::Stable {
            for member in self.members.values_mut() {
                if let Some(answer) = member.syncing.take() {
                    member.last_seen = now;
                    let response = SyncGroupResponse::default()
                        .with_protocol_type(Some(self.protocol_type.clone().into()))
                        .with_protocol_name(Some(self.protocol.clone().into()))
                        .with_assignment(member.assignment.clone());
                    drop(answer.send(response));
                }
            }
        }
        receiver
    }

    pub(super) fn heartbeat(&mut self, now: Instant, id: &str, generation: i32) -> Result<(), ResponseError> {
        self.check(id, generation)?;
        self.touch(now, id);
        if matches!(self.phase, Phase::PreparingRebalance { .. }) {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Removes a member.
    pub(super) fn leave(&mut self, now: Instant, id: &str) -> Result<(), ResponseError> {
        self.members.remove(id).ok_or(ResponseError::UnknownMemberId)?;
        self.rebalance(now);
        Ok(())
    }

    /// Whether offsets may be committed: by a member of this generation, or by any client of an empty group.
    pub(super) fn commit(&mut self, now: Instant, id: &str, generation: i32) -> Result<(), ResponseError> {
        if generation < 0 && id.is_empty() && self.is_empty() {
            return Ok(());
        }
        self.check(id, generation)?;
        self.touch(now, id);
        if matches!(self.phase, Phase::CompletingRebalance { .. }) {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }

    /// Removes members whose time is up.
    pub(super) fn expire(&mut self, now: Instant) {
        let n_before = self.members.len();
        self.members.retain(|_, member| member.expires().is_none_or(|expires| expires > now));
        if let Phase::CompletingRebalance { until } = self.phase
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
            Phase::PreparingRebalance { until } | Phase::CompletingRebalance { until } => Some(until),
            Phase::Empty | Phase::Stable => None,
        };
        members.chain(phase).min()
    }

    fn touch(&mut self, now: Instant, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.last_seen = now;
        }
    }

    fn check(&self, id: &str, generation: i32) -> Result<(), ResponseError> {
        if !self.members.contains_key(id) {
            Err(ResponseError::UnknownMemberId)
        } else if generation != self.generation {
            Err(ResponseError::IllegalGeneration)
        } else {
            Ok(())
        }
    }

    fn longest_rebalance(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// The members have changed: all of them have to join again.
    fn rebalance(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            if let Some(answer) = member.syncing.take() {
                member.last_seen = now;
                drop(answer.send(not_synced(ResponseError::RebalanceInProgress)));
            }
        }
        if !matches!(self.phase, Phase::PreparingRebalance { .. }) {
            self.phase = Phase::PreparingRebalance { until: now + self.longest_rebalance() };
        }
        self.complete(now);
    }

    /// Completes the joining when all members have joined, or when the time is up.
    fn complete(&mut self, now: Instant) {
        let Phase::PreparingRebalance { until } = self.phase else { return };
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
        self.phase = Phase::CompletingRebalance { until: now + self.longest_rebalance() };
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
    fn common_protocol(&self) -> String {
        let leader = self.members.get(&self.leader);
        let mut preferred = leader.into_iter().flat_map(|leader| &leader.protocols).map(|(name, _)| name);
        let common = preferred.find(|name| self.members.values().all(|member| member.supports(name)));
        common.cloned().unwrap_or_default()
    }

    fn joined(&self, id: &str) -> JoinGroupResponse {
        let members = self.members.iter().filter(|_| id == self.leader).map(|(id, member)| {
            JoinGroupResponseMember::default()
                .with_member_id(id.clone().into())
                .with_group_instance_id(member.instance.clone().map(Into::into))
                .with_metadata(member.metadata(&self.protocol))
        });
        JoinGroupResponse::default()
            .with_generation_id(self.generation)
            .with_protocol_type(Some(self.protocol_type.clone().into()))
            .with_protocol_name(Some(self.protocol.clone().into()))
            .with_leader(self.leader.clone().into())
            .with_member_id(id.to_owned().into())
            .with_members(members.collect())
    }
}
