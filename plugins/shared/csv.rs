//! shared: csv
