//! Kinds of error codes.

use rdkafka::error::RDKafkaErrorCode as Code;

const DENIED: &[Code] = &[
    Code::TopicAuthorizationFailed,
    Code::GroupAuthorizationFailed,
    Code::ClusterAuthorizationFailed,
    Code::TransactionalIdAuthorizationFailed,
    Code::SaslAuthenticationFailed,
    Code::Authentication,
];

#[rustfmt::skip]
const OUTAGE_CODES: &[Code] = &[
    Code::BrokerTransportFailure, Code::AllBrokersDown, Code::Resolve, Code::NetworkException, Code::SSL,
    Code::OperationTimedOut, Code::RequestTimedOut, Code::TimedOutQueue, Code::LeaderNotAvailable,
    Code::NotLeaderForPartition, Code::WaitingForCoordinator, Code::CoordinatorNotAvailable, Code::NotCoordinator,
    Code::CoordinatorLoadInProgress,
];

/// Whether access was denied: credentials or permissions.
pub(crate) fn is_denied(code: Code) -> bool {
    DENIED.contains(&code)
}

/// Whether no broker is reachable, or none leads the partition or the group at the moment.
pub(crate) fn is_outage(code: Code) -> bool {
    OUTAGE_CODES.contains(&code)
}
