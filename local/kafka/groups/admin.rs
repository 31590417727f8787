//! Groups as an administrator asks for them: lists, details, deletion.

use rama::{Context, Service};
use tansu_sans_io::delete_groups_response::DeletableGroupResult;
use tansu_sans_io::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use tansu_sans_io::list_groups_response::ListedGroup;
use tansu_sans_io::{
    ApiKey, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    ErrorCode, ListGroupsRequest, ListGroupsResponse,
};
use tansu_storage::{Error, Storage as _};

use super::Groups;

/// What the broker calls groups of this protocol.
const CLASSIC: &str = "classic";
/// What a group is for that has offsets and no members.
const CONSUMER: &str = "consumer";
/// Nobody is asked for rights here, and nobody is told of any.
const NO_RIGHTS: i32 = i32::MIN;

/// Names all groups that have members or offsets.
#[derive(Clone, Copy, Debug)]
pub(in crate::kafka) struct ListGroups;

impl ApiKey for ListGroups {
    const KEY: i16 = ListGroupsRequest::KEY;
}

impl Service<Groups, ListGroupsRequest> for ListGroups {
    type Response = ListGroupsResponse;
    type Error = Error;

    async fn serve(&self, ctx: Context<Groups>, ask: ListGroupsRequest) -> Result<ListGroupsResponse, Error> {
        let groups = ctx.state();
        let mut names: Vec<String> =
            groups.storage.list_groups(None).await?.into_iter().map(|listed| listed.group_id).collect();
        let listed = {
            let known = groups.lock();
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
                    .group_type(Some(CLASSIC.to_owned()))
            });
            listed.collect::<Vec<_>>()
        };
        let states = ask.states_filter.unwrap_or_default();
        let is_asked_for = |group: &ListedGroup| {
            let state = group.group_state.as_deref().unwrap_or_default();
            states.is_empty() || states.iter().any(|asked| asked.eq_ignore_ascii_case(state))
        };
        Ok(ListGroupsResponse::default()
            .throttle_time_ms(Some(0))
            .error_code(ErrorCode::None.into())
            .groups(Some(listed.into_iter().filter(is_asked_for).collect())))
    }
}

/// Tells the members of groups and what each reads.
#[derive(Clone, Copy, Debug)]
pub(in crate::kafka) struct DescribeGroups;

impl ApiKey for DescribeGroups {
    const KEY: i16 = DescribeGroupsRequest::KEY;
}

impl Service<Groups, DescribeGroupsRequest> for DescribeGroups {
    type Response = DescribeGroupsResponse;
    type Error = Error;

    async fn serve(
        &self,
        ctx: Context<Groups>,
        ask: DescribeGroupsRequest,
    ) -> Result<DescribeGroupsResponse, Error> {
        let groups = ctx.state();
        let mut described = Vec::new();
        for name in ask.groups.unwrap_or_default() {
            described.push(groups.describe(name).await?);
        }
        Ok(DescribeGroupsResponse::default().throttle_time_ms(Some(0)).groups(Some(described)))
    }
}

impl Groups {
    async fn describe(&self, name: String) -> Result<DescribedGroup, Error> {
        let has_offsets = !self.storage.committed_offset_topitions(&name).await?.is_empty();
        let answer = DescribedGroup::default()
            .error_code(ErrorCode::None.into())
            .protocol_data(String::new())
            .protocol_type(if has_offsets { CONSUMER.to_owned() } else { String::new() })
            .group_state(if has_offsets { "Empty".to_owned() } else { "Dead".to_owned() })
            .members(Some(Vec::new()))
            .authorized_operations(Some(NO_RIGHTS));
        let known = self.lock();
        let Some(group) = known.get(&name).filter(|group| !group.is_empty()) else {
            return Ok(answer.group_id(name));
        };
        let members = group.describe().map(|member| {
            DescribedGroupMember::default()
                .member_id(member.id)
                .group_instance_id(member.instance)
                .client_id(member.client)
                .client_host("/127.0.0.1".to_owned())
                .member_metadata(member.metadata)
                .member_assignment(member.assignment)
        });
        Ok(answer
            .group_id(name)
            .group_state(group.state().to_owned())
            .protocol_type(group.protocol_type().to_owned())
            .protocol_data(group.protocol().to_owned())
            .members(Some(members.collect())))
    }
}

/// Forgets groups that have no members.
#[derive(Clone, Copy, Debug)]
pub(in crate::kafka) struct DeleteGroups;

impl ApiKey for DeleteGroups {
    const KEY: i16 = DeleteGroupsRequest::KEY;
}

impl Service<Groups, DeleteGroupsRequest> for DeleteGroups {
    type Response = DeleteGroupsResponse;
    type Error = Error;

    async fn serve(
        &self,
        ctx: Context<Groups>,
        ask: DeleteGroupsRequest,
    ) -> Result<DeleteGroupsResponse, Error> {
        let groups = ctx.state();
        let mut results = Vec::new();
        for name in ask.groups_names.unwrap_or_default() {
            if groups.lock().get(&name).is_some_and(|group| !group.is_empty()) {
                let code = ErrorCode::NonEmptyGroup.into();
                results.push(DeletableGroupResult::default().group_id(name).error_code(code));
                continue;
            }
            results.extend(groups.storage.delete_groups(Some(std::slice::from_ref(&name))).await?);
            groups.lock().remove(&name);
        }
        Ok(DeleteGroupsResponse::default().throttle_time_ms(0).results(Some(results)))
    }
}
