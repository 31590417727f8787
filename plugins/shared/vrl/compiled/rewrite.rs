//! Edits of a program between two compilations: it is compiled as it is written first, then with
//! calls of functions that do the same with less memory, or with a limit.

/// A part of a program, in bytes, and what stands in its place.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: String,
}

/// A program that was edited.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) text: String,
    /// Where a byte of the text comes from: pairs of a place in the text and in the original, both
    /// ascending.
    places: Vec<(usize, usize)>,
}

impl Rewritten {
    /// The program with these edits, which do not overlap.
    pub(super) fn of(original: &str, mut edits: Vec<Edit>) -> Rewritten {
        edits.sort_by_key(|edit| edit.start);
        let mut rewritten = Rewritten { text: String::new(), places: vec![(0, 0)] };
        let mut copied = 0;
        for Edit { start, end, text } in edits {
            rewritten.text.push_str(original.get(copied..start).unwrap_or_default());
            rewritten.text.push_str(&text);
            rewritten.places.push((rewritten.text.len(), end));
            copied = end;
        }
        rewritten.text.push_str(original.get(copied..).unwrap_or_default());
        rewritten
    }

    /// The place in the original program.
    pub(super) fn original_place(&self, at: usize) -> usize {
        let last = self.places.iter().rfind(|(place, _)| *place <= at);
        last.map_or(at, |(place, original)| original + (at - place))
    }
}
