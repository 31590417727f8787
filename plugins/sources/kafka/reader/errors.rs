//! Classifies errors of the client library.

use rdkafka::error::RDKafkaErrorCode as Code;
use runner_core::Class;

use super::super::assignment::{AssignedPartition, ClientPositions};
use crate::shared::kafka::{is_denied, is_outage};

const DAMAGED: &str = "the stored records are damaged, or were damaged by the network: elect another replica as leader; to \
    skip them, set another position of the group there (kafka-consumer-groups.sh --reset-offsets)";
const UNKNOWN_FORMAT: &str = "this client cannot read the format: the producer must write the \
    format of Kafka 0.11 or newer, uncompressed or compressed with gzip, snappy, lz4 or zstd";
const TOO_LARGE: &str =
    "raise `fetch.message.max.bytes` and `receive.message.max.bytes` in `librdkafka_options` of the source";
const ASSIGNOR: &str = "the members of the group assign partitions in different ways: set the same `partition.assignment.strategy` for all";
const SESSION: &str = "set `session.timeout.ms` in `librdkafka_options` to a value that the brokers allow (`group.min.session.timeout.ms`)";
const UNKNOWN: &str = "this error is not known to be transient; the log of the broker may say more";

/// Whether the group's position is not in the partition.
pub(super) fn is_out_of_range(code: Code) -> bool {
    matches!(code, Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation)
}

/// Whether the topic does not exist.
pub(super) fn is_missing(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
}

#[rustfmt::skip]
const TRANSIENT: &[Code] = &[
    // Connections to brokers, and requests that wait for one.
    Code::Fail, Code::NodeUpdate, Code::UnknownBroker, Code::DestroyBroker, Code::BrokerDestroy, Code::Interrupted,
    Code::Retry, Code::InProgress, Code::PreviousInProgress, Code::Outdated, Code::WaitCache, Code::Noop, Code::NoOffset,
    // The leader of the partition changes.
    Code::BrokerNotAvailable, Code::ReplicaNotAvailable, Code::PreferredLeaderNotAvailable,
    Code::EligibleLeadersNotAvailable, Code::FencedLeaderEpoch, Code::UnknownLeaderEpoch, Code::OffsetNotAvailable,
    Code::KafkaStorageError, Code::ReassignmentInProgress, Code::StaleBrokerEpoch, Code::StaleControllerEpoch,
    Code::NotController, Code::ListenerNotFound, Code::FetchSessionIdNotFound, Code::InvalidFetchSessionEpoch,
    Code::UnknownTopicId,
    // The group rebalances, or has removed this consumer, which joins again.
    Code::AssignmentLost, Code::RebalanceInProgress, Code::IllegalGeneration, Code::UnknownMemberId,
    Code::MemberIdRequired, Code::FencedMemberEpoch, Code::StaleMemberEpoch, Code::GroupMaxSizeReached,
    Code::PollExceeded,
    // The coordinator waits for other members or replicas.
    Code::UnstableOffsetCommit, Code::ConcurrentTransactions, Code::NotEnoughReplicas,
    Code::NotEnoughReplicasAfterAppend, Code::ThrottlingQuotaExceeded,
    // The engine limits its retries.
    Code::Unknown,
];

/// Classifies a code. `has_read`: a record has been read before; from then on a denial is transient.
///
/// A code that is not known to be transient ends the run: to continue could read nothing for an unlimited
/// time, or skip records.
pub(super) fn classify(code: Code, has_read: bool) -> Class {
    if is_outage(code) {
        Class::Unreachable
    } else if TRANSIENT.contains(&code) || (is_denied(code) && has_read) {
        Class::Transient
    } else {
        Class::Fatal
    }
}

