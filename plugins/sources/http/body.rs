//! Reads the body of a response: its size, compression and encoding.

use std::io::{self, Read};

use anyhow::anyhow;
use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use runner_core::ByteSize;

use super::error::{HttpError, without_url};
use crate::shared::csv::Transcoder;

/// From this size on, a body is decompressed and decoded on a thread of its own.
const LARGE: usize = 1 << 20;

/// How often a body may be compressed.
const MAX_LAYERS: usize = 3;

/// Why a body cannot be read.
#[derive(Debug)]
enum Broken {
    TooLarge,
    /// The body is incomplete.
    Cut(String),
    /// The body is not what it should be.
    Wrong(String),
}

/// Reads the whole body, decompresses it, and converts it to UTF-8 without a byte order mark.
pub(super) async fn read(
    title: &str,
    mut response: reqwest::Response,
    maximum: usize,
    encoding: Option<&'static Encoding>,
) -> Result<Bytes, HttpError> {
    let too_large = || {
        HttpError::Fatal(anyhow!(
            "{title}: the response is larger than {}, the maximum; request smaller responses with `pagination` \
             or a parameter in `query`, or increase `max_answer`",
            ByteSize(maximum as u64)
        ))
    };
    if response.content_length().is_some_and(|length| length > maximum as u64) {
        return Err(too_large());
    }
    let mut raw = Vec::with_capacity(response.content_length().unwrap_or(0).min(64 << 20) as usize);
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if raw.len() + chunk.len() > maximum => return Err(too_large()),
            Ok(Some(chunk)) => raw.extend_from_slice(&chunk),
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
        decode(raw, &headers, maximum, encoding)
    } else {
        let decoding = tokio::task::spawn_blocking(move || decode(raw, &headers, maximum, encoding));
        decoding.await.map_err(|error| HttpError::Fatal(error.into()))?
    };
    decoded.map_err(|broken| match broken {
        Broken::TooLarge => too_large(),
        Broken::Cut(why) => HttpError::transient(anyhow!("{title}: {why}")),
        Broken::Wrong(why) => HttpError::FatalUntilSuccess(anyhow!("{title}: {why}")),
    })
}

/// The first bytes of a body, for messages and matchers; what can be read of it if it is broken.
pub(super) async fn read_beginning(mut response: reqwest::Response, at_most: usize) -> Bytes {
    let mut raw = Vec::new();
    while raw.len() < at_most
        && let Ok(Some(chunk)) = response.chunk().await
    {
        raw.extend_from_slice(&chunk);
    }
    decode(raw.clone(), response.headers(), at_most, None).unwrap_or_else(|_| raw.into())
}

fn decode(
    raw: Vec<u8>,
    headers: &HeaderMap,
    maximum: usize,
    encoding: Option<&'static Encoding>,
) -> Result<Bytes, Broken> {
    let header = |name| headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let mut body = raw;
    if header(CONTENT_ENCODING).eq_ignore_ascii_case("deflate") && !body.is_empty() {
        body = inflate(&body, maximum)?;
    }
    for _ in 0..MAX_LAYERS {
        body = match body[..] {
            [0x1F, 0x8B, 0x08, ..] => gunzip(&body, maximum)?,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => {
                let decoder = zstd::Decoder::with_buffer(&body[..]).map_err(|error| wrong("zstd", &error))?;
                unpack(decoder, Vec::new(), maximum, "zstd")?
            }
            _ => break,
        };
    }
    let name = header(CONTENT_ENCODING).to_ascii_lowercase();
    if ["br", "compress", "x-compress"].contains(&name.as_str()) {
        return Err(Broken::Wrong(format!(
            "the response is compressed as `{name}`, which is not supported; \
             remove `Accept-Encoding` from `headers`, or set it to \"gzip\""
        )));
    }
    to_utf8(body, header(CONTENT_TYPE), encoding)
}

/// Decompresses all members of a gzip file. Zeros behind the last one are padding.
fn gunzip(body: &[u8], maximum: usize) -> Result<Vec<u8>, Broken> {
    let mut rest = body;
    let mut unpacked = Vec::new();
    loop {
        let mut decoder = GzDecoder::new(rest);
        unpacked = unpack(&mut decoder, unpacked, maximum, "gzip")?;
        rest = decoder.into_inner();
        let n_zeros = rest.iter().take_while(|&&byte| byte == 0).count();
        rest = &rest[n_zeros..];
        if rest.is_empty() {
            return Ok(unpacked);
        }
        if !rest.starts_with(&[0x1F, 0x8B]) {
            let at = body.len() - rest.len();
            return Err(Broken::Wrong(format!("the gzip data is followed by other data at its byte {at}")));
        }
    }
}

