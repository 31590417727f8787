//! The text of a pipeline file without its secrets.

use std::ops::Range;

/// What is shown in the place of a secret.
pub(crate) const MASK: &str = "***";

/// A source text without its secrets.
#[derive(Clone, Debug)]
pub(crate) struct Masked {
    pub(crate) text: String,
    /// What was replaced: its place before and after.
    replaced: Vec<(Range<usize>, Range<usize>)>,
}

impl Masked {
    /// Replaces these places, which do not overlap.
    pub(crate) fn new(source: &str, mut hidden: Vec<Range<usize>>) -> Self {
        hidden.sort_by_key(|place| place.start);
        let mut masked = Masked { text: String::new(), replaced: Vec::new() };
        let mut end = 0;
        for place in hidden {
            masked.text.push_str(&source[end..place.start]);
            let start = masked.text.len();
            masked.text.push_str(MASK);
            // The lines below keep their numbers.
            masked.text.extend(source[place.clone()].matches('\n'));
            end = place.end;
            masked.replaced.push((place, start..masked.text.len()));
        }
        masked.text.push_str(&source[end..]);
        masked
    }

    /// Where a place of the source is in the text.
    pub(crate) fn span(&self, span: &Range<usize>) -> Range<usize> {
        let moved = |at: usize, is_end: bool| match self.replaced.iter().rfind(|(it, _)| it.start < at) {
            None => at,
            Some((before, after)) if at >= before.end => at - before.end + after.end,
            Some((_, after)) => {
                if is_end {
                    after.end
                } else {
                    after.start
                }
            }
        };
        moved(span.start, false)..moved(span.end, true)
    }
}
