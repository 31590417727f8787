//! Compressed files.

use super::*;

pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    Compression::Gzip.compress(text).unwrap()
}

#[test]
fn compressed_files_resume_like_plain_ones() {
    let rows: String = (0..40_000).map(|n| format!("{n},row {n}\n")).collect();
    let (front, back) = rows.split_at(rows.len() / 2);
    let text = format!("n,s\n{front}");
    let plain = items(&mut TestFiles::of(format!("{text}{back}")).open(None).unwrap()).unwrap();
    let members = [gzip(text.as_bytes()), gzip(back.as_bytes())].concat();
    let frames =
        [zstd::encode_all(text.as_bytes(), 1).unwrap(), zstd::encode_all(back.as_bytes(), 1).unwrap()];
    let skipped = [b"\x50\x2A\x4D\x18\x02\0\0\0ab", &*frames.concat()].concat();
    for compressed in [members, frames.concat(), skipped] {
        let files = TestFiles::of(compressed);
        let all = items(&mut files.open(None).unwrap()).unwrap();
        assert!(all.iter().map(|(item, _)| item).eq(plain.iter().map(|(item, _)| item)));
        for n in [1, 1_024, 30_000, 39_999, 40_000] {
            let rest = files.read_after(Some(all[n - 1].1.position()));
            assert!(rest.iter().eq(plain[n..].iter().map(|(item, _)| item)), "after {n}");
        }
    }
}

#[test]
fn truncated_archive_is_an_error_after_its_complete_rows() {
    let rows: String = (0..100_000_u64).map(|n| format!("{}\n", n.wrapping_mul(0x9E37_79B9))).collect();
    let mut compressed = gzip(format!("n\n{rows}").as_bytes());
    compressed.truncate(compressed.len() / 2);
    let why =
        "reading t.csv: the archive is incomplete, it ends in the middle of its data; fetch or copy it again";
    let mut frame = zstd::encode_all(format!("n\n{rows}").as_bytes(), 1).unwrap();
    frame.truncate(frame.len() / 2);
    assert_eq!(TestFiles::of(frame).open_error(None), why);
    let files = TestFiles::of(compressed);
    let mut reader = files.open(None).unwrap();
    let mut n_rows = 0;
    let error = loop {
        match reader.next_chunk() {
            Ok(chunk) => n_rows += chunk.expect("no end before the error").records.len(),
            Err(error) => break files.shortened(format!("{error:#}")),
        }
    };
    assert!(n_rows > 40_000, "{n_rows}");
    assert_eq!(error, why);
}

#[test]
fn damaged_archive_is_an_error_that_says_so() {
    let rows: String = (0..1_000).map(|n| format!("{n}\n")).collect();
    let mut compressed = gzip(format!("n\n{rows}").as_bytes());
    let checksum = compressed.len() - 8;
    compressed[checksum] ^= 1;
    let error = TestFiles::of(compressed).open_error(None);
    assert!(error.contains("reading t.csv: the archive is damaged; fetch or copy it again"), "{error}");
}

#[test]
fn last_row_of_an_archive_waits_for_its_line_end_as_in_a_plain_file() {
    for follow in [false, true] {
        let files = TestFiles::of(gzip(b"id,n\n1,10\n2,123")).with("follow", json!(follow));
        if !follow {
            // It is being written.
            std::fs::write(files.path("t.csv"), gzip(b"id,n\n1,10\n2,123")).unwrap();
        }
        let all = items(&mut files.open(None).unwrap()).unwrap();
        assert_eq!(all.len(), 1, "{follow}");
        files.append("t.csv", gzip(b"45\n3,30\n"));
        let rest = files.read_after(Some(all[0].1.position()));
        assert_eq!(rest, ok(&[r#"{"id":2,"n":12345}"#, r#"{"id":3,"n":30}"#]));
    }
    let files = TestFiles::of(gzip(b"id,n\n1,10\n2,123"));
    assert_eq!(files.read(), ok(&[r#"{"id":1,"n":10}"#, r#"{"id":2,"n":123}"#]), "no program appends to it");
}

#[test]
fn archive_may_be_compressed_again_if_its_text_stays() {
    let rows = |n: usize| (0..n).map(|n| format!("{n},row {n}\n")).collect::<String>();
    let compressed = |text: &str, level| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let small = |text: &str| compressed(text, flate2::Compression::best());
    let text = format!("n,s\n{}", rows(2_000));
    let large = compressed(&text, flate2::Compression::fast());
    assert!(small(&text).len() < large.len());
    let files = TestFiles::of(large);
    let position = files.last_position();
    files.write("t.csv", small(&text));
    assert_eq!(files.read_after(Some(position.clone())), ok(&[]));
    files.write("t.csv", small(&format!("n,s\n{}", rows(2_001))));
    assert_eq!(files.read_after(Some(position.clone())), ok(&[r#"{"n":2000,"s":"row 2000"}"#]));
    files.write("t.csv", small(&format!("n,s\n{}", rows(1_999))));
    let error = files.open_error(Some(position));
    assert!(error.contains("has changed since it was read"), "{error}");
}
