//! What several plugins share.

pub(crate) mod athena;
pub(crate) mod aws;
pub(crate) mod certificate;
pub(crate) mod compression;
pub(crate) mod csv;
pub(crate) mod file_loop;
pub(crate) mod file_part;
pub(crate) mod fixed_text;
pub(crate) mod formats;
pub(crate) mod gzip;
pub(crate) mod json_paths;
pub(crate) mod json_text;
pub(crate) mod kafka;
pub(crate) mod key_template;
pub(crate) mod quiet_panic;
pub(crate) mod record_field;
#[cfg(test)]
pub(crate) mod test_rows;
pub(crate) mod text;
pub(crate) mod values;
pub(crate) mod vrl;

/// For the `default` of serde, which takes a function.
pub(crate) fn default_true() -> bool {
    true
}
