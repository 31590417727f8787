//! Reads the body of a response: its size, compression and encoding.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use anyhow::anyhow;
use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use runner_core::ByteSize;

use super::super::client::header_text;
use super::super::error::{HttpError, without_url};
use super::decompress::decompress;
use super::large_body::{LargeBody, RecordLayout};
use super::spill_buffer::SpillBuffer;
use crate::shared::csv::Transcoder;

/// From this size on, a body is decompressed and decoded on a thread of its own.
const LARGE: u64 = 1 << 20;

/// Why a body cannot be read.
#[derive(Debug)]
pub(super) enum BodyError {
    TooLarge,
    /// The body is incomplete.
    Cut(String),
    /// The body is not what it should be.
    Wrong(String),
    /// The file that keeps it cannot be written or read.
    File(io::Error),
}

impl From<io::Error> for BodyError {
    fn from(error: io::Error) -> Self {
        BodyError::File(error)
    }
}

/// How the body of a response is read.
#[derive(Clone, Debug)]
pub(crate) struct BodyOptions {
    /// The maximum size, decompressed.
    pub(crate) max_answer: usize,
    /// The encoding, if an option says so.
    pub(crate) encoding: Option<&'static Encoding>,
    /// How a large body is divided into records; `None` if all of it is needed in memory.
    pub(crate) layout: Option<RecordLayout>,
    /// From this size on a body is large.
    pub(crate) max_in_memory: usize,
}

/// A body in UTF-8, without a byte order mark.
#[derive(Debug)]
pub(crate) struct BodyText {
    /// The text; of a large one, what surrounds the records.
    pub(crate) bytes: Bytes,
    pub(crate) large: Option<Arc<LargeBody>>,
    /// The size of the whole text.
    pub(crate) size: usize,
}

impl From<Bytes> for BodyText {
    fn from(bytes: Bytes) -> Self {
        BodyText { size: bytes.len(), bytes, large: None }
    }
}

/// Reads the whole body, decompresses it, and converts it to UTF-8 without a byte order mark.
pub(crate) async fn read(
    title: &str,
    mut response: reqwest::Response,
    options: &Arc<BodyOptions>,
) -> Result<BodyText, HttpError> {
    let maximum = options.max_answer;
    let to_error = |broken| match broken {
        BodyError::TooLarge => HttpError::Fatal(anyhow!(
            "{title}: the response is larger than {}, the maximum; request smaller responses with `pagination` \
             or a parameter in `query`, or increase `max_answer`",
            ByteSize(maximum as u64)
        )),
        BodyError::Cut(why) => HttpError::transient(anyhow!("{title}: {why}")),
        BodyError::Wrong(why) => HttpError::FatalUntilSuccess(anyhow!("{title}: {why}")),
        BodyError::File(error) => HttpError::transient(anyhow!(
            "{title}: a large response is kept in a temporary file, in the folder that TMPDIR names or in {}: {error}",
            std::env::temp_dir().display()
        )),
    };
    let length = response.content_length();
    if length.is_some_and(|length| length > maximum as u64) {
        return Err(to_error(BodyError::TooLarge));
    }
    let mut raw = SpillBuffer::new(options.max_in_memory());
    raw.reserve(length.unwrap_or(0).min(64 << 20));
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if raw.len() + chunk.len() as u64 > maximum as u64 => {
                return Err(to_error(BodyError::TooLarge));
            }
            Ok(Some(chunk)) => raw.push(&chunk).map_err(|error| to_error(error.into()))?,
            Ok(None) => break,
            Err(error) => {
                let why = if error.is_timeout() { "exceeded `timeout`" } else { "was interrupted" };
                let message = format!("{title}: reading the response {why} after {} bytes", raw.len());
                return Err(HttpError::transient(without_url(error).context(message)));
            }
        }
    }
    let headers = response.headers().clone();
    let decoded = if raw.len() < LARGE {
        decode(raw, &headers, options)
    } else {
        let options = Arc::clone(options);
        let decoding = tokio::task::spawn_blocking(move || decode(raw, &headers, &options));
        decoding.await.map_err(|error| HttpError::Fatal(error.into()))?
    };
    decoded.map_err(to_error)
}

