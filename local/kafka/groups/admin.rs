//! Groups for administrators: lists, details, deletion.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    ListGroupsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::super::store::{Result, code};
use super::Groups;

/// The protocol type of a group that has offsets and no members.
const CONSUMER: StrBytes = StrBytes::from_static_str("consumer");

impl Groups {
    /// Lists all groups that have members or offsets.
    pub(in crate::kafka) fn list(&self) -> ListGroupsResponse {
        let mut names: BTreeSet<GroupId> = self.store.lock().offsets.keys().cloned().collect();
        let known = self.lock();
        names.extend(known.iter().filter(|(_, group)| !group.is_empty()).map(|(name, _)| name.clone()));
        let listed = names.into_iter().map(|name| {
            let group = known.get(&name).filter(|group| !group.is_empty());
            let (state, kind) = group.map_or(("Empty", CONSUMER), |it| (it.state(), it.protocol_type()));
            ListedGroup::default()
                .with_group_id(name)
                .with_protocol_type(kind)
                .with_group_state(state.into())
                .with_group_type("classic".into())
        });
        ListGroupsResponse::default().with_groups(listed.collect())
    }

    /// Describes the members of groups and their assignments.
    pub(in crate::kafka) fn describe(&self, ask: DescribeGroupsRequest) -> DescribeGroupsResponse {
        let described = ask.groups.into_iter().map(|name| self.describe_one(name));
        DescribeGroupsResponse::default().with_groups(described.collect())
    }

    fn describe_one(&self, name: GroupId) -> DescribedGroup {
        let has_offsets = self.store.lock().offsets.contains_key(&name);
        let known = self.lock();
        let group = known.get(&name).filter(|group| !group.is_empty());
        let (state, kind, protocol) = match group {
            Some(group) => (group.state(), group.protocol_type(), group.protocol()),
            None if has_offsets => ("Empty", CONSUMER, StrBytes::new()),
            None => ("Dead", StrBytes::new(), StrBytes::new()),
        };
        let members = group.into_iter().flat_map(|group| group.members()).map(|(id, member)| {
            DescribedGroupMember::default()
                .with_member_id(id.clone().into())
                .with_group_instance_id(member.ask.group_instance_id.clone())
                .with_client_id(member.client.clone())
                .with_client_host("/127.0.0.1".into())
                .with_member_metadata(member.metadata(&protocol))
                .with_member_assignment(member.assignment.clone())
        });
        DescribedGroup::default()
            .with_group_state(state.into())
            .with_protocol_type(kind)
            .with_members(members.collect())
            .with_protocol_data(protocol)
            .with_group_id(name)
    }

    /// Deletes groups that have no members.
    pub(in crate::kafka) fn delete(&self, ask: DeleteGroupsRequest) -> DeleteGroupsResponse {
        let results = ask.groups_names.into_iter().map(|name| {
            let deleted = self.delete_one(&name);
            DeletableGroupResult::default().with_group_id(name).with_error_code(code(&deleted))
        });
        DeleteGroupsResponse::default().with_results(results.collect())
    }

    fn delete_one(&self, name: &GroupId) -> Result<()> {
        let mut known = self.lock();
        if known.get(name).is_some_and(|group| !group.is_empty()) {
            return Err(ResponseError::NonEmptyGroup);
        }
        let had_offsets = self.store.lock().offsets.remove(name).is_some();
        if known.remove(name).is_none() && !had_offsets {
            return Err(ResponseError::GroupIdNotFound);
        }
        Ok(())
    }
}
