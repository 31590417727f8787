//! Recognizes files of other formats by their first bytes.

/// What a response is that is neither text nor compressed text, and what to do about it.
pub(super) fn of_bytes(body: &[u8]) -> Option<&'static str> {
    let begins = |with: &[u8]| body.starts_with(with);
    let names = |name: &[u8]| memchr::memmem::find(&body[..body.len().min(4096)], name).is_some();
    if begins(b"PK\x03\x04") && (names(b"[Content_Types].xml") || names(b"xl/"))
        || begins(b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1")
    {
        return Some("an Excel workbook, which is not supported; ask the API for CSV or JSON");
    }
    if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") {
        return Some(
            "a ZIP archive, which is not supported; ask the API for CSV or JSON, alone or as gzip, or unpack the \
             archive and read its files with the `csv` source",
        );
    }
    let is_parquet = begins(b"PAR1") && body.ends_with(b"PAR1");
    let is_bzip2 = begins(b"BZh") && body.get(4..10) == Some(b"1AY&SY");
    Some(match () {
        () if is_parquet => "a Parquet file, which is not supported; ask the API for CSV or JSON",
        () if begins(b"%PDF-") => "a PDF document, not data; ask the API for CSV or JSON",
        () if is_bzip2 => "compressed with bzip2, which is not supported; ask the API for gzip",
        () if begins(b"\xFD7zXZ\0") => "compressed with xz, which is not supported; ask the API for gzip",
        () if begins(b"7z\xBC\xAF\x27\x1C") => {
            "a 7z archive, which is not supported; ask the API for CSV or JSON"
        }
        () if begins(b"\x89PNG\r\n") || begins(b"\xFF\xD8\xFF") || begins(b"GIF8") => {
            "a picture, not data; check `endpoint`"
        }
        () => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_another_format_is_named() {
        for (body, name) in [
            (&b"PK\x03\x04\x14\0\0\0\x08\0prices.csv"[..], "ZIP archive"),
            (b"PK\x03\x04\x14\0\0\0\x08\0[Content_Types].xml", "Excel workbook"),
            (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0\0", "Excel workbook"),
            (b"PAR1\x15PAR1", "Parquet"),
            (b"BZh91AY&SY\xAA", "bzip2"),
            (b"%PDF-1.7", "PDF"),
        ] {
            let found = of_bytes(body).unwrap_or_default();
            assert!(found.contains(name), "{found}");
        }
        for text in [&b""[..], b"PK,BZh9\n1,2\n", b"PAR1,b\n1,2\n", b"BZh9,c\n", b"[1]", b"GIF\n"] {
            assert_eq!(of_bytes(text), None, "{text:?}");
        }
    }
}
