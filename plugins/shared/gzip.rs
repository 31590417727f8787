//! Reads gzip archives of any number of members, with or without zeros behind them.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::GzDecoder;

/// The decompressed text of all members. Tapes and some storage systems fill archives up with zeros, which
/// are ignored, as gunzip ignores them.
pub(crate) struct GzipReader<R>(State<R>);

enum State<R> {
    Member(Box<GzDecoder<BufReader<R>>>),
    End,
}

impl<R: Read> GzipReader<R> {
    pub(crate) fn new(reader: R) -> Self {
        GzipReader(State::Member(Box::new(GzDecoder::new(BufReader::with_capacity(64 << 10, reader)))))
    }
}

impl<R: Read> Read for GzipReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let State::Member(member) = &mut self.0 else { return Ok(0) };
            let n_bytes = member.read(buffer)?;
            if n_bytes > 0 || buffer.is_empty() {
                return Ok(n_bytes);
            }
            let State::Member(member) = std::mem::replace(&mut self.0, State::End) else { return Ok(0) };
            let mut rest = member.into_inner();
            match first_after_zeros(&mut rest)? {
                None => return Ok(0),
                Some(0x1F) => self.0 = State::Member(Box::new(GzDecoder::new(rest))),
                Some(_) => {
                    let message = "data that is not gzip follows the archive; remove it";
                    return Err(io::Error::new(ErrorKind::InvalidData, message));
                }
            }
        }
    }
}

/// The next byte that is not zero.
fn first_after_zeros(reader: &mut impl BufRead) -> io::Result<Option<u8>> {
    loop {
        let bytes = match reader.fill_buf() {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        let n_zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
        let next = bytes.get(n_zeros).copied();
        reader.consume(n_zeros);
        if next.is_some() {
            return Ok(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::compression::Compression;

    fn member(text: &str) -> Vec<u8> {
        Compression::Gzip.compress(text.as_bytes()).unwrap()
    }

    fn read(archive: &[u8]) -> (String, Option<ErrorKind>) {
        let mut text = Vec::new();
        let error = GzipReader::new(archive).read_to_end(&mut text).err();
        (String::from_utf8(text).unwrap(), error.map(|error| error.kind()))
    }

    #[test]
    fn all_members_are_read_and_zeros_behind_them_ignored() {
        let (one, two) = (member("one\n"), member("two\n"));
        let zeros = vec![0; 100_000];
        assert_eq!(read(&[&one[..], &two].concat()), ("one\ntwo\n".into(), None));
        assert_eq!(read(&[&one[..], &zeros].concat()), ("one\n".into(), None));
        assert_eq!(read(&[&one[..], &zeros, &two, &[0]].concat()), ("one\ntwo\n".into(), None));
    }

    #[test]
    fn data_behind_an_archive_and_a_cut_member_are_errors() {
        let one = member("one\n");
        assert_eq!(read(&[&one[..], b"x"].concat()), ("one\n".into(), Some(ErrorKind::InvalidData)));
        let cut = [&one[..], &one[..one.len() - 4]].concat();
        assert_eq!(read(&cut).1, Some(ErrorKind::UnexpectedEof));
    }
}
