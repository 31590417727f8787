//! The position of the source: the execution whose rows are being read, and how many were delivered.

use serde::{Deserialize, Serialize};

/// Where reading resumes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AthenaPosition {
    /// The execution whose rows are being read; `None` once all of them have been delivered.
    pub(super) execution: Option<Execution>,
    /// How many rows this source has delivered in all its runs.
    pub(super) offset: u64,
}

/// An execution of the query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Execution {
    pub(super) id: String,
    /// How many of its rows have been delivered.
    pub(super) taken: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_survives_a_restart() {
        for execution in [None, Some(Execution { id: "4f2a".into(), taken: 1000 })] {
            let position = AthenaPosition { execution, offset: 3000 };
            let saved = serde_json::to_value(&position).unwrap();
            assert_eq!(AthenaPosition::deserialize(saved).unwrap(), position);
        }
    }
}
