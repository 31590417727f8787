//! The encoding of files: the option, and a reader that turns it into UTF-8.

use std::io::{self, BufRead as _, BufReader, Cursor, Read};

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use schemars::JsonSchema;
use serde::Deserialize;

/// How much is decoded at once.
const BLOCK: usize = 64 << 10;

/// What stands for bytes that are not valid in the encoding: no valid UTF-8, so that the row is rejected.
const INVALID: u8 = 0xFF;

/// The encoding of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", inline, extend("minLength" = 1))]
pub(crate) enum TextEncoding {
    /// UTF-16 where a file begins with its byte order mark, else UTF-8.
    Auto,
    /// This one; a byte order mark takes precedence.
    Given(&'static Encoding),
}

impl Default for TextEncoding {
    fn default() -> Self {
        TextEncoding::Given(UTF_8)
    }
}

impl TryFrom<String> for TextEncoding {
    type Error = String;

    fn try_from(label: String) -> Result<Self, String> {
        if label == "auto" {
            return Ok(TextEncoding::Auto);
        }
        let known = |label: &str| Encoding::for_label_no_replacement(label.as_bytes());
        let encoding = known(&label).or_else(|| known(&usual_label(&label)));
        encoding.map(TextEncoding::Given).ok_or_else(|| {
            format!(
                "`{label}` is not the label of an encoding, such as \"utf-8\", \"utf-16le\", \"windows-1252\", \
                 \"iso-8859-2\", \"shift_jis\", \"gbk\" or \"auto\""
            )
        })
    }
}

/// The label of the standard for a name that other programs use, such as `latin-1`, `ISO8859_1` or `utf-8-sig`.
fn usual_label(name: &str) -> String {
    let key: String =
        name.chars().filter(char::is_ascii_alphanumeric).map(|char| char.to_ascii_lowercase()).collect();
    let label = match key.as_str() {
        "utf8sig" | "utf8bom" | "utf8mb4" => "utf-8",
        "ucs2" | "ucs2le" | "utf16" | "utf16le" => "utf-16le",
        "ucs2be" | "utf16be" => "utf-16be",
        "ansi" => "windows-1252",
        "latin7" => "iso-8859-13",
        "latin8" => "iso-8859-14",
        "latin9" => "iso-8859-15",
        "latin10" => "iso-8859-16",
        "macroman" => "macintosh",
        "sjis" | "shiftjis" | "cp932" | "windows932" => "shift_jis",
        "eucjp" => "euc-jp",
        "euckr" | "cp949" | "windows949" => "euc-kr",
        "cp936" | "windows936" => "gbk",
        "big5hkscs" | "cp950" | "windows950" => "big5",
        "koi8r" => "koi8-r",
        "koi8u" => "koi8-u",
        key => {
            let number = |start: &str| key.strip_prefix(start).filter(|rest| rest.parse::<u16>().is_ok());
            let windows = || ["windows", "win", "cp", "ms"].iter().find_map(|start| number(start));
            return match (number("iso8859"), windows()) {
                (Some(part), _) => format!("iso-8859-{part}"),
                (None, Some("866")) => "ibm866".into(),
                (None, Some(page)) => format!("windows-{page}"),
                (None, None) => key.to_owned(),
            };
        }
    };
    label.to_owned()
}

impl TextEncoding {
    /// The encoding of a file that begins with these bytes; `None` for UTF-8, which is not decoded.
    pub(crate) fn of(self, start: &[u8]) -> Option<&'static Encoding> {
        let given = match self {
            TextEncoding::Auto => Encoding::for_bom(start).map_or(UTF_8, |(encoding, _)| encoding),
            TextEncoding::Given(encoding) => encoding,
        };
        (given != UTF_8).then_some(given)
    }

    /// Whether it is said to be UTF-16.
    pub(crate) fn is_utf_16(self) -> bool {
        matches!(self, TextEncoding::Given(encoding) if encoding == UTF_16LE || encoding == UTF_16BE)
    }

    /// Whether a decoded text has letters outside of ASCII, and if it has, whether its bytes are UTF-8. `None` if it
    /// has none, or if the encoding has more than one byte for a letter.
    pub(crate) fn was_utf_8(self, decoded: &[u8]) -> Option<bool> {
        let TextEncoding::Given(encoding) = self else { return None };
        if !encoding.is_single_byte() || decoded.is_ascii() {
            return None;
        }
        let (bytes, _, has_failed) = encoding.encode(std::str::from_utf8(decoded).ok()?);
        Some(!has_failed && std::str::from_utf8(&bytes).is_ok())
    }

    /// The encoding of text without a byte order mark.
    pub(crate) fn encoding(self) -> &'static Encoding {
        match self {
            TextEncoding::Auto => UTF_8,
            TextEncoding::Given(encoding) => encoding,
        }
    }

    /// The name, for messages and the checkpoint.
    pub(crate) fn name(self) -> &'static str {
        match self {
            TextEncoding::Auto => "UTF-8",
            TextEncoding::Given(encoding) => encoding.name(),
        }
    }
}

/// Turns text of another encoding into UTF-8, without its byte order mark.
pub(crate) struct Transcoder<R> {
    input: BufReader<R>,
    decoder: encoding_rs::Decoder,
    is_at_end: bool,
    is_done: bool,
    /// Decoded text, some of which was not read yet.
    output: Cursor<Vec<u8>>,
}

