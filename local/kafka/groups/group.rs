//! A group: who its members are, and who of them has which partitions.
//!
//! The states and their names are those of Apache Kafka's classic protocol: members join, the leader
//! among them assigns, each hears its share, and any change of the members begins the round again.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tansu_sans_io::ErrorCode;
use tansu_sans_io::join_group_response::{JoinGroupResponse, JoinGroupResponseMember};
use tansu_sans_io::sync_group_response::SyncGroupResponse;
use tokio::sync::oneshot::{Receiver, channel};
use tokio::time::Instant;
use uuid::Uuid;

use super::member::{Join, Member, NO_GENERATION, not_synced, refused, told};

/// A consumer group.
#[derive(Debug)]
pub(super) struct Group {
    phase: Phase,
    generation: i32,
    protocol_type: String,
    /// How the partitions are assigned, as all members understand it.
    protocol: String,
    leader: String,
    members: BTreeMap<String, Member>,
    /// The ids given to clients that have not come back with them yet, and how long they are kept.
    invited: BTreeMap<String, Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Empty,
    /// Everybody is to join again. Who has not by then is out.
    PreparingRebalance {
        until: Instant,
    },
    /// The leader assigns. Who has not asked for its share by then is out.
    CompletingRebalance {
        until: Instant,
    },
    Stable,
}

/// A member as an administrator sees it.
#[derive(Debug)]
pub(super) struct Described {
    pub(super) id: String,
    pub(super) client: String,
    pub(super) instance: Option<String>,
    pub(super) metadata: Bytes,
    pub(super) assignment: Bytes,
}

impl Default for Group {
    fn default() -> Group {
        Group {
            phase: Phase::Empty,
            generation: NO_GENERATION,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            invited: BTreeMap::new(),
        }
    }
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

    pub(super) fn describe(&self) -> impl Iterator<Item = Described> {
        self.members.iter().map(|(id, member)| Described {
            id: id.clone(),
            client: member.client.clone(),
            instance: member.instance.clone(),
            metadata: member.metadata(&self.protocol),
            assignment: member.assignment.clone(),
        })
    }

