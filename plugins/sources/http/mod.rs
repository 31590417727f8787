//! `http`: asks an HTTP API.
