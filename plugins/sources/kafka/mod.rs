//! `kafka`: reads topics as a member of a consumer group.
