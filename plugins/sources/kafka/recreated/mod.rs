//! Notices topics that were deleted and created again: `topic_ids` in clusters that give topics an id, and `log_ends` in
//! others, where the end of a partition moves backwards.

pub(super) mod log_ends;
pub(super) mod topic_ids;
