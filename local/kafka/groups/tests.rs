//! Tests of a group with a clock of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use tokio::sync::oneshot::Receiver;
use tokio::time::Instant;

use super::group::Group;

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);
const OK: i16 = 0;

fn ask(member: &str) -> JoinGroupRequest {
    JoinGroupRequest::default()
        .with_member_id(member.to_owned().into())
        .with_session_timeout_ms(SESSION.as_millis() as i32)
        .with_rebalance_timeout_ms(REBALANCE.as_millis() as i32)
        .with_protocol_type("consumer".into())
        .with_protocols(vec![JoinGroupRequestProtocol::default().with_name("range".into())])
}

/// A group with a clock.
struct Scene {
    group: Group,
    now: Instant,
}

impl Scene {
    fn new() -> Scene {
        Scene { group: Group::default(), now: Instant::now() }
    }

    /// A settled group of two members, with its generation.
    fn with_two_members() -> (Scene, String, String, i32) {
        let mut scene = Scene::new();
        let (first, second) = (scene.add(), scene.add());
        let generation = scene.settle(&[&first, &second]);
        (scene, first, second, generation)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.group.expire(self.now);
    }

    /// Lets a new member join, and returns its id.
    fn add(&mut self) -> String {
        let ids = |group: &Group| group.members().map(|(id, _)| id.clone()).collect::<BTreeSet<_>>();
        let before = ids(&self.group);
        drop(self.join(""));
        ids(&self.group).difference(&before).next().expect("a new member").clone()
    }

    /// Without an id as a new member.
    fn join(&mut self, id: &str) -> Receiver<JoinGroupResponse> {
        self.group.join(self.now, ask(id), "client".into())
    }

    /// All members join, and the leader assigns each its own id.
    fn settle(&mut self, ids: &[&String]) -> i32 {
        let joined: Vec<_> = ids.iter().map(|id| self.join(id)).collect();
        let joined: Vec<_> = joined.into_iter().map(answer).collect();
        let (generation, leader) = (joined[0].generation_id, joined[0].leader.to_string());
        for (joined, id) in joined.iter().zip(ids) {
            assert_eq!(
                (joined.error_code, joined.generation_id, joined.member_id.as_str()),
                (OK, generation, id.as_str())
            );
            let n_members = joined.members.len();
            assert_eq!(n_members, if **id == leader { ids.len() } else { 0 });
        }
        let shares: BTreeMap<_, _> = ids.iter().map(|&id| (id.clone(), Bytes::from(id.clone()))).collect();
        let sync = |id: &&String| {
            let shares = if **id == leader { shares.clone() } else { BTreeMap::new() };
            self.group.sync(self.now, id, generation, shares)
        };
        let synced: Vec<_> = ids.iter().map(sync).collect();
        for (synced, id) in synced.into_iter().zip(ids) {
            assert_eq!(answer(synced).assignment, id.as_bytes());
        }
        assert_eq!(self.group.state(), "Stable");
        generation
    }

    fn beat(&mut self, id: &str, generation: i32) -> Result<(), ResponseError> {
        self.group.heartbeat(self.now, id, generation)
    }
}

#[track_caller]
fn answer<T>(mut waiting: Receiver<T>) -> T {
    waiting.try_recv().expect("an answer")
}

#[track_caller]
fn waits<T>(waiting: &mut Receiver<T>) {
    assert!(waiting.try_recv().is_err_and(|e| e == tokio::sync::oneshot::error::TryRecvError::Empty));
}

#[test]
fn silent_member_is_removed_and_the_others_rebalance() {
    let mut scene = Scene::new();
    let alone = answer(scene.join(""));
    let first = alone.member_id.to_string();
    assert_eq!((alone.error_code, alone.leader.as_str()), (OK, first.as_str()));
    assert_eq!(answer(scene.join("stranger")).error_code, 25);
    let second = scene.add();
    let mut waiting = scene.join(&second);
    waits(&mut waiting);
    assert_eq!(scene.beat(&first, alone.generation_id), Err(ResponseError::RebalanceInProgress));
    let generation = scene.settle(&[&first, &second]);

    // The first member is killed.
    scene.pass(SESSION / 2);
    assert_eq!(scene.beat(&second, generation), Ok(()));
    assert_eq!(scene.group.next_deadline(), Some(scene.now + SESSION / 2));
    scene.pass(SESSION / 2);
    assert_eq!(scene.beat(&second, generation), Err(ResponseError::RebalanceInProgress));
    assert_eq!(scene.group.commit(scene.now, &second, generation), Ok(()));
    let next = scene.settle(&[&second]);
    assert!(next > generation);

    // It was only paused and continues.
    assert_eq!(scene.beat(&first, generation), Err(ResponseError::UnknownMemberId));
    assert_eq!(scene.group.commit(scene.now, &first, generation), Err(ResponseError::UnknownMemberId));
    assert_eq!(scene.group.commit(scene.now, &second, generation), Err(ResponseError::IllegalGeneration));
    assert_eq!(answer(scene.join(&first)).error_code, ResponseError::UnknownMemberId.code());
}

