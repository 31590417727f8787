//! What every plugin must do, whatever it reads or writes. A failed check panics, as a test does.

use std::time::Duration;

use tokio::time::timeout;

use super::drive_source::{Read, SourceDriver};
use super::{track, write};
use crate::error::Class;
use crate::position::Start;
use crate::record::Record;
use crate::sink::{Sink, WriteError};
use crate::source::{Replay, Source};
use crate::stop::StopReason;
use crate::transform::Transform;

/// A source whose service cannot be reached fails to open, or to read for the first time, with
/// [`Class::Unreachable`].
pub async fn source_is_unreachable(mut source: Box<dyn Source>) {
    let failed = match source.open(&Start::default()).await {
        Ok(()) => source.next().await.map(drop),
        opened => opened,
    };
    let class = failed.expect_err("nothing can be read while the service is unreachable").class();
    assert_eq!(class, Class::Unreachable);
}

/// A source that ends reads the same records again from the start, and the rest from every
/// position. `build` gives a new source on the same input each time.
///
/// A source that is not deterministic must at least end, and resume from its last position with
/// nothing more to read. If another system keeps the position, the source resumes after every
/// position that it has committed; its records must come in one order.
pub async fn source_resumes(mut build: impl AsyncFnMut() -> Box<dyn Source>) {
    let replay = build().await.replay();
    let mut whole = SourceDriver::open(build().await, &Start::default()).await.expect("opening");
    let all = whole.read(usize::MAX).await.expect("reading");
    assert!(all.has_ended, "the source must end");
    let n_items = all.records.len() + all.n_rejects;
    assert!(n_items > 1, "the input must have several records");
    let is_rest_after = |n_delivered: usize, rest: &Read| {
        assert_eq!(rest.records.len() + rest.n_rejects, n_items - n_delivered, "after {n_delivered} items");
        let n_before = all.records.len() - rest.records.len();
        assert_eq!(rest.bodies(), all.bodies()[n_before..], "after {n_delivered} items");
    };
    let first = if replay == Replay::NonDeterministic { n_items } else { 0 };
    for n_delivered in first..=n_items {
        if replay == Replay::External {
            // A second reader would share the input with the first one.
            if n_delivered > 0 {
                whole.commit_after(1).await.expect("committing");
            }
            whole.close().await.expect("closing");
            whole = SourceDriver::open(build().await, &Start::default()).await.expect("opening again");
            is_rest_after(n_delivered, &whole.read(usize::MAX).await.expect("reading again"));
        } else {
            let start = whole.start_after(n_delivered).expect("a position");
            let mut resumed = SourceDriver::open(build().await, &start).await.expect("opening again");
            is_rest_after(n_delivered, &resumed.read(usize::MAX).await.expect("reading again"));
            resumed.close().await.expect("closing");
        }
    }
    whole.close().await.expect("closing");
}

/// A read that is cancelled loses nothing: a new source that resumes from the last position reads
/// everything after it. Every future is polled for at most `poll_for` before it is dropped.
pub async fn source_survives_cancelled_reads(
    mut build: impl AsyncFnMut() -> Box<dyn Source>,
    poll_for: Duration,
) {
    let keeps_position = build().await.replay() != Replay::External;
    let mut whole = SourceDriver::open(build().await, &Start::default()).await.expect("opening");
    let all = whole.read(usize::MAX).await.expect("reading").bodies();
    whole.close().await.expect("closing");
    let (mut read, mut start) = (Vec::new(), Start::default());
    let mut poll_for = poll_for;
    while read.len() < all.len() {
        let mut source = SourceDriver::open(build().await, &start).await.expect("opening");
        if let Ok(some) = timeout(poll_for, source.read(1)).await {
            let some = some.expect("reading");
            let n_items = some.records.len() + some.n_rejects;
            read.extend(some.bodies());
            source.commit_after(n_items).await.expect("committing");
            if keeps_position {
                start = source.start_after(n_items).expect("a position");
            }
        }
        // The first reads are cancelled at once, the later ones after some time.
        poll_for = (poll_for * 2).max(Duration::from_millis(1));
        source.close().await.expect("closing");
    }
    assert_eq!(read, all);
}