impl<R: Read> Transcoder<R> {
    pub(crate) fn new(reader: R, encoding: &'static Encoding) -> Self {
        Transcoder {
            input: BufReader::with_capacity(BLOCK, reader),
            decoder: encoding.new_decoder(),
            is_at_end: false,
            is_done: false,
            output: Cursor::default(),
        }
    }

    fn decode(&mut self) -> io::Result<()> {
        let bytes = if self.is_at_end { &[] } else { self.input.fill_buf()? };
        self.is_at_end = bytes.is_empty();
        self.output.set_position(0);
        let output = self.output.get_mut();
        output.resize(4 * BLOCK, 0);
        // One byte stays free for the one that stands for invalid bytes.
        let free = output.len() - 1;
        let (result, n_read, n_written) =
            self.decoder.decode_to_utf8_without_replacement(bytes, &mut output[..free], self.is_at_end);
        self.input.consume(n_read);
        output.truncate(n_written);
        match result {
            DecoderResult::InputEmpty => self.is_done = self.is_at_end,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(..) => output.push(INVALID),
        }
        Ok(())
    }
}

impl<R: Read> Read for Transcoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.output.read(buffer)? {
                0 if !self.is_done && !buffer.is_empty() => self.decode()?,
                n_bytes => return Ok(n_bytes),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoding(label: &str) -> &'static Encoding {
        Encoding::for_label(label.as_bytes()).unwrap()
    }

    fn transcoded(bytes: &[u8], label: &str) -> Vec<u8> {
        let mut text = Vec::new();
        Transcoder::new(bytes, encoding(label)).read_to_end(&mut text).unwrap();
        text
    }

    fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    }

    #[test]
    fn text_of_any_encoding_becomes_utf_8() {
        assert_eq!(transcoded(b"Caf\xE9 \x80", "windows-1252"), "Café €".as_bytes());
        assert_eq!(transcoded(b"\x93\xFA\x96\x7B", "shift_jis"), "日本".as_bytes());
        let long = "a,é,日本,😀\n".repeat(30_000);
        for marked in [long.clone(), format!("\u{feff}{long}")] {
            assert!(transcoded(&utf_16(&marked, u16::to_le_bytes), "utf-16le") == long.as_bytes());
            assert!(transcoded(&utf_16(&marked, u16::to_be_bytes), "utf-16be") == long.as_bytes());
        }
        let marked = utf_16("\u{feff}x", u16::to_be_bytes);
        assert_eq!(transcoded(&marked, "utf-16le"), b"x", "the mark takes precedence");
    }

    #[test]
    fn encoding_has_the_names_that_programs_use() {
        let name = |label: &str| TextEncoding::try_from(label.to_owned()).map(TextEncoding::name);
        for (labels, expected) in [
            (&["utf8", "UTF-8", "utf_8", "utf-8-sig"][..], "UTF-8"),
            (
                &[
                    "latin-1",
                    "latin1",
                    "Latin_1",
                    "iso8859-1",
                    "ISO8859_1",
                    "iso_8859-1",
                    "cp1252",
                    "win-1252",
                    "ansi",
                ],
                "windows-1252",
            ),
            (&["utf-16le", "utf16le", "utf-16-le", "UTF-16", "ucs-2"], "UTF-16LE"),
            (&["utf_16_be"], "UTF-16BE"),
            (&["latin-2", "iso8859-2"], "ISO-8859-2"),
            (&["latin-9", "iso8859-15"], "ISO-8859-15"),
            (&["cp1250", "windows1250"], "windows-1250"),
            (&["cp932", "shift-jis", "sjis"], "Shift_JIS"),
            (&["cp866"], "IBM866"),
        ] {
            for label in labels {
                assert_eq!(name(label), Ok(expected), "{label}");
            }
        }
        for label in ["", "cp850", "utf-32", "latin", "iso8859-99", "cp"] {
            assert!(name(label).is_err(), "{label}");
        }
    }

    #[test]
    fn invalid_bytes_stay_invalid() {
        assert_eq!(transcoded(b"a\x81,b\n", "shift_jis"), b"a\xFF,b\n");
        let lone_surrogate =
            [&utf_16("a", u16::to_le_bytes)[..], &[0x00, 0xD8], &utf_16("b", u16::to_le_bytes)];
        assert_eq!(transcoded(&lone_surrogate.concat(), "utf-16le"), b"a\xFFb");
        assert_eq!(transcoded(b"a\0b", "utf-16le"), b"a\xFF", "half a character at the end");
    }

    #[test]
    fn text_that_was_utf_8_is_known_by_its_letters() {
        let latin = TextEncoding::try_from("windows-1252".to_owned()).unwrap();
        let was_utf_8 = |bytes: &[u8]| latin.was_utf_8(&transcoded(bytes, "windows-1252"));
        assert_eq!(was_utf_8("Größe,Straße".as_bytes()), Some(true));
        assert_eq!(was_utf_8("5 €".as_bytes()), Some(true));
        assert_eq!(was_utf_8(b"Gr\xF6\xDFe"), Some(false));
        assert_eq!(was_utf_8(b"size"), None);
        assert_eq!(TextEncoding::default().was_utf_8("Größe".as_bytes()), None);
    }

    #[test]
    fn byte_order_mark_determines_the_encoding_with_auto() {
        assert_eq!(TextEncoding::Auto.of(b"\xEF\xBB\xBFa"), None);
        assert_eq!(TextEncoding::Auto.of(b"\xFF\xFEa\0"), Some(UTF_16LE));
    }
}
