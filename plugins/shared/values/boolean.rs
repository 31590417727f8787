//! Booleans in their usual spellings.

use super::Misfit;

/// Appends `true` or `false`.
pub(super) fn write(text: &[u8], out: &mut Vec<u8>) -> Result<(), Misfit> {
    let is = |words: [&str; 4]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    if is(["true", "t", "yes", "y"]) || text == b"1" {
        out.extend_from_slice(b"true");
    } else if is(["false", "f", "no", "n"]) || text == b"0" {
        out.extend_from_slice(b"false");
    } else {
        return Err(Misfit::Boolean);
    }
    Ok(())
}
