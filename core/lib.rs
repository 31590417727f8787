//! The engine of `runner` and the words of its trade.
//!
//! This crate knows no plugin, no verb of the command line and no client
//! library. `ARCHITECTURE.md` beside this file is the map.

mod ack;
mod batch;
pub mod config;
mod dead_letter;
mod durable;
mod engine;
mod error;
mod in_flight;
mod json;
mod pipeline;
mod pipeline_options;
mod plugin;
mod progress;
mod record;
mod redaction;
mod replay;
mod report;
pub mod schema;
mod secret;
mod sink;
mod source;
mod sync;
mod table;
pub mod testing;
mod transform;
mod units;

pub use anyhow::{Error, Result};
pub use async_trait::async_trait;
pub use inventory::submit as register;

pub use batch::{Batch, Position, Positions, Reject};
pub use dead_letter::DeadLetter;
pub use durable::create_folder;
pub use engine::{Checkpoint, RunOptions, checkpoints, open_sink, reset_checkpoints, run};
pub use error::{Missing, OptionError, OptionErrors, OutputClosed, Unreachable, is_unreachable};
pub use pipeline::{Counts, Monitor, Pipeline};
pub use plugin::{BatchLimits, BuildContext, Built, Kind, Plugin, Registry, RetryLimits};
pub use progress::Gauges;
pub use record::{Body, EntryNumber, Header, Headers, Name, Origin, Record};
pub use redaction::Redaction;
pub use report::{ComponentReport, PipelineReport, Status};
pub use secret::Secret;
pub use sink::{Failure, ShutdownReason, Sink, SinkConfig, Transaction, WriteError};
pub use source::{Committer, ReadError, Replay, Source, SourceConfig, Start};
pub use table::{Column, ColumnType, JsonKeys, Row, Table, TableHeader};
pub use transform::{Flow, Output, Transform, TransformConfig};
pub use units::{ByteSize, HumanDuration};
