//! Texts that are read in another encoding than theirs, known by their first bytes.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::shared::csv::TextEncoding;

/// How many bytes are looked at for UTF-16.
const SAMPLE: usize = 64;

/// Why a text that begins with these bytes most likely has another encoding than the one that it is read in, and
/// what to do; `None` if that is right as far as they tell.
pub(crate) fn wrong_encoding(start: &[u8], encoding: TextEncoding) -> Option<String> {
    if is_utf_32(start) {
        return Some(
            "is written in UTF-32, which cannot be read; convert it with `iconv -f UTF-32 -t UTF-8`".into(),
        );
    }
    let read_as = encoding.of(start).unwrap_or(UTF_8);
    if Encoding::for_bom(start).is_some_and(|(marked, _)| marked == UTF_8 || read_as != UTF_8) {
        // The mark takes precedence over the option.
        return None;
    }
    match likely_utf_16(start) {
        Some(likely) if likely == read_as => None,
        Some(likely) => {
            let label = likely.name().to_ascii_lowercase();
            Some(format!("is written in UTF-16; set encoding = \"{label}\""))
        }
        None if read_as == UTF_16LE || read_as == UTF_16BE => not_utf_16(start, read_as),
        None => None,
    }
}

/// Whether the first characters have four bytes each.
fn is_utf_32(start: &[u8]) -> bool {
    if start.starts_with(&[0xFF, 0xFE, 0, 0]) || start.starts_with(&[0, 0, 0xFE, 0xFF]) {
        return true;
    }
    let (characters, _) = start.as_chunks::<4>();
    let all = |is: fn(&[u8; 4]) -> bool| characters.len() >= 4 && characters.iter().take(16).all(is);
    all(|it| matches!(it, [1..=255, _, 0, 0])) || all(|it| matches!(it, [0, 0, _, 1..=255]))
}

/// The form of UTF-16 that the text most likely has.
fn likely_utf_16(start: &[u8]) -> Option<&'static Encoding> {
    match start {
        [0xFF, 0xFE, ..] => return Some(UTF_16LE),
        [0xFE, 0xFF, ..] => return Some(UTF_16BE),
        _ => {}
    }
    // Without a mark: in most scripts every second byte of a header is zero.
    let start = &start[..start.len().min(SAMPLE) & !1];
    let n_zeros = |offset: usize| start.iter().skip(offset).step_by(2).filter(|&&byte| byte == 0).count();
    let (n_even, n_odd, n_pairs) = (n_zeros(0), n_zeros(1), start.len() / 2);
    match n_pairs {
        0..2 => None,
        _ if n_even == 0 && n_odd * 4 > n_pairs * 3 => Some(UTF_16LE),
        _ if n_odd == 0 && n_even * 4 > n_pairs * 3 => Some(UTF_16BE),
        _ => None,
    }
}