/// The content of a file as the body of a response without headers.
pub(crate) fn of_file(raw: Vec<u8>, encoding: Option<&'static Encoding>) -> Result<Bytes, String> {
    let options = BodyOptions { encoding, ..BodyOptions::in_memory(usize::MAX >> 1) };
    let decoded = decode(SpillBuffer::of(raw), &HeaderMap::new(), &options);
    decoded.map(|text| text.bytes).map_err(|broken| match broken {
        BodyError::TooLarge => "it is too large".into(),
        BodyError::Cut(why) | BodyError::Wrong(why) => why,
        BodyError::File(error) => error.to_string(),
    })
}

/// The first bytes of a body, for messages and matchers; what can be read of it if it is broken.
pub(crate) async fn read_beginning(mut response: reqwest::Response, at_most: usize) -> Bytes {
    let mut raw = Vec::new();
    while raw.len() < at_most
        && let Ok(Some(chunk)) = response.chunk().await
    {
        raw.extend_from_slice(&chunk);
    }
    let decoded = decode(SpillBuffer::of(raw.clone()), response.headers(), &BodyOptions::in_memory(at_most));
    decoded.map_or_else(|_| raw.into(), |text| text.bytes)
}

impl BodyOptions {
    /// Of bodies that are not pages, up to this size.
    pub(crate) fn in_memory(max_answer: usize) -> Self {
        BodyOptions { max_answer, encoding: None, layout: None, max_in_memory: usize::MAX }
    }

    fn max_in_memory(&self) -> usize {
        if self.layout.is_some() { self.max_in_memory } else { usize::MAX }
    }
}

fn decode(raw: SpillBuffer, headers: &HeaderMap, options: &BodyOptions) -> Result<BodyText, BodyError> {
    let header = |name| header_text(headers, name).unwrap_or_default();
    let encoding = header(CONTENT_ENCODING).to_ascii_lowercase();
    let decompressed = decompress(raw, &encoding, options.max_answer, options.max_in_memory())?;
    if ["br", "compress", "x-compress"].contains(&encoding.as_str()) {
        return Err(BodyError::Wrong(format!(
            "the response is compressed as `{encoding}`, which is not supported; \
             remove `Accept-Encoding` from `headers`, or set it to \"gzip\""
        )));
    }
    let content_type = header(CONTENT_TYPE);
    let in_memory = match (decompressed, &options.layout) {
        (SpillBuffer::File { file, len }, Some(layout)) => match divided(file, len, content_type, layout)? {
            Ok(text) => return Ok(text),
            Err(whole) => whole,
        },
        (buffer, _) => buffer.into_bytes()?,
    };
    let text = to_utf8(in_memory, content_type, options.encoding)?;
    Ok(text.slice(guard_len(&text)..).into())
}

/// The length of the text before the JSON of Gerrit and others, which keeps browsers from running it as a script.
fn guard_len(front: &[u8]) -> usize {
    let guards: [&[u8]; 2] = [b")]}',", b")]}'"];
    guards.into_iter().find(|guard| front.starts_with(guard)).map_or(0, <[u8]>::len)
}

/// A large text in UTF-8, divided into its records; the whole text if it is another one.
fn divided(
    file: File,
    len: u64,
    content_type: &str,
    layout: &RecordLayout,
) -> io::Result<Result<BodyText, Vec<u8>>> {
    let mut buffer = SpillBuffer::File { file: file.try_clone()?, len };
    let front = buffer.start(5)?;
    let mark = if front.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
    let start = mark.max(guard_len(&front) as u64);
    let is_utf8 = mark > 0
        || Encoding::for_bom(&front).is_none()
            && !front.contains(&0)
            && charset(content_type).is_none_or(|label| Encoding::for_label(label.as_bytes()) == Some(UTF_8));
    let large = if is_utf8 { LargeBody::divide(file, start, len, layout)? } else { None };
    Ok(match large {
        Some((bytes, large)) => {
            Ok(BodyText { bytes, large: Some(large.into()), size: (len - start) as usize })
        }
        None => Err(buffer.into_bytes()?),
    })
}

