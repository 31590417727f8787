//! shared: aws
