//! Rows that are longer than a row may be.

use super::input::{Input, MAX_ROW};
use crate::shared::csv::{Grammar, Next, QuoteError, Span, next_row};

impl Input {
    /// The first row of the window.
    pub(super) fn next_row(&self, grammar: &Grammar) -> Next {
        match next_row(self.window(), grammar, self.is_at_end()) {
            Next::NeedMore => {
                self.cut_row(grammar).map_or(Next::NeedMore, |(span, error)| Next::BadQuotes(span, error))
            }
            next => next,
        }
    }

    /// The first row if it is as long as the window may be: the quote in it counts as unclosed, and rejects its line.
    pub(super) fn cut_row(&self, grammar: &Grammar) -> Option<(Span, QuoteError)> {
        if !self.is_full() {
            return None;
        }
        match next_row(self.window(), grammar, true) {
            Next::BadQuotes(span, error) if span.is_closed => Some((span, error)),
            _ => None,
        }
    }

    /// Whether the window is as long as a row may be.
    pub(super) fn is_full(&self) -> bool {
        self.window().len() >= MAX_ROW
    }
}
