//! Transactions that hold what a sink has written and the position of its source.

use std::any::Any;
use std::sync::Arc;

use anyhow::Result;

/// A sink that writes in transactions: a record counts only once the position of its source is
/// committed with it.
///
/// All records of such a sink come from one source and go nowhere else; otherwise the pipeline is
/// refused. The engine gives the handle to that source. The source's
/// [`Committer`](crate::Committer) is called only with positions after everything that was
/// written since its last call, and no write begins until it has returned. So `Ok` of
/// [`Sink::write`](crate::Sink::write) means that the records are durable once the transaction is
/// committed.
pub trait TransactionalSink {
    /// The option that asks for transactions; errors about them are shown there.
    fn option(&self) -> &'static str;

    /// A value whose type the plugins of both sides know; the engine only passes it on.
    fn handle(&self) -> Arc<dyn Any + Send + Sync>;
}

/// A source that can commit its positions in the transactions of a sink.
pub trait TransactionalSource {
    /// Takes the handle of the sink, before `open`. The error says why that is not possible. After
    /// the last commit, [`Source::close`](crate::Source::close) aborts what is not committed.
    fn join(&mut self, handle: Arc<dyn Any + Send + Sync>) -> Result<()>;
}