/// The text in UTF-8. What is UTF-8 already stays as it is, even if parts of it are invalid.
fn to_utf8(body: Vec<u8>, content_type: &str, fixed: Option<&'static Encoding>) -> Result<Bytes, BodyError> {
    if let Some((encoding, length)) = Encoding::for_bom(&body) {
        return if encoding == UTF_8 {
            Ok(Bytes::from(body).slice(length..))
        } else {
            converted(&body[length..], encoding)
        };
    }
    let label = charset(content_type);
    let encoding = match (fixed, label, &body[..]) {
        (Some(encoding), ..) => encoding,
        // JSON begins with an ASCII character.
        (None, None, [0, b'\t'..=b'~', 0, b'\t'..=b'~', ..]) => UTF_16BE,
        (None, None, [b'\t'..=b'~', 0, b'\t'..=b'~', 0, ..]) => UTF_16LE,
        (None, None, _) => UTF_8,
        // Servers declare Latin-1 or ASCII, their default, for UTF-8 too. By the encoding standard of the web both mean
        // windows-1252, and a text in it that has other letters than ASCII is almost never valid UTF-8.
        (None, Some(label), _)
            if Encoding::for_label(label.as_bytes()) == Some(WINDOWS_1252)
                && std::str::from_utf8(&body).is_ok() =>
        {
            UTF_8
        }
        (None, Some(label), _) => match Encoding::for_label_no_replacement(label.as_bytes()) {
            Some(encoding) => encoding,
            None if std::str::from_utf8(&body).is_ok() => UTF_8,
            None => {
                return Err(BodyError::Wrong(format!(
                    "the response is in the charset `{label}`, which is not known, and is not UTF-8"
                )));
            }
        },
    };
    match fixed {
        _ if encoding == UTF_8 => Ok(body.into()),
        // What is not valid makes its row invalid, and not the whole response.
        Some(encoding) => {
            let mut text = Vec::with_capacity(body.len());
            let read = Transcoder::new(&body[..], encoding).read_to_end(&mut text);
            read.map_err(|error| BodyError::Wrong(error.to_string()))?;
            Ok(text.into())
        }
        None => converted(&body, encoding),
    }
}

fn converted(body: &[u8], encoding: &'static Encoding) -> Result<Bytes, BodyError> {
    match encoding.decode_without_bom_handling_and_without_replacement(body) {
        Some(text) => Ok(text.into_owned().into_bytes().into()),
        None => Err(BodyError::Wrong(format!(
            "the response is not valid {}, the encoding that it declares",
            encoding.name()
        ))),
    }
}