/// How to fix a fatal error.
pub(super) fn advice(code: Code) -> &'static str {
    match code {
        Code::BadMessage | Code::InvalidMessage | Code::BadCompression | Code::Underflow => DAMAGED,
        Code::NotImplemented
        | Code::UnsupportedCompressionType
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedFeature => UNKNOWN_FORMAT,
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => TOO_LARGE,
        Code::InconsistentGroupProtocol => ASSIGNOR,
        Code::InvalidSessionTimeout => SESSION,
        _ => UNKNOWN,
    }
}

/// The partition and offset of an error. The client library names the offset but not the partition, so this
/// returns the partitions with that position, or all partitions if there is none.
pub(super) fn describe_position(
    reason: &str,
    partitions: &[AssignedPartition],
    positions: &ClientPositions,
) -> String {
    let is_named = |offset: i64| {
        reason.split(|char: char| !char.is_ascii_digit()).any(|number| number.parse() == Ok(offset))
    };
    let all = || partitions.iter().map(|it| (it.partition, it.position(positions)));
    let is_any_named = all().any(|(_, offset)| is_named(offset));
    let shown = all().filter(|(_, offset)| !is_any_named || is_named(*offset));
    let shown = shown.map(|(it, offset)| format!("{}/{} at offset {offset}", it.topic, it.number));
    shown.collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use rdkafka::Offset;
    use runner_core::Name;

    use super::super::super::assignment::Partition;
    use super::*;

    #[test]
    fn broker_and_group_changes_are_unreachable_or_transient() {
        for code in [
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::NotLeaderForPartition,
            Code::CoordinatorLoadInProgress,
        ] {
            assert_eq!(classify(code, false), Class::Unreachable, "{code:?}");
        }
        for code in [
            Code::RebalanceInProgress,
            Code::UnknownMemberId,
            Code::IllegalGeneration,
            Code::FencedLeaderEpoch,
            Code::UnstableOffsetCommit,
            Code::KafkaStorageError,
            Code::DestroyBroker,
            Code::PollExceeded,
            Code::Unknown,
        ] {
            assert_eq!(classify(code, false), Class::Transient, "{code:?}");
        }
    }

    #[test]
    fn classify_returns_fatal_for_unreadable_data_and_unknown_codes() {
        for (code, expected) in [
            (Code::BadMessage, DAMAGED),
            (Code::InvalidMessage, DAMAGED),
            (Code::BadCompression, DAMAGED),
            (Code::NotImplemented, UNKNOWN_FORMAT),
            (Code::MessageSizeTooLarge, TOO_LARGE),
            (Code::InconsistentGroupProtocol, ASSIGNOR),
            (Code::PolicyViolation, UNKNOWN),
            (Code::CriticalSystemResource, UNKNOWN),
        ] {
            assert_eq!((classify(code, true), advice(code)), (Class::Fatal, expected), "{code:?}");
        }
        for code in [Code::LogTruncation, Code::UnknownTopicOrPartition] {
            assert_eq!(classify(code, true), Class::Fatal, "{code:?}");
        }
        assert!(is_out_of_range(Code::LogTruncation) && is_missing(Code::UnknownTopicOrPartition));
    }

    #[test]
    fn classify_returns_transient_for_a_denial_after_the_first_record() {
        assert_eq!(classify(Code::TopicAuthorizationFailed, false), Class::Fatal);
        assert_eq!(classify(Code::TopicAuthorizationFailed, true), Class::Transient);
    }

    #[test]
    fn describe_position_names_the_partition_with_the_offset_of_the_error() {
        let assigned = |number, start| {
            AssignedPartition::new(Partition { topic: Name::new("prices"), number }, start, None)
        };
        let partitions = [assigned(0, 3), assigned(1, 40)];
        let positions = HashMap::from([(("prices".to_owned(), 0), Offset::Offset(12))]);
        let reason = "MessageSet at offset 12 (99 bytes) failed CRC32C check";
        assert_eq!(describe_position(reason, &partitions, &positions), "prices/0 at offset 12");
        let either = describe_position("no number", &partitions, &positions);
        assert_eq!(either, "prices/0 at offset 12 or prices/1 at offset 40");
    }
}
