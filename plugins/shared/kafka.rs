//! shared: kafka