    /// Takes in a member. The answer comes when everybody has joined, or at once with a refusal.
    pub(super) fn join(&mut self, now: Instant, ask: Join) -> Receiver<JoinGroupResponse> {
        let (answer, answered) = channel();
        if !self.may_assign_with(&ask) {
            return told(answer, answered, refused(ErrorCode::InconsistentGroupProtocol, ask.member));
        }
        let mut is_restarted = false;
        let id = if !ask.member.is_empty() {
            if self.invited.remove(&ask.member).is_none() && !self.members.contains_key(&ask.member) {
                return told(answer, answered, refused(ErrorCode::UnknownMemberId, ask.member));
            }
            ask.member
        } else if let Some(instance) = &ask.instance {
            let id = format!("{instance}-{}", Uuid::new_v4());
            is_restarted = self.rename(now, instance, &id);
            id
        } else {
            let id = format!("{}-{}", ask.client, Uuid::new_v4());
            self.invited.insert(id.clone(), now + ask.session_timeout);
            return told(answer, answered, refused(ErrorCode::MemberIdRequired, id));
        };
        let has_settled = matches!(self.phase, Phase::Stable | Phase::CompletingRebalance { .. });
        let knows_all = self.members.get(&id).is_some_and(|member| member.protocols == ask.protocols);
        let asks_anew = self.phase == Phase::Stable && id == self.leader && !is_restarted;
        if has_settled && knows_all && !asks_anew {
            // It comes back to where it was: its answer was lost on the way, or it was started again.
            let response = self.joined(&id);
            return told(answer, answered, response);
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
        answered
    }

    /// Gives a named member that was started again a new id. Whether it was a member before.
    fn rename(&mut self, now: Instant, instance: &str, id: &str) -> bool {
        let named = self.members.iter().find(|(_, member)| member.instance.as_deref() == Some(instance));
        let Some(before) = named.map(|(id, _)| id.clone()) else { return false };
        if self.leader == before {
            id.clone_into(&mut self.leader);
        }
        if let Some(member) = self.members.remove(&before) {
            // Whoever waits under the old id does not belong to the group any more.
            let member = Member { last_seen: now, joining: None, syncing: None, ..member };
            self.members.insert(id.to_owned(), member);
        }
        true
    }

    /// Whether all the others know one of the ways of assigning that a new member knows.
    fn may_assign_with(&self, ask: &Join) -> bool {
        let mut others =
            self.members.iter().filter(|(id, _)| **id != ask.member).map(|(_, it)| it).peekable();
        if others.peek().is_none() {
            return !ask.protocols.is_empty();
        }
        let others: Vec<_> = others.collect();
        self.protocol_type == ask.protocol_type
            && ask.protocols.iter().any(|(name, _)| {
                others.iter().all(|other| other.protocols.iter().any(|(known, _)| known == name))
            })
    }

    /// Hands in what the leader assigns, or asks for the member's share of it.
    pub(super) fn sync(
        &mut self,
        now: Instant,
        id: &str,
        generation: i32,
        assignments: Vec<(String, Bytes)>,
    ) -> Receiver<SyncGroupResponse> {
        let (answer, answered) = channel();
        let code = self.check(id, generation);
        if code != ErrorCode::None {
            return told(answer, answered, not_synced(code));
        }
        match self.phase {
            Phase::Empty | Phase::PreparingRebalance { .. } => {
                return told(answer, answered, not_synced(ErrorCode::RebalanceInProgress));
            }
            Phase::CompletingRebalance { .. } | Phase::Stable => {}
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
                        .throttle_time_ms(Some(0))
                        .error_code(ErrorCode::None.into())
                        .protocol_type(Some(self.protocol_type.clone()))
                        .protocol_name(Some(self.protocol.clone()))
                        .assignment(member.assignment.clone());
                    drop(answer.send(response));
                }
            }
        }
        answered
    }

    pub(super) fn heartbeat(&mut self, now: Instant, id: &str, generation: i32) -> ErrorCode {
        let code = self.check(id, generation);
        if code == ErrorCode::None {
            self.saw(now, id);
            if matches!(self.phase, Phase::PreparingRebalance { .. }) {
                return ErrorCode::RebalanceInProgress;
            }
        }
        code
    }

    /// A member goes by itself, or somebody sends it away.
    pub(super) fn leave(&mut self, now: Instant, id: &str, instance: Option<&str>) -> ErrorCode {
        let id = match instance {
            Some(instance) if id.is_empty() => {
                let named = self.members.iter().find(|(_, it)| it.instance.as_deref() == Some(instance));
                named.map(|(id, _)| id.clone()).unwrap_or_default()
            }
            _ => id.to_owned(),
        };
        let was_invited = self.invited.remove(&id).is_some();
        if self.members.remove(&id).is_some() {
            self.rebalance(now);
            return ErrorCode::None;
        }
        if was_invited { ErrorCode::None } else { ErrorCode::UnknownMemberId }
    }

    /// Whether offsets may be committed: by a member of this generation, or by anybody while there is none.
    pub(super) fn commit(&mut self, now: Instant, id: &str, generation: i32) -> ErrorCode {
        if generation < 0 && id.is_empty() && self.is_empty() {
            return ErrorCode::None;
        }
        let code = self.check(id, generation);
        if code == ErrorCode::None {
            self.saw(now, id);
            if matches!(self.phase, Phase::CompletingRebalance { .. }) {
                return ErrorCode::RebalanceInProgress;
            }
        }
        code
    }

    /// Sends away who has not been heard of in time.
    pub(super) fn expire(&mut self, now: Instant) {
        self.invited.retain(|_, until| *until > now);
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

    /// When [`expire`](Self::expire) has something to do, unless members are heard of before.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let members = self.members.values().filter_map(Member::expires);
        let phase = match self.phase {
            Phase::PreparingRebalance { until } | Phase::CompletingRebalance { until } => Some(until),
            Phase::Empty | Phase::Stable => None,
        };
        members.chain(self.invited.values().copied()).chain(phase).min()
    }

    fn saw(&mut self, now: Instant, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.last_seen = now;
        }
    }

    fn check(&self, id: &str, generation: i32) -> ErrorCode {
        if !self.members.contains_key(id) {
            ErrorCode::UnknownMemberId
        } else if generation != self.generation {
            ErrorCode::IllegalGeneration
        } else {
            ErrorCode::None
        }
    }

    fn longest_rebalance(&self) -> Duration {
        self.members.values().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }

    /// The members have changed: everybody is to join again.
    fn rebalance(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            if let Some(answer) = member.syncing.take() {
                member.last_seen = now;
                drop(answer.send(not_synced(ErrorCode::RebalanceInProgress)));
            }
        }
        if !matches!(self.phase, Phase::PreparingRebalance { .. }) {
            self.phase = Phase::PreparingRebalance { until: now + self.longest_rebalance() };
        }
        self.complete(now);
    }

    /// Ends the joining when everybody has, or when the time is up for those who have not.
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

    /// The way of assigning that the leader likes best of those that everybody knows.
    fn common_protocol(&self) -> String {
        let known_by_all = |name: &str| {
            self.members.values().all(|member| member.protocols.iter().any(|(known, _)| known == name))
        };
        let leader = self.members.get(&self.leader);
        let mut liked = leader.into_iter().flat_map(|leader| &leader.protocols).map(|(name, _)| name);
        liked.find(|name| known_by_all(name)).cloned().unwrap_or_default()
    }

    fn joined(&self, id: &str) -> JoinGroupResponse {
        let members = self.members.iter().filter(|_| id == self.leader).map(|(id, member)| {
            JoinGroupResponseMember::default()
                .member_id(id.clone())
                .group_instance_id(member.instance.clone())
                .metadata(member.metadata(&self.protocol))
        });
        JoinGroupResponse::default()
            .throttle_time_ms(Some(0))
            .error_code(ErrorCode::None.into())
            .generation_id(self.generation)
            .protocol_type(Some(self.protocol_type.clone()))
            .protocol_name(Some(self.protocol.clone()))
            .leader(self.leader.clone())
            .skip_assignment(Some(false))
            .member_id(id.to_owned())
            .members(Some(members.collect()))
    }
}
