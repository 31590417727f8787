//! What an error of the client means for whoever reads.

use std::collections::HashMap;

use rdkafka::Offset;
use rdkafka::error::RDKafkaErrorCode as Code;

use super::held::Lane;
use crate::shared::kafka::{is_denied, is_outage};

/// What an error calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nobody answers; how long that may last is counted.
    Outage,
    /// It passes by itself: the client asks again, and passes over nothing.
    Passing,
    /// It may pass, and must not last for ever.
    Doubtful,
    /// The user may not read.
    Denied,
    /// The topic is not there.
    Gone,
    /// The position is not in the partition.
    Overtaken,
    /// The group has gone on without us.
    PutOut,
    /// It will not pass. To read on could leave a gap behind.
    Broken(&'static str),
}

const DAMAGED: &str = "what is stored there is damaged, or was on its way: let another replica lead the partition; to \
    go on behind it, give the group another position there (kafka-consumer-groups.sh --reset-offsets)";
const UNKNOWN_FORMAT: &str = "it is written in a way that this client cannot read: let its producer write in the \
    format of Kafka 0.11 or newer, compressed by gzip, snappy, lz4 or zstd or not at all";
const TOO_LARGE: &str =
    "raise `fetch.message.max.bytes` and `receive.message.max.bytes` in `librdkafka_options` of the source";
const ASSIGNOR: &str = "the members of the group assign partitions in different ways: look at `partition.assignment.strategy` of all";
const SESSION: &str = "set `session.timeout.ms` in `librdkafka_options` to what the brokers allow (`group.min.session.timeout.ms`)";
const UNKNOWN: &str = "it is not known to pass by itself; the log of the broker may say more";

/// Sorts a code. What is not known to pass by itself ends the run: a reader that is told of it again and again reads
/// nothing, and one that the client takes past it leaves a gap.
pub(super) fn meaning_of(code: Code) -> Meaning {
    match code {
        Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation => Meaning::Overtaken,
        Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => Meaning::Gone,
        Code::PollExceeded => Meaning::PutOut,
        code if is_denied(code) => Meaning::Denied,
        code if is_outage(code) => Meaning::Outage,
        // Connections, and what waits for them.
        Code::Fail
        | Code::NodeUpdate
        | Code::UnknownBroker
        | Code::DestroyBroker
        | Code::BrokerDestroy
        | Code::Interrupted
        | Code::Retry
        | Code::InProgress
        | Code::PreviousInProgress
        | Code::Outdated
        | Code::WaitCache
        | Code::Noop
        | Code::NoOffset
        // The partition is led by another, or not yet.
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::PreferredLeaderNotAvailable
        | Code::EligibleLeadersNotAvailable
        | Code::FencedLeaderEpoch
        | Code::UnknownLeaderEpoch
        | Code::OffsetNotAvailable
        | Code::KafkaStorageError
        | Code::ReassignmentInProgress
        | Code::StaleBrokerEpoch
        | Code::StaleControllerEpoch
        | Code::NotController
        | Code::ListenerNotFound
        | Code::FetchSessionIdNotFound
        | Code::InvalidFetchSessionEpoch
        | Code::UnknownTopicId
        // The group changes.
        | Code::AssignmentLost
        | Code::RebalanceInProgress
        | Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::MemberIdRequired
        | Code::FencedMemberEpoch
        | Code::StaleMemberEpoch
        | Code::GroupMaxSizeReached
        // The coordinator has to wait for others.
        | Code::UnstableOffsetCommit
        | Code::ConcurrentTransactions
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::ThrottlingQuotaExceeded => Meaning::Passing,
        Code::Unknown => Meaning::Doubtful,
        Code::BadMessage | Code::InvalidMessage | Code::BadCompression | Code::Underflow => {
            Meaning::Broken(DAMAGED)
        }
        Code::NotImplemented
        | Code::UnsupportedCompressionType
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedFeature => Meaning::Broken(UNKNOWN_FORMAT),
        Code::MessageSizeTooLarge | Code::InvalidMessageSize => Meaning::Broken(TOO_LARGE),
        Code::InconsistentGroupProtocol => Meaning::Broken(ASSIGNOR),
        Code::InvalidSessionTimeout => Meaning::Broken(SESSION),
        _ => Meaning::Broken(UNKNOWN),
    }
}

