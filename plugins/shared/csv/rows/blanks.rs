//! Blanks: the characters that `trim` removes.

/// Spaces and tabs, and spaces that do not break.
pub(crate) fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\u{a0}' | '\u{2007}' | '\u{202f}' | '\u{3000}')
}

/// The blanks of more than one byte.
const WIDE_BLANKS: [&[u8]; 4] = [b"\xC2\xA0", b"\xE2\x80\x87", b"\xE2\x80\xAF", b"\xE3\x80\x80"];

/// How many bytes the blanks at the beginning of `bytes` take; `delimiter` is not one.
pub(crate) fn n_blanks(bytes: &[u8], delimiter: u8) -> usize {
    let mut at = 0;
    loop {
        match bytes.get(at) {
            Some(&byte @ (b' ' | b'\t')) if byte != delimiter => at += 1,
            Some(0x80..) => match WIDE_BLANKS.iter().find(|blank| bytes[at..].starts_with(blank)) {
                Some(blank) => at += blank.len(),
                None => return at,
            },
            _ => return at,
        }
    }
}

/// How many bytes the blanks at the end of `bytes` take.
pub(crate) fn n_blanks_at_end(bytes: &[u8]) -> usize {
    let mut end = bytes.len();
    loop {
        match bytes[..end].last() {
            Some(b' ' | b'\t') => end -= 1,
            Some(0x80..) => match WIDE_BLANKS.iter().find(|blank| bytes[..end].ends_with(blank)) {
                Some(blank) => end -= blank.len(),
                None => break,
            },
            _ => break,
        }
    }
    bytes.len() - end
}

/// Whether `bytes` may be the first bytes of a blank.
pub(crate) fn is_part_of_blank(bytes: &[u8]) -> bool {
    !bytes.is_empty() && WIDE_BLANKS.iter().any(|blank| bytes.len() < blank.len() && blank.starts_with(bytes))
}
