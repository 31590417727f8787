//! Options whose value is the same for all records.

use std::collections::BTreeMap;

use runner_core::{Error, OptionError};

/// Refuses values with a placeholder such as `{{ .id }}`: it would be written as it is.
///
/// `option` is a table of names and texts.
pub(crate) fn check_without_fields(option: &str, values: &BTreeMap<String, String>) -> Result<(), Error> {
    match values.iter().find(|(_, value)| value.contains("{{")) {
        Some((name, _)) => Err(OptionError::new(
            option,
            format!("the value of `{name}` is written as it is: it cannot contain fields of the record"),
        )),
        None => Ok(()),
    }
}
