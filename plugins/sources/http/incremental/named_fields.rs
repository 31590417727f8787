//! Whether rows have the fields that `key` and `compare` name.

use super::super::json::Members;
use super::Incremental;

/// How many rows of a walk have one of these fields.
#[derive(Debug, Default)]
pub(super) struct NamedFields {
    n_rows: usize,
    n_with_key: usize,
    n_with_compare: usize,
}

impl NamedFields {
    /// Counts a row. Returns whether it has a field of `key`: without one, nothing tells it from other such rows.
    pub(super) fn add(&mut self, options: &Incremental, members: &Members<'_>) -> bool {
        let has_key = options.key.as_ref().is_some_and(|key| members.has_any(key));
        self.n_rows += 1;
        self.n_with_key += usize::from(has_key);
        self.n_with_compare +=
            usize::from(options.compare.as_ref().is_some_and(|compare| members.has_any(compare)));
        has_key
    }

    /// The option none of whose fields is in any row.
    pub(super) fn missing(&self, options: &Incremental) -> Option<&'static str> {
        match () {
            () if self.n_rows == 0 => None,
            () if options.key.is_some() && self.n_with_key == 0 => Some("key"),
            () if options.compare.is_some() && self.n_with_compare == 0 => Some("compare"),
            () => None,
        }
    }
}