/// Where the client stands: in which partition and in front of which offset. The library names an offset but no
/// partition; so those that stand there are named, or all if there are none.
pub(super) fn place_of(reason: &str, lanes: &[Lane], positions: &HashMap<(String, i32), Offset>) -> String {
    let places: Vec<(String, i64)> = lanes
        .iter()
        .map(|lane| {
            let topic = lane.partition.topic.as_str();
            let offset = match positions.get(&(topic.to_owned(), lane.partition.number)) {
                Some(&Offset::Offset(offset)) => offset,
                _ => lane.start,
            };
            (format!("{topic}/{}", lane.partition.number), offset)
        })
        .collect();
    let is_named = |offset: i64| {
        reason.split(|char: char| !char.is_ascii_digit()).any(|number| number.parse() == Ok(offset))
    };
    let named: Vec<_> = places.iter().filter(|(_, offset)| is_named(*offset)).collect();
    let shown = if named.is_empty() { places.iter().collect() } else { named };
    let shown: Vec<String> =
        shown.into_iter().map(|(partition, offset)| format!("{partition} at offset {offset}")).collect();
    shown.join(" or ")
}

#[cfg(test)]
mod tests {
    use runner_core::Name;

    use super::super::places::Partition;
    use super::*;

    #[test]
    fn what_comes_and_goes_with_brokers_and_members_is_waited_out() {
        for code in [
            Code::BrokerTransportFailure,
            Code::AllBrokersDown,
            Code::NotLeaderForPartition,
            Code::CoordinatorLoadInProgress,
        ] {
            assert_eq!(meaning_of(code), Meaning::Outage, "{code:?}");
        }
        for code in [
            Code::RebalanceInProgress,
            Code::UnknownMemberId,
            Code::IllegalGeneration,
            Code::FencedLeaderEpoch,
            Code::UnstableOffsetCommit,
            Code::KafkaStorageError,
            Code::DestroyBroker,
        ] {
            assert_eq!(meaning_of(code), Meaning::Passing, "{code:?}");
        }
        assert_eq!(meaning_of(Code::PollExceeded), Meaning::PutOut);
        assert_eq!(meaning_of(Code::Unknown), Meaning::Doubtful);
    }

    #[test]
    fn what_the_client_can_never_read_or_has_never_been_heard_of_ends_the_run() {
        for (code, advice) in [
            (Code::BadMessage, DAMAGED),
            (Code::InvalidMessage, DAMAGED),
            (Code::BadCompression, DAMAGED),
            (Code::NotImplemented, UNKNOWN_FORMAT),
            (Code::MessageSizeTooLarge, TOO_LARGE),
            (Code::InconsistentGroupProtocol, ASSIGNOR),
            (Code::PolicyViolation, UNKNOWN),
            (Code::CriticalSystemResource, UNKNOWN),
        ] {
            assert_eq!(meaning_of(code), Meaning::Broken(advice), "{code:?}");
        }
        assert_eq!(meaning_of(Code::LogTruncation), Meaning::Overtaken);
        assert_eq!(meaning_of(Code::UnknownTopicOrPartition), Meaning::Gone);
        assert_eq!(meaning_of(Code::TopicAuthorizationFailed), Meaning::Denied);
    }

    #[test]
    fn the_partition_that_stands_at_the_offset_is_named() {
        let lane = |number, start| Lane {
            partition: Partition { topic: Name::new("prices"), number },
            start,
            handed: start,
            stored: start,
            end: None,
        };
        let lanes = [lane(0, 3), lane(1, 40)];
        let positions = HashMap::from([(("prices".to_owned(), 0), Offset::Offset(12))]);
        let named = place_of("MessageSet at offset 12 (99 bytes) failed CRC32C check", &lanes, &positions);
        assert_eq!(named, "prices/0 at offset 12");
        let either = place_of("no number", &lanes, &positions);
        assert_eq!(either, "prices/0 at offset 12 or prices/1 at offset 40");
    }
}
