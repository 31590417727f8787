//! Formats of files that are not text, known by their first bytes.

use self::Group::{Archive, Compressed, Document, Picture};

/// The format of a file that is not text. Gzip and zstd are not among them: sources read them.
#[derive(Debug)]
pub(crate) struct FileKind {
    pub(crate) group: Group,
    /// What the file is, in words that follow "is".
    pub(crate) name: &'static str,
    /// How a user makes CSV of the file for the `csv` source.
    pub(crate) to_csv: &'static str,
}

#[derive(Debug)]
pub(crate) enum Group {
    Archive,
    Compressed,
    Document,
    Picture,
}

const SAVE: &str = "save the sheet as CSV in UTF-8";
const WRITE: &str = "write it as CSV first";
const CRAWL: &str = "write it as CSV, or crawl it where it is";
const UNPACK: &str = "unpack it";
const ASK: &str = "ask for the table as CSV";

impl FileKind {
    /// How many bytes at the beginning of a file are enough; the mark of tar ends at byte 262.
    pub(crate) const START: usize = 512;

    /// The format of a file that begins with these bytes; `None` if it may be text.
    pub(crate) fn of(start: &[u8]) -> Option<FileKind> {
        let (group, name, to_csv) = match start {
            [b'P', b'K', 3, 4, ..] => zip_content(start),
            [b'P', b'K', 5 | 7, ..] => {
                (Archive, "a zip archive without files, or a part of one", "unpack the whole archive")
            }
            [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1, ..] => {
                (Document, "an old Excel workbook (xls) or another Office document", SAVE)
            }
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, ..] => {
                let advice = "unpack it with `bunzip2`, or read `bzcat FILE` with path = \"-\"";
                (Compressed, "compressed with bzip2", advice)
            }
            [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => {
                let advice = "unpack it with `unxz`, or read `xzcat FILE` with path = \"-\"";
                (Compressed, "compressed with xz", advice)
            }
            [b'7', b'z', 0xBC, 0xAF, 0x27, 0x1C, ..] => (Archive, "a 7z archive", UNPACK),
            [b'R', b'a', b'r', b'!', 0x1A, 0x07, ..] => (Archive, "a rar archive", UNPACK),
            [0x04, 0x22, 0x4D, 0x18, ..] => {
                let advice = "unpack it with `unlz4`, or read `lz4 -dc FILE` with path = \"-\"";
                (Compressed, "compressed with lz4", advice)
            }
            [0xFF, 0x06, 0x00, 0x00, b's', b'N', b'a', b'P', b'p', b'Y', ..] => {
                (Compressed, "compressed with snappy", UNPACK)
            }
            [0x1F, 0x9D, ..] => (Compressed, "compressed with compress (.Z)", "unpack it with `gunzip`"),
            [b'P', b'A', b'R', b'1', 0..32, ..] => (Document, "a Parquet file", CRAWL),
            [b'O', b'b', b'j', 1, ..] => (Document, "an Avro file", WRITE),
            [b'O', b'R', b'C', 0..32, ..] => (Document, "an ORC file", CRAWL),
            [b'A', b'R', b'R', b'O', b'W', b'1', 0, ..] => (Document, "an Arrow file", WRITE),
            [b'%', b'P', b'D', b'F', b'-', ..] => (Document, "a PDF document", ASK),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', ..]
            | [0xFF, 0xD8, 0xFF, ..]
            | [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => (Picture, "a picture", ASK),
            _ if start.starts_with(b"SQLite format 3\0") => {
                let advice = "write the table as CSV: `sqlite3 -header -csv FILE 'select …'`";
                (Document, "a SQLite database", advice)
            }
            _ if start.get(257..262) == Some(b"ustar") => {
                (Archive, "a tar archive", "unpack it with `tar -xf`")
            }
            _ => return None,
        };
        Some(FileKind { group, name, to_csv })
    }
}

/// What is in a zip archive, by the name of its first file.
fn zip_content(start: &[u8]) -> (Group, &'static str, &'static str) {
    let name = start.get(30..).unwrap_or_default();
    let has = |part: &[u8]| memchr::memmem::find(start, part).is_some();
    if name.starts_with(b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet") {
        return (Document, "an OpenDocument spreadsheet (ods)", SAVE);
    }
    let parts = [&b"_rels/"[..], b"docProps/", b"xl/"];
    let is_office = parts.iter().any(|&part| name.starts_with(part))
        || has(b"[Content_Types].xml")
        || has(b"xl/workbook");
    if is_office {
        return (Document, "an Excel workbook (xlsx)", SAVE);
    }
    let advice = "unpack it; `unzip -p FILE` writes its content to standard output, which path = \"-\" reads";
    (Archive, "a zip archive", advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_is_known_by_the_first_bytes() {
        let zip = |name: &str| [b"PK\x03\x04", &[0; 26][..], name.as_bytes()].concat();
        let mut tar = b"prices.csv".to_vec();
        tar.resize(257, 0);
        tar.extend_from_slice(b"ustar\x0000");
        for (start, name) in [
            (zip("prices.csv"), "a zip archive"),
            (zip("[Content_Types].xml"), "an Excel workbook (xlsx)"),
            (
                zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"),
                "an OpenDocument spreadsheet (ods)",
            ),
            (b"BZh91AY&SY".to_vec(), "compressed with bzip2"),
            (b"\xFD7zXZ\0\0".to_vec(), "compressed with xz"),
            (b"PAR1\x15\x04".to_vec(), "a Parquet file"),
            (
                b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec(),
                "an old Excel workbook (xls) or another Office document",
            ),
            (b"Obj\x01\x04".to_vec(), "an Avro file"),
            (b"ORC\x08".to_vec(), "an ORC file"),
            (b"%PDF-1.7\n".to_vec(), "a PDF document"),
            (b"GIF89a\x01".to_vec(), "a picture"),
            (b"SQLite format 3\0\x10".to_vec(), "a SQLite database"),
            (tar, "a tar archive"),
        ] {
            assert_eq!(FileKind::of(&start).map(|kind| kind.name), Some(name));
        }
        for text in [
            "",
            "a,b\n",
            "PK,name\n",
            "PK,BZh9\n1,2\n",
            "BZh,x\n",
            "BZh9,c\n",
            "BZh91,x\n",
            "ORC,PAR\n",
            "PAR,1\n",
            "PAR1,b\n1,2\n",
            "Obj,1\n",
            "%PDF,x\n",
            "GIF\n",
            "[1]",
        ] {
            assert!(FileKind::of(text.as_bytes()).is_none(), "{text}");
        }
    }
}
