//! The `unchanged` option.

use schemars::JsonSchema;
use serde::Deserialize;

/// What becomes of rows that the element's last delivered walk held as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unchanged {
    /// They are skipped, as often as that walk held them.
    #[default]
    Skip,
    /// Every answer is delivered.
    Deliver,
}