/// The parameter `charset` of a content type.
fn charset(content_type: &str) -> Option<&str> {
    content_type.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::compression::Compression;
    use flate2::write::{DeflateEncoder, ZlibEncoder};
    use std::io::Write as _;

    fn gzip(text: &[u8]) -> Vec<u8> {
        Compression::Gzip.compress(text).unwrap()
    }

    fn read_as(raw: Vec<u8>, headers: &[(&'static str, &'static str)]) -> Result<String, String> {
        let pair =
            |&(name, value): &(&'static str, &'static str)| (name.parse().unwrap(), value.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(pair).collect();
        match decode(SpillBuffer::of(raw), &headers, &BodyOptions::in_memory(1000)) {
            Ok(text) => Ok(String::from_utf8_lossy(&text.bytes).into_owned()),
            Err(BodyError::File(error)) => Err(error.to_string()),
            Err(BodyError::TooLarge) => Err("too large".into()),
            Err(BodyError::Cut(why)) => Err(format!("cut: {why}")),
            Err(BodyError::Wrong(why)) => Err(why),
        }
    }

    #[test]
    fn compression_is_detected_by_the_first_bytes() {
        let two = [gzip(b"one\n"), gzip(b"two\n"), vec![0; 5]].concat();
        assert_eq!(read_as(two.clone(), &[]).unwrap(), "one\ntwo\n");
        assert_eq!(read_as(two, &[("content-encoding", "gzip")]).unwrap(), "one\ntwo\n");
        assert_eq!(read_as(gzip(&gzip(b"twice")), &[("content-encoding", "gzip")]).unwrap(), "twice");
        let frames = [b"one\n", b"two\n"].map(|part| zstd::encode_all(&part[..], 1).unwrap()).concat();
        assert_eq!(read_as(frames, &[]).unwrap(), "one\ntwo\n");
        // A proxy may have decompressed it without removing the header.
        assert_eq!(read_as(b"plain".to_vec(), &[("content-encoding", "gzip")]).unwrap(), "plain");
        let mut zlib = ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(b"three").unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        bare.write_all(b"three").unwrap();
        for raw in [zlib.finish().unwrap(), bare.finish().unwrap()] {
            assert_eq!(read_as(raw, &[("content-encoding", "deflate")]).unwrap(), "three");
        }
    }

    #[test]
    fn broken_compression_is_an_error_with_its_cause() {
        let whole = gzip(&[b'x'; 500]);
        let cut = read_as(whole[..whole.len() - 9].to_vec(), &[]).unwrap_err();
        assert!(cut.starts_with("cut: the response is incomplete"), "{cut}");
        let tail = read_as([&whole[..], b"tail"].concat(), &[]).unwrap_err();
        assert!(tail.contains("data that is not gzip follows the archive"), "{tail}");
        assert_eq!(read_as(gzip(&[b'x'; 1001]), &[]).unwrap_err(), "too large");
        assert_eq!(read_as(gzip(&[b'x'; 1000]), &[]).unwrap().len(), 1000);
        let brotli = read_as(b"\x0b\x02".to_vec(), &[("content-encoding", "br")]).unwrap_err();
        assert!(brotli.contains("`br`") && brotli.contains("Accept-Encoding"), "{brotli}");
    }

    #[test]
    fn charset_and_byte_order_mark_decide_the_encoding() {
        let latin = b"[\"Caf\xE9\"]".to_vec();
        let json = |charset: &'static str| [("content-type", charset)];
        let utf8 = "[\"Café\"]";
        assert_eq!(read_as(latin.clone(), &json("application/json; charset=ISO-8859-1")).unwrap(), utf8);
        assert_eq!(read_as(latin.clone(), &json("text/csv; Charset=\"latin1\"")).unwrap(), utf8);
        for default in
            ["application/json; charset=us-ascii", "text/csv; charset=ISO-8859-1", "a/b; charset=cp1252"]
        {
            assert_eq!(read_as(utf8.into(), &json(default)).unwrap(), utf8);
            assert_eq!(read_as(latin.clone(), &json(default)).unwrap(), utf8);
        }
        let marked = ["\u{feff}", utf8].concat().into_bytes();
        assert_eq!(read_as(marked, &json("application/json; charset=latin1")).unwrap(), utf8);
        for (is_big, mark) in [(false, true), (true, true), (false, false), (true, false)] {
            let text = if mark { ["\u{feff}", utf8].concat() } else { utf8.to_owned() };
            let bytes = text
                .encode_utf16()
                .flat_map(|unit| if is_big { unit.to_be_bytes() } else { unit.to_le_bytes() });
            assert_eq!(read_as(bytes.collect(), &[]).unwrap(), utf8, "{is_big} {mark}");
        }
        let unknown = json("application/json; charset=klingon");
        assert_eq!(read_as(utf8.into(), &unknown).unwrap(), utf8);
        assert!(read_as(latin.clone(), &unknown).unwrap_err().contains("`klingon`"));
        assert!(read_as(latin, &json("a/b; charset=shift_jis")).unwrap_err().contains("not valid Shift_JIS"));
    }

    #[test]
    fn given_encoding_wins_over_the_declared_one_and_marks_what_is_not_valid() {
        let read = |body: &[u8], label: &str| {
            let encoding = Encoding::for_label(label.as_bytes());
            to_utf8(body.to_vec(), "text/csv; charset=utf-8", encoding).unwrap()
        };
        assert_eq!(read(b"a\nCaf\xE9\n", "windows-1252"), "a\nCafé\n");
        assert_eq!(read(b"\xEF\xBB\xBFa\n\xC3\xA9\n", "windows-1252"), "a\né\n", "the mark takes precedence");
        assert_eq!(read(b"a\nx\x81,\n\x93\xFA\n", "shift_jis"), &b"a\nx\xFF,\n\xE6\x97\xA5\n"[..]);
    }
}
