//! Groups for administrators: lists, details, deletion.

use tansu_sans_io::delete_groups_response::DeletableGroupResult;
use tansu_sans_io::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use tansu_sans_io::list_groups_response::ListedGroup;
use tansu_sans_io::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse, ErrorCode,
    ListGroupsResponse,
};
use tansu_storage::{Error, Storage as _};

use super::Groups;

/// The protocol type of a group that has offsets and no members.
const CONSUMER: &str = "consumer";
/// Kafka's value for "authorized operations were not requested".
const NO_OPERATIONS: i32 = i32::MIN;

impl Groups {
    /// Lists all groups that have members or offsets.
    pub(in crate::kafka) async fn list(&self) -> Result<ListGroupsResponse, Error> {
        let mut names: Vec<String> =
            self.storage.list_groups(None).await?.into_iter().map(|listed| listed.group_id).collect();
        let known = self.lock();
        names.extend(known.iter().filter(|(_, group)| !group.is_empty()).map(|(name, _)| name.clone()));
        names.sort_unstable();
        names.dedup();
        let listed = names.into_iter().map(|name| {
            let group = known.get(&name).filter(|group| !group.is_empty());
            let (state, kind) = group.map_or(("Empty", CONSUMER), |it| (it.state(), it.protocol_type()));
            ListedGroup::default()
                .group_id(name)
                .protocol_type(kind.to_owned())
                .group_state(Some(state.to_owned()))
                .group_type(Some("classic".to_owned()))
        });
        Ok(ListGroupsResponse::default()
            .throttle_time_ms(Some(0))
            .error_code(ErrorCode::None.into())
            .groups(Some(listed.collect())))
    }

    /// Describes the members of groups and their assignments.
    pub(in crate::kafka) async fn describe(
        &self,
        ask: DescribeGroupsRequest,
    ) -> Result<DescribeGroupsResponse, Error> {
        let mut described = Vec::new();
        for name in ask.groups.unwrap_or_default() {
            described.push(self.describe_one(name).await?);
        }
        Ok(DescribeGroupsResponse::default().throttle_time_ms(Some(0)).groups(Some(described)))
    }

    async fn describe_one(&self, name: String) -> Result<DescribedGroup, Error> {
        let has_offsets = !self.storage.committed_offset_topitions(&name).await?.is_empty();
        let known = self.lock();
        let group = known.get(&name).filter(|group| !group.is_empty());
        let (state, kind, protocol) = match group {
            Some(group) => (group.state(), group.protocol_type(), group.protocol()),
            None if has_offsets => ("Empty", CONSUMER, ""),
            None => ("Dead", "", ""),
        };
        let members = group.into_iter().flat_map(|group| group.members()).map(|(id, member)| {
            DescribedGroupMember::default()
                .member_id(id.clone())
                .group_instance_id(member.instance.clone())
                .client_id(member.client.clone())
                .client_host("/127.0.0.1".to_owned())
                .member_metadata(member.metadata(protocol))
                .member_assignment(member.assignment.clone())
        });
        Ok(DescribedGroup::default()
            .error_code(ErrorCode::None.into())
            .group_state(state.to_owned())
            .protocol_type(kind.to_owned())
            .protocol_data(protocol.to_owned())
            .members(Some(members.collect()))
            .authorized_operations(Some(NO_OPERATIONS))
            .group_id(name))
    }

    /// Deletes groups that have no members.
    pub(in crate::kafka) async fn delete(
        &self,
        ask: DeleteGroupsRequest,
    ) -> Result<DeleteGroupsResponse, Error> {
        let mut results = Vec::new();
        for name in ask.groups_names.unwrap_or_default() {
            if self.lock().get(&name).is_some_and(|group| !group.is_empty()) {
                let code = ErrorCode::NonEmptyGroup.into();
                results.push(DeletableGroupResult::default().group_id(name).error_code(code));
                continue;
            }
            results.extend(self.storage.delete_groups(Some(std::slice::from_ref(&name))).await?);
            self.lock().remove(&name);
        }
        Ok(DeleteGroupsResponse::default().throttle_time_ms(0).results(Some(results)))
    }
}