fn inflate(body: &[u8], maximum: usize) -> Result<Vec<u8>, Broken> {
    // Some servers leave out the header of zlib.
    let has_header =
        body[0] & 0x0F == 8 && body.len() > 1 && u16::from_be_bytes([body[0], body[1]]).is_multiple_of(31);
    if has_header {
        unpack(ZlibDecoder::new(body), Vec::new(), maximum, "deflate")
    } else {
        unpack(DeflateDecoder::new(body), Vec::new(), maximum, "deflate")
    }
}

/// Appends what `decoder` returns to `unpacked`.
fn unpack(decoder: impl Read, mut unpacked: Vec<u8>, maximum: usize, name: &str) -> Result<Vec<u8>, Broken> {
    let at_most = (maximum - unpacked.len().min(maximum)) as u64;
    match decoder.take(at_most + 1).read_to_end(&mut unpacked) {
        Ok(_) if unpacked.len() > maximum => Err(Broken::TooLarge),
        Ok(_) => Ok(unpacked),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(Broken::Cut(format!("the response is incomplete: its {name} data ends in the middle")))
        }
        Err(error) => Err(wrong(name, &error)),
    }
}

fn wrong(name: &str, error: &io::Error) -> Broken {
    Broken::Wrong(format!("the response is not valid {name} data: {error}"))
}

/// The text in UTF-8. What is UTF-8 already stays as it is, even if parts of it are invalid.
fn to_utf8(body: Vec<u8>, content_type: &str, fixed: Option<&'static Encoding>) -> Result<Bytes, Broken> {
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
        // Servers declare ASCII for UTF-8 too. By the encoding standard of the web the label means windows-1252, in
        // which almost every byte is a letter.
        (None, Some(label), _)
            if ["us-ascii", "ascii"].contains(&label.to_ascii_lowercase().as_str())
                && std::str::from_utf8(&body).is_ok() =>
        {
            UTF_8
        }
        (None, Some(label), _) => match Encoding::for_label_no_replacement(label.as_bytes()) {
            Some(encoding) => encoding,
            None if std::str::from_utf8(&body).is_ok() => UTF_8,
            None => {
                return Err(Broken::Wrong(format!(
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
            read.map_err(|error| Broken::Wrong(error.to_string()))?;
            Ok(text.into())
        }
        None => converted(&body, encoding),
    }
}

fn converted(body: &[u8], encoding: &'static Encoding) -> Result<Bytes, Broken> {
    match encoding.decode_without_bom_handling_and_without_replacement(body) {
        Some(text) => Ok(text.into_owned().into_bytes().into()),
        None => Err(Broken::Wrong(format!(
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
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use std::io::Write as _;

    const LEVEL: flate2::Compression = flate2::Compression::fast();

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), LEVEL);
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read_as(raw: Vec<u8>, headers: &[(&'static str, &'static str)]) -> Result<String, String> {
        let pair =
            |&(name, value): &(&'static str, &'static str)| (name.parse().unwrap(), value.parse().unwrap());
        let headers: HeaderMap = headers.iter().map(pair).collect();
        match decode(raw, &headers, 1000, None) {
            Ok(body) => Ok(String::from_utf8_lossy(&body).into_owned()),
            Err(Broken::TooLarge) => Err("too large".into()),
            Err(Broken::Cut(why)) => Err(format!("cut: {why}")),
            Err(Broken::Wrong(why)) => Err(why),
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
        let mut zlib = ZlibEncoder::new(Vec::new(), LEVEL);
        zlib.write_all(b"three").unwrap();
        let mut bare = DeflateEncoder::new(Vec::new(), LEVEL);
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
        assert!(tail.contains("followed by other data"), "{tail}");
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
        for ascii in ["application/json; charset=us-ascii", "text/csv; charset=ASCII"] {
            assert_eq!(read_as(utf8.into(), &json(ascii)).unwrap(), utf8);
            assert_eq!(read_as(latin.clone(), &json(ascii)).unwrap(), utf8);
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