/// Why a text without a byte order mark is not in this form of UTF-16.
fn not_utf_16(start: &[u8], encoding: &'static Encoding) -> Option<String> {
    let name = encoding.name();
    let (pairs, _) = start.as_chunks::<2>();
    // What stands between cells and rows; letters of few scripts have a zero byte beside one of these.
    let is_separator = |byte: u8| matches!(byte, b'\n' | b'\r' | b'\t' | b',' | b';' | b'|' | b'"');
    let n_little = pairs.iter().filter(|it| it[1] == 0 && is_separator(it[0])).count();
    let n_big = pairs.iter().filter(|it| it[0] == 0 && is_separator(it[1])).count();
    let (n_own, n_other, other) =
        if encoding == UTF_16LE { (n_little, n_big, "utf-16be") } else { (n_big, n_little, "utf-16le") };
    if n_own == 0 && n_other > 0 {
        return Some(format!(
            "is not written in {name}: its bytes have the other order; set encoding = \"{other}\""
        ));
    }
    // Two letters of Japanese may have four bytes that are ASCII, but not many letters, nor a line end.
    let is_long = start.len() >= 16;
    let has_line_end = start.contains(&b'\n') || start.contains(&b'\r');
    if n_own > 0 || start.contains(&0) || !is_long && !has_line_end {
        return None;
    }
    let is_utf_8 = std::str::from_utf8(start).map_or_else(|error| error.error_len().is_none(), |_| true);
    let n_ascii = start.iter().filter(|byte| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')).count();
    let (what, advice) = match is_utf_8 {
        true if n_ascii == start.len() => ("ASCII", "remove `encoding`"),
        true => ("UTF-8", "set encoding = \"utf-8\""),
        false if is_long && n_ascii * 10 > start.len() * 9 => {
            ("an encoding with one byte for a letter", "set encoding = \"windows-1252\", or the right one")
        }
        false => return None,
    };
    Some(format!("is not written in {name}: its first bytes are those of {what}; {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(start: &[u8], label: &str) -> Option<String> {
        wrong_encoding(start, TextEncoding::try_from(label.to_owned()).unwrap())
    }

    fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    const TEXTS: [&str; 5] =
        ["id\tname\tprice\n1\ta\t2\n", "a\n1\n", "日付,終値\n一,二\n", "Größe;Straße\n", "дата;цена\n"];

    #[test]
    fn text_in_its_own_encoding_is_accepted() {
        for text in TEXTS {
            assert_eq!(read_as(text.as_bytes(), "utf-8"), None, "{text}");
            assert_eq!(read_as(&utf_16(text, u16::to_le_bytes), "utf-16le"), None, "{text}");
            assert_eq!(read_as(&utf_16(text, u16::to_be_bytes), "utf-16be"), None, "{text}");
        }
        assert_eq!(read_as(b"a,b\n1,\0\0\0\0\0\0\0\0", "utf-8"), None);
        assert_eq!(read_as(b"\xEF\xBB\xBFa,b\n", "utf-16le"), None, "the mark takes precedence");
        assert_eq!(read_as(b"\xFE\xFF\0a\0,", "utf-16le"), None, "the mark takes precedence");
        assert_eq!(read_as(&utf_16("\u{3053}\u{3093}\u{306b}", u16::to_le_bytes), "utf-16le"), None);
    }

    #[test]
    fn other_encoding_than_utf_16_is_named() {
        for text in TEXTS {
            for label in ["utf-16le", "utf-16be"] {
                let reason = read_as(text.as_bytes(), label).unwrap();
                assert!(
                    reason.starts_with("is not written in UTF-16") && reason.contains("encoding"),
                    "{reason}"
                );
            }
            let reason = read_as(&utf_16(text, u16::to_be_bytes), "utf-16le").unwrap();
            assert!(reason.contains("set encoding = \"utf-16be\""), "{reason}");
            let reason = read_as(&utf_16(text, u16::to_le_bytes), "utf-16be").unwrap();
            assert!(reason.contains("set encoding = \"utf-16le\""), "{reason}");
        }
        let reason = read_as(b"Stra\xDFe;Gr\xF6\xDFe;Preis in Euro;Datum\n", "utf-16le").unwrap();
        assert!(reason.contains("windows-1252"), "{reason}");
        for label in ["utf-8", "auto", "windows-1252"] {
            let reason = read_as(&utf_16("id,name\n", u16::to_le_bytes), label).unwrap();
            assert_eq!(reason, "is written in UTF-16; set encoding = \"utf-16le\"", "{label}");
        }
        let marked = read_as(b"\xFF\xFEa\0", "utf-8").unwrap();
        assert_eq!(marked, "is written in UTF-16; set encoding = \"utf-16le\"");
    }

    #[test]
    fn utf_32_is_not_taken_for_utf_16() {
        let text = "id,name\n1,x\n";
        let little: Vec<u8> = text.chars().flat_map(|char| u32::from(char).to_le_bytes()).collect();
        let big: Vec<u8> = text.chars().flat_map(|char| u32::from(char).to_be_bytes()).collect();
        let marked = [&[0xFF, 0xFE, 0, 0][..], &little].concat();
        for bytes in [little, big, marked] {
            for label in ["utf-8", "auto", "utf-16le"] {
                assert!(read_as(&bytes, label).unwrap().contains("UTF-32"), "{label}");
            }
        }
    }
}