#[test]
fn member_that_does_not_rejoin_in_time_is_removed() {
    let (mut scene, first, second, generation) = Scene::with_two_members();
    let third = scene.add();
    let mut waiting = [scene.join(&first), scene.join(&third)];
    // The second member sends heartbeats, but does not rejoin.
    for _ in 0..REBALANCE.as_secs() / 5 - 1 {
        scene.pass(Duration::from_secs(5));
        assert_eq!(scene.beat(&second, generation), Err(ResponseError::RebalanceInProgress));
    }
    waiting.iter_mut().for_each(waits);
    scene.pass(Duration::from_secs(5));
    for waiting in waiting {
        assert_eq!(answer(waiting).generation_id, generation + 1);
    }
    assert_eq!(scene.beat(&second, generation), Err(ResponseError::UnknownMemberId));
}

#[test]
fn dead_leader_is_replaced() {
    let mut scene = Scene::new();
    let (first, second) = (scene.add(), scene.add());
    let joined = scene.join(&second);
    // The first member had joined alone before and rejoins.
    let leader = answer(scene.join(&first));
    let follower = answer(joined);
    assert_eq!((leader.leader.as_str(), leader.generation_id), (first.as_str(), follower.generation_id));
    let mut share = scene.group.sync(scene.now, &second, follower.generation_id, BTreeMap::new());
    waits(&mut share);
    scene.pass(SESSION);
    assert_eq!(answer(share).error_code, ResponseError::RebalanceInProgress.code());
    let alone = answer(scene.join(&second));
    assert_eq!((alone.error_code, alone.leader.as_str()), (OK, second.as_str()));
}

#[test]
fn leaving_member_starts_a_rebalance() {
    let (mut scene, first, second, generation) = Scene::with_two_members();
    assert_eq!(scene.group.commit(scene.now, "", -1), Err(ResponseError::UnknownMemberId));
    assert_eq!(scene.group.leave(scene.now, &first), Ok(()));
    assert_eq!(scene.group.leave(scene.now, &first), Err(ResponseError::UnknownMemberId));
    assert_eq!(scene.beat(&second, generation), Err(ResponseError::RebalanceInProgress));
    scene.settle(&[&second]);
    assert_eq!(scene.group.leave(scene.now, &second), Ok(()));
    assert_eq!((scene.group.state(), scene.group.next_deadline()), ("Empty", None));
    assert_eq!(scene.group.commit(scene.now, "", -1), Ok(()));
}

#[test]
fn member_whose_answer_was_lost_gets_it_again() {
    let (mut scene, first, second, generation) = Scene::with_two_members();
    let again = answer(scene.join(&second));
    assert_eq!((again.error_code, again.generation_id), (OK, generation));
    assert_eq!(answer(scene.group.sync(scene.now, &second, generation, BTreeMap::new())).assignment, second);
    assert_eq!(scene.beat(&first, generation), Ok(()));
}

#[test]
fn restarted_static_member_keeps_its_assignment() {
    let mut scene = Scene::new();
    let named = || ask("").with_group_instance_id(Some("one".into()));
    let before = answer(scene.group.join(scene.now, named(), "client".into()));
    let shares = [(before.member_id.to_string(), Bytes::from_static(b"share"))].into();
    drop(scene.group.sync(scene.now, &before.member_id, before.generation_id, shares));

    let after = answer(scene.group.join(scene.now, named(), "client".into()));
    assert_ne!(before.member_id, after.member_id);
    assert_eq!((after.generation_id, &after.leader), (before.generation_id, &after.member_id));
    let synced = scene.group.sync(scene.now, &after.member_id, after.generation_id, BTreeMap::new());
    assert_eq!(answer(synced).assignment, b"share"[..]);
    assert_eq!(scene.beat(&before.member_id, before.generation_id), Err(ResponseError::UnknownMemberId));
}

#[test]
fn member_without_a_common_protocol_is_refused() {
    let mut scene = Scene::new();
    scene.add();
    let other = vec![JoinGroupRequestProtocol::default().with_name("sticky".into())];
    let refused = answer(scene.group.join(scene.now, ask("").with_protocols(other), "client".into()));
    assert_eq!(refused.error_code, ResponseError::InconsistentGroupProtocol.code());
    let none = ask("").with_protocols(Vec::new());
    let refused = answer(Group::default().join(scene.now, none, "client".into()));
    assert_eq!(refused.error_code, ResponseError::InconsistentGroupProtocol.code());
}
