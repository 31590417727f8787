//! Finds a place in the text of an option again in the pipeline file, where the text is a TOML
//! string that may have escapes and variables.

use std::ops::Range;

/// Where a range of `text` is in `source`, which holds it as the TOML string at `literal`. `text`
/// is the string with its variables replaced: a place inside the value of a variable is shown at
/// the variable.
pub(crate) fn place_in_file(
    source: &str,
    literal: &Range<usize>,
    text: &str,
    span: &Range<usize>,
) -> Option<Range<usize>> {
    let written = Decoded::of(source.get(literal.clone())?)?;
    let text = text.as_bytes();
    let bytes = written.text.as_bytes();
    let same = |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| pairs.take_while(|(a, b)| a == b).count();
    let n_before = same(&mut bytes.iter().zip(text));
    let shorter = bytes.len().min(text.len()) - n_before;
    let n_after = same(&mut bytes.iter().rev().zip(text.iter().rev()).take(shorter));
    let moved = |at: usize, inside: usize| {
        if at <= n_before {
            at
        } else if at + n_after >= text.len() {
            (at + bytes.len()).saturating_sub(text.len()).min(bytes.len())
        } else {
            inside
        }
    };
    let start = moved(span.start, n_before);
    let end = moved(span.end, bytes.len() - n_after).max(start);
    Some(literal.start + written.at(start)..literal.start + written.at(end))
}

/// A TOML string without its quotes and escapes.
struct Decoded {
    text: String,
    /// Where each byte of the text begins in the literal, and where the text ends.
    places: Vec<usize>,
}

impl Decoded {
    fn at(&self, index: usize) -> usize {
        self.places[index.min(self.places.len() - 1)]
    }

    /// Reads a valid TOML string with its quotes.
    fn of(literal: &str) -> Option<Decoded> {
        let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| literal.starts_with(quotes))?;
        let inner = literal[quotes.len()..].strip_suffix(quotes)?;
        let mut decoded = Decoded { text: String::new(), places: Vec::new() };
        let is_long = quotes.len() == 3;
        // The line end after the opening quotes is not part of the string.
        let rest = inner.strip_prefix("\r\n").or_else(|| inner.strip_prefix('\n')).filter(|_| is_long);
        let mut rest = rest.unwrap_or(inner);
        let place = |rest: &str| literal.len() - quotes.len() - rest.len();
        while let Some(c) = rest.chars().next() {
            let at = place(rest);
            rest = &rest[c.len_utf8()..];
            let c = match c {
                '\\' if quotes.starts_with('"') => match escape(&mut rest)? {
                    Some(c) => c,
                    None => continue,
                },
                c => c,
            };
            decoded.text.push(c);
            decoded.places.resize(decoded.text.len(), at);
        }
        decoded.places.push(literal.len() - quotes.len());
        Some(decoded)
    }
}

/// Reads what follows a backslash; `Some(None)` if it stands for nothing.
#[allow(clippy::option_option, reason = "an escape can be invalid, or stand for no character")]
fn escape(rest: &mut &str) -> Option<Option<char>> {
    let kind = rest.chars().next()?;
    if matches!(kind, ' ' | '\t' | '\r' | '\n') {
        *rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        return Some(None);
    }
    *rest = &rest[kind.len_utf8()..];
    let n_digits = match kind {
        'b' => return Some(Some('\u{8}')),
        't' => return Some(Some('\t')),
        'n' => return Some(Some('\n')),
        'f' => return Some(Some('\u{c}')),
        'r' => return Some(Some('\r')),
        'e' => return Some(Some('\u{1b}')),
        '"' | '\\' => return Some(Some(kind)),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let code = u32::from_str_radix(rest.get(..n_digits)?, 16).ok()?;
    *rest = &rest[n_digits..];
    char::from_u32(code).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the place of `word` in the text covers in the file.
    fn shown<'a>(source: &'a str, text: &str, word: &str) -> &'a str {
        let start = source.find(['"', '\'']).unwrap();
        let start_of_word = text.find(word).unwrap();
        let span = start_of_word..start_of_word + word.len();
        let place = place_in_file(source, &(start..source.trim_end().len()), text, &span).unwrap();
        &source[place]
    }

    #[test]
    fn place_in_every_kind_of_string_is_found() {
        assert_eq!(shown("a = 'x = bad'\n", "x = bad", "bad"), "bad");
        assert_eq!(shown("a = \"x = bad\"", "x = bad", "bad"), "bad");
        assert_eq!(shown("a = '''\nx = 1\ny = bad\n'''", "x = 1\ny = bad\n", "bad"), "bad");
        assert_eq!(shown("a = \"\"\"x\ny = bad\"\"\"", "x\ny = bad", "bad"), "bad");
    }

    #[test]
    fn place_after_escapes_is_found() {
        assert_eq!(shown(r#"a = "\"é\u00e9\" + bad""#, "\"éé\" + bad", "bad"), "bad");
        assert_eq!(shown(r#"a = "x\ty + bad""#, "x\ty + bad", "x\ty"), r"x\ty");
        assert_eq!(shown("a = \"\"\"x \\\n   + bad\"\"\"", "x + bad", "bad"), "bad");
    }

    #[test]
    fn place_around_a_variable_is_found() {
        let source = "a = 'x = ${NAME} + bad'";
        assert_eq!(shown(source, "x = 12345678 + bad", "bad"), "bad");
        assert_eq!(shown(source, "x = 12345678 + bad", "x ="), "x =");
        assert_eq!(shown(source, "x = 12345678 + bad", "345"), "${NAME}");
    }
}
