//! shared: key_template
