//! Adapters for the common cases: a source that polls, a transform that maps one record, a sink
//! that writes one record.

mod map_record;
mod poll_source;
mod record_sink;

pub use map_record::{MapRecord, map_records};
pub use poll_source::{PollSource, Polled, poll_source};
pub use record_sink::{RecordSink, record_sink};
