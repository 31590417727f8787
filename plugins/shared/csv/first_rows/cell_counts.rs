//! Counts of the cells of a column, for cells of which there are few and that decide its type.

use runner_core::ColumnType;

use crate::shared::csv::types::stands_for_null;

/// With more texts than these in a sample a column has texts on purpose.
const MAX_TEXTS: usize = 200;

/// A row of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The index of its text in the sample.
    pub(crate) text: usize,
    /// Its line.
    pub(crate) line: u64,
}

/// What the cells of a column are.
#[derive(Debug, Default)]
pub(super) struct CellCounts {
    n_numbers: usize,
    /// Neither numbers nor texts for a missing value.
    n_texts: usize,
    first_text: Option<Place>,
    /// Whether a cell of digits is not a number, such as `007`, or one with more than 64 bits.
    has_codes: bool,
    /// The first number that may be a code: with an exponent, and without a sign and a fraction.
    first_exponent: Option<Place>,
    has_fractions: bool,
}

impl CellCounts {
    /// Adds a cell of this type.
    pub(super) fn add(&mut self, text: &[u8], kind: ColumnType, place: Place) {
        match kind {
            ColumnType::Integer => self.n_numbers += 1,
            ColumnType::Float => {
                self.n_numbers += 1;
                if text.iter().all(u8::is_ascii_alphanumeric) {
                    self.first_exponent.get_or_insert(place);
                } else {
                    self.has_fractions = true;
                }
            }
            _ if self.n_texts > MAX_TEXTS => {}
            _ if text.iter().all(u8::is_ascii_digit) => self.has_codes = true,
            _ if !stands_for_null(text) => {
                self.n_texts += 1;
                self.first_text.get_or_insert(place);
            }
            _ => {}
        }
    }

    /// How many cells are texts, and the first one, if nearly all others are numbers.
    pub(super) fn texts_among_numbers(&self) -> Option<(usize, Place)> {
        let is_rare = self.n_numbers >= 3 && (self.n_texts == 1 || self.n_texts * 50 <= self.n_numbers);
        self.first_text.filter(|_| is_rare && !self.has_codes).map(|place| (self.n_texts, place))
    }

    /// The first number such as `12E4`, if there is no other one with an exponent or a fraction.
    pub(super) fn exponent_like_a_code(&self) -> Option<Place> {
        self.first_exponent.filter(|_| !self.has_fractions)
    }

    /// The type of the numbers.
    pub(super) fn is_of_integers(&self) -> bool {
        self.first_exponent.is_none() && !self.has_fractions
    }
}
