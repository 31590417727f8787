//! A position says which execution of the query is being read, and how far.

use runner_core::Position;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Where reading goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// The execution whose rows are being read; none once all of them have been delivered.
    pub(super) execution: Option<Execution>,
    /// How many rows this source has given in all its runs.
    pub(super) offset: u64,
}

/// One execution of the query, in part delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Execution {
    pub(super) id: String,
    /// How many of its rows have been delivered.
    pub(super) taken: u64,
}

impl Place {
    pub(super) fn to_position(&self) -> Position {
        Position(json!(self))
    }

    pub(super) fn from_position(position: &Position) -> Result<Self, serde_json::Error> {
        Place::deserialize(&position.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_a_restart() {
        for execution in [None, Some(Execution { id: "4f2a".into(), taken: 1000 })] {
            let place = Place { execution, offset: 3000 };
            assert_eq!(Place::from_position(&place.to_position()).unwrap(), place);
        }
    }
}