/// A sink whose service cannot be reached fails to open with [`Class::Unreachable`].
pub async fn sink_is_unreachable(mut sink: Box<dyn Sink>) {
    let opened = sink.open().await;
    let class = opened.expect_err("opening must fail while the service is unreachable").class();
    assert_eq!(class, Class::Unreachable);
}

/// A sink stores what it says it has stored: after `Ok` and a flush `stored` gives the bodies of
/// all records, in any order. Writes of no records succeed.
pub async fn sink_stores(
    mut sink: Box<dyn Sink>,
    records: Vec<Record>,
    mut stored: impl AsyncFnMut() -> Vec<Vec<u8>>,
) {
    sink.open().await.expect("opening");
    write(&*sink, []).await.expect("writing nothing");
    let mut expected: Vec<Vec<u8>> =
        records.iter().filter_map(Record::to_bytes).map(|body| body.to_vec()).collect();
    write(&*sink, records).await.expect("writing");
    sink.flush(StopReason::InputEnded).await.expect("flushing");
    let mut stored = stored().await;
    stored.sort_unstable();
    expected.sort_unstable();
    assert_eq!(stored, expected);
}

/// A sink that is given a bad record between good ones rejects that one, with
/// [`Class::Rejected`], and stores the others.
pub async fn sink_rejects_one(
    mut sink: Box<dyn Sink>,
    good: [Record; 2],
    bad: Record,
    mut stored: impl AsyncFnMut() -> Vec<Vec<u8>>,
) {
    sink.open().await.expect("opening");
    let mut expected: Vec<Vec<u8>> =
        good.iter().filter_map(Record::to_bytes).map(|body| body.to_vec()).collect();
    let [first, last] = good;
    let failures = match write(&*sink, [first, bad, last]).await {
        Err(WriteError::Records(failures)) => failures,
        other => panic!("the bad record must be rejected alone, not {other:?}"),
    };
    let failures: Vec<_> = failures.iter().map(|(index, failure)| (*index, failure.class())).collect();
    assert_eq!(failures, [(1, Class::Rejected)]);
    sink.flush(StopReason::InputEnded).await.expect("flushing");
    let mut stored = stored().await;
    stored.sort_unstable();
    expected.sort_unstable();
    assert_eq!(stored, expected);
}

/// A transform ends every record: whatever it sends, filters, rejects or holds back, all records
/// are settled once it is finished.
pub async fn transform_settles_every_record(transform: &mut dyn Transform, records: Vec<Record>) {
    let (batch, acks) = track(records);
    super::apply(transform, batch).await.expect("applying");
    assert!(acks.is_settled(), "some records were neither sent, rejected nor released");
    assert_eq!(acks.n_failed(), 0, "no record may be dropped");
}

/// A transform whose output wants no more records stops, and releases what it holds.
pub async fn transform_stops_with_its_output(transform: &mut dyn Transform, records: Vec<Record>) {
    let (batch, acks) = track(records);
    let mut out = Closed;
    let flow = transform.apply(batch, &mut out).await.expect("applying");
    transform.finish(&mut out).await.expect("finishing");
    assert!(acks.is_settled(), "some records were neither sent, rejected nor released");
    assert_eq!(acks.n_failed(), 0, "no record may be dropped");
    assert!(flow.is_break() || acks.n_released() == 0, "it must stop once a batch was released");
}

/// An output that wants no records.
struct Closed;

#[async_trait::async_trait]
impl crate::transform::Output for Closed {
    async fn send(&mut self, batch: crate::batch::Batch) -> anyhow::Result<crate::stop::Flow> {
        batch.release();
        Ok(std::ops::ControlFlow::Break(()))
    }

    async fn reject(
        &mut self,
        mut batch: crate::batch::Batch,
        rejects: Vec<(usize, anyhow::Error)>,
    ) -> anyhow::Result<crate::batch::Batch> {
        let indices: Vec<usize> = rejects.iter().map(|(index, _)| *index).collect();
        batch.extract(&indices).ack();
        Ok(batch)
    }

    async fn sleep_until_or_stop(&mut self, _: tokio::time::Instant) -> crate::stop::Flow {
        std::ops::ControlFlow::Break(())
    }
}
