//! Formats of files that are not text, known by their first bytes.

/// The format of a file that is not text. Gzip and zstd are not among them: sources read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Excel,
    OldOffice,
    OpenDocument,
    Zip,
    /// A zip archive without files, or a part of one.
    ZipPart,
    Bzip2,
    Xz,
    SevenZip,
    Rar,
    Lz4,
    Snappy,
    Compress,
    Tar,
    Parquet,
    Avro,
    Orc,
    Arrow,
    Sqlite,
    Pdf,
    Picture,
}

impl FileKind {
    /// How many bytes at the beginning of a file are enough; the mark of tar ends at byte 262.
    pub(crate) const START: usize = 512;

    /// The format of a file that begins with these bytes; `None` if it may be text.
    pub(crate) fn of(start: &[u8]) -> Option<FileKind> {
        Some(match start {
            [b'P', b'K', 3, 4, ..] => zip_content(start),
            [b'P', b'K', 5 | 7, ..] => FileKind::ZipPart,
            [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1, ..] => FileKind::OldOffice,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, ..] => FileKind::Bzip2,
            [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => FileKind::Xz,
            [b'7', b'z', 0xBC, 0xAF, 0x27, 0x1C, ..] => FileKind::SevenZip,
            [b'R', b'a', b'r', b'!', 0x1A, 0x07, ..] => FileKind::Rar,
            [0x04, 0x22, 0x4D, 0x18, ..] => FileKind::Lz4,
            [0xFF, 0x06, 0x00, 0x00, b's', b'N', b'a', b'P', b'p', b'Y', ..] => FileKind::Snappy,
            [0x1F, 0x9D, ..] => FileKind::Compress,
            [b'P', b'A', b'R', b'1', 0..32, ..] => FileKind::Parquet,
            [b'O', b'b', b'j', 1, ..] => FileKind::Avro,
            [b'O', b'R', b'C', 0..32, ..] => FileKind::Orc,
            [b'A', b'R', b'R', b'O', b'W', b'1', 0, ..] => FileKind::Arrow,
            [b'%', b'P', b'D', b'F', b'-', ..] => FileKind::Pdf,
            [0x89, b'P', b'N', b'G', b'\r', b'\n', ..]
            | [0xFF, 0xD8, 0xFF, ..]
            | [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => FileKind::Picture,
            _ if start.starts_with(b"SQLite format 3\0") => FileKind::Sqlite,
            _ if start.get(257..262) == Some(b"ustar") => FileKind::Tar,
            _ => return None,
        })
    }

    /// What the file is, in words that follow "is".
    pub(crate) fn name(self) -> &'static str {
        match self {
            FileKind::Excel => "an Excel workbook (xlsx)",
            FileKind::OldOffice => "an old Excel workbook (xls) or another Office document",
            FileKind::OpenDocument => "an OpenDocument spreadsheet (ods)",
            FileKind::Zip => "a zip archive",
            FileKind::ZipPart => "a zip archive without files, or a part of one",
            FileKind::Bzip2 => "compressed with bzip2",
            FileKind::Xz => "compressed with xz",
            FileKind::SevenZip => "a 7z archive",
            FileKind::Rar => "a rar archive",
            FileKind::Lz4 => "compressed with lz4",
            FileKind::Snappy => "compressed with snappy",
            FileKind::Compress => "compressed with compress (.Z)",
            FileKind::Tar => "a tar archive",
            FileKind::Parquet => "a Parquet file",
            FileKind::Avro => "an Avro file",
            FileKind::Orc => "an ORC file",
            FileKind::Arrow => "an Arrow file",
            FileKind::Sqlite => "a SQLite database",
            FileKind::Pdf => "a PDF document",
            FileKind::Picture => "a picture",
        }
    }
}

/// What is in a zip archive, by the name of its first file.
fn zip_content(start: &[u8]) -> FileKind {
    let name = start.get(30..).unwrap_or_default();
    let has = |part: &[u8]| memchr::memmem::find(start, part).is_some();
    if name.starts_with(b"mimetypeapplication/vnd.oasis.opendocument.spreadsheet") {
        return FileKind::OpenDocument;
    }
    let parts = [&b"_rels/"[..], b"docProps/", b"xl/"];
    let is_office = parts.iter().any(|&part| name.starts_with(part))
        || has(b"[Content_Types].xml")
        || has(b"xl/workbook");
    if is_office { FileKind::Excel } else { FileKind::Zip }
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
        for (start, kind) in [
            (zip("prices.csv"), FileKind::Zip),
            (zip("[Content_Types].xml"), FileKind::Excel),
            (zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"), FileKind::OpenDocument),
            (b"BZh91AY&SY".to_vec(), FileKind::Bzip2),
            (b"\xFD7zXZ\0\0".to_vec(), FileKind::Xz),
            (b"PAR1\x15\x04".to_vec(), FileKind::Parquet),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1".to_vec(), FileKind::OldOffice),
            (b"Obj\x01\x04".to_vec(), FileKind::Avro),
            (b"ORC\x08".to_vec(), FileKind::Orc),
            (b"%PDF-1.7\n".to_vec(), FileKind::Pdf),
            (b"GIF89a\x01".to_vec(), FileKind::Picture),
            (b"SQLite format 3\0\x10".to_vec(), FileKind::Sqlite),
            (tar, FileKind::Tar),
        ] {
            assert_eq!(FileKind::of(&start), Some(kind));
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
            assert_eq!(FileKind::of(text.as_bytes()), None, "{text}");
        }
    }
}
