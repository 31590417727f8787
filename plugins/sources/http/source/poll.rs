//! One poll: the elements to walk, and those that have failed.

use std::collections::VecDeque;
use std::sync::Arc;

use anyhow::anyhow;
use runner_core::{Class, Failure};
use tracing::warn;

use super::super::elements::Element;

/// The elements of one poll.
#[derive(Debug, Default)]
pub(crate) struct Poll {
    queue: VecDeque<Arc<Element>>,
    /// Those that are tried again after the others.
    failed: VecDeque<Arc<Element>>,
    /// Those that are not tried again in this poll.
    refused: Vec<(Arc<Element>, Failure)>,
    is_retrying: bool,
    n_elements: usize,
    n_succeeded: usize,
}

/// What becomes of an element that has failed.
#[derive(Debug)]
pub(super) enum AfterFailure {
    /// The walk is tried again as it is, as soon as the engine asks.
    Retry(Failure),
    /// Other elements come first; the failure is passed on, if there is one.
    Later(Option<Failure>),
}

impl Poll {
    pub(crate) fn new(elements: impl IntoIterator<Item = Arc<Element>>) -> Self {
        let queue: VecDeque<Arc<Element>> = elements.into_iter().collect();
        Poll { n_elements: queue.len(), queue, ..Poll::default() }
    }

    /// The next element to walk.
    pub(crate) fn next(&mut self) -> Option<Arc<Element>> {
        let next = self.queue.pop_front();
        next.or_else(|| {
            self.is_retrying = true;
            self.failed.pop_front()
        })
    }

    pub(crate) fn has_several(&self) -> bool {
        self.n_elements > 1
    }

    /// Whether no element remains to be walked.
    pub(crate) fn is_over(&self) -> bool {
        self.queue.is_empty() && self.failed.is_empty() && self.refused.is_empty()
    }

    pub(crate) fn succeeded(&mut self) {
        self.n_succeeded += 1;
    }

    /// Whether an element was read to its end.
    pub(crate) fn has_success(&self) -> bool {
        self.n_succeeded > 0
    }

    /// Decides about an element that has failed. `polls_again` if there is an `interval`.
    pub(super) fn failed(
        &mut self,
        element: &Arc<Element>,
        failure: Failure,
        polls_again: bool,
    ) -> AfterFailure {
        // What is unreachable for one element is so for all.
        if !self.has_several() || failure.class() == Class::Unreachable {
            return AfterFailure::Retry(failure);
        }
        let element = Arc::clone(element);
        if !self.is_retrying {
            warn!(
                "the element {} has failed, and is tried again after the others: {:#}",
                element.describe(),
                failure.error()
            );
            self.failed.push_back(element);
            return AfterFailure::Later(None);
        }
        if failure.is_retryable() && !polls_again {
            self.failed.push_back(element);
            return AfterFailure::Later(Some(failure));
        }
        self.refused.push((element, failure));
        AfterFailure::Later(None)
    }

    /// The failure of the whole poll, if there is one. With an `interval` it is only a warning, as
    /// long as another element succeeds.
    pub(crate) fn finish(&mut self, polls_again: bool) -> Option<Failure> {
        let refused = std::mem::take(&mut self.refused);
        let (n_refused, n_elements) = (refused.len(), self.n_elements);
        if polls_again && self.n_succeeded == 0 {
            return refused.into_iter().next().map(|(_, failure)| failure);
        }
        let describe = |(element, failure): &(Arc<Element>, Failure)| {
            format!("{}: {:#}", element.describe(), failure.error())
        };
        let reasons: Vec<String> = refused.iter().map(describe).collect();
        if reasons.is_empty() {
            return None;
        }
        let reasons = reasons.join("; ");
        if polls_again {
            warn!(
                "{n_refused} of {n_elements} elements have failed, and are asked for again at the next poll: {reasons}"
            );
            return None;
        }
        Some(Failure::fatal(anyhow!(
            "{n_refused} of {n_elements} elements have failed; the others are complete: {reasons}"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn poll(names: &[&str]) -> Poll {
        Poll::new(names.iter().map(|name| Arc::new(Element::new([("s".to_owned(), json!(name))]))))
    }

    fn next(poll: &mut Poll) -> Option<(Arc<Element>, String)> {
        poll.next().map(|element| (Arc::clone(&element), element.text("s").unwrap()))
    }

    #[test]
    fn failed_element_is_tried_again_after_the_others() {
        let mut poll = poll(&["a", "b"]);
        let (a, _) = next(&mut poll).unwrap();
        let refused = || Failure::fatal(anyhow!("no such symbol"));
        assert!(matches!(poll.failed(&a, refused(), false), AfterFailure::Later(None)));
        assert_eq!(next(&mut poll).unwrap().1, "b");
        poll.succeeded();
        let (a, name) = next(&mut poll).unwrap();
        assert_eq!(name, "a");
        assert!(matches!(poll.failed(&a, refused(), false), AfterFailure::Later(None)));
        assert!(next(&mut poll).is_none());
        let failure = poll.finish(false).unwrap();
        assert!(!failure.is_retryable());
        assert_eq!(
            failure.error().to_string(),
            "1 of 2 elements have failed; the others are complete: s = `a`: no such symbol"
        );
    }

    #[test]
    fn transient_failure_is_left_to_the_engine_or_to_the_next_poll() {
        let transient = || Failure::transient(anyhow!("busy"));
        for polls_again in [false, true] {
            let mut poll = poll(&["a", "b"]);
            let (a, _) = next(&mut poll).unwrap();
            drop(poll.failed(&a, transient(), polls_again));
            let (b, _) = next(&mut poll).unwrap();
            poll.succeeded();
            drop(b);
            let (a, _) = next(&mut poll).unwrap();
            let again = poll.failed(&a, transient(), polls_again);
            assert_eq!(matches!(again, AfterFailure::Later(Some(_))), !polls_again);
            assert_eq!(next(&mut poll).is_some(), !polls_again);
            assert!(poll.finish(polls_again).is_none());
        }
    }

    #[test]
    fn poll_in_which_all_elements_fail_fails() {
        let mut poll = poll(&["a", "b"]);
        while let Some((element, _)) = next(&mut poll) {
            drop(poll.failed(&element, Failure::fatal(anyhow!("denied")), true));
        }
        assert_eq!(poll.finish(true).unwrap().error().to_string(), "denied");
    }

    #[test]
    fn only_element_and_unreachable_host_are_left_to_the_engine() {
        let mut one = poll(&["a"]);
        let (a, _) = next(&mut one).unwrap();
        assert!(matches!(one.failed(&a, Failure::fatal(anyhow!("x")), true), AfterFailure::Retry(_)));
        let mut two = poll(&["a", "b"]);
        let (a, _) = next(&mut two).unwrap();
        assert!(matches!(two.failed(&a, Failure::unreachable(anyhow!("x")), true), AfterFailure::Retry(_)));
    }
}
