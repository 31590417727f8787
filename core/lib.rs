//! The engine of `runner`, and the contract between it and plugins.
//!
//! This crate knows no plugin, no verb of the command line and no client library.
//! `ARCHITECTURE.md` in this folder is the map.

mod ack;
mod adapters;
mod batch;
mod build_context;
mod checkpoint;
pub mod config;
mod dead_letter;
mod durable;
mod engine;
mod entry_number;
mod error;
mod in_flight;
mod json;
mod letter_store;
mod pipeline;
mod pipeline_options;
mod plugin;
mod position;
mod progress;
mod read_batch;
mod record;
mod redaction;
mod replay;
mod report;
mod run;
mod saved_state;
pub mod schema;
mod secret;
mod sink;
mod source;
mod stop;
mod sync;
mod table;
pub mod testing;
mod text_error;
mod transaction;
mod transform;
mod units;

pub use anyhow::{Error, Result};
pub use async_trait::async_trait;
pub use inventory::submit as register;

pub use adapters::{MapRecord, PollSource, Polled, RecordSink, map_records, poll_source, record_sink};
pub use batch::{Batch, Mapped, RecordHandle};
pub use build_context::{BuildContext, Upstream};
pub use checkpoint::{Checkpoint, checkpoints, reset_checkpoints};
pub use dead_letter::DeadLetter;
pub use durable::{create_folder, sync_parent};
pub use engine::{RunOptions, open_sink};
pub use entry_number::EntryNumber;
pub use error::{Class, Failure, OptionError, OptionErrors, class_of};
pub use letter_store::{LetterId, LetterReader, LetterStore, StoredLetter};
pub use pipeline::{Counts, Monitor, Pipeline};
pub use pipeline_options::{BatchLimits, RetryLimits};
pub use plugin::{Built, Kind, Plugin, Registry};
pub use position::{Position, Positions, Start};
pub use progress::Gauges;
pub use read_batch::{ReadBatch, Reject};
pub use record::{Body, Header, Headers, Name, Origin, Record};
pub use redaction::Redaction;
pub use report::{ComponentReport, PipelineReport, Status};
pub use run::run;
pub use saved_state::{Place, SavedState};
pub use secret::Secret;
pub use sink::{Background, Crawler, CrawlerDefinition, Sink, SinkConfig, WriteError};
pub use source::{Committer, Next, Replay, Source, SourceConfig};
pub use stop::{Flow, StopReason};
pub use table::{ABSENT_CELL, Column, ColumnType, JsonKeys, Row, Table, TableHeader};
pub use text_error::{TextError, Warnings};
pub use transaction::{TransactionalSink, TransactionalSource};
pub use transform::{Output, Transform, TransformConfig};
pub use units::{ByteSize, HumanDuration};
