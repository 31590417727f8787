//! The progress gauge counts delivered rows.

use super::*;

#[tokio::test]
async fn gauge_counts_delivered_rows_and_not_rows_read_ahead() {
    let mut files = TestFiles::of("n\n1\n2\n3\n4\n");
    files.max_records = 2;
    let mut context = testing::context();
    context.folder = files.folder.path().to_owned();
    context.batch.max_records = 2;
    let mut source = CsvConfig::deserialize(&files.options).unwrap().build(&context).unwrap();
    source.open(&Start::default()).await.unwrap();
    assert_eq!(context.gauges.position(), Some((2, 10)), "the header");
    let mut committer = source.committer().unwrap();
    for _ in 0..2 {
        source.next().await.unwrap().unwrap().ack();
    }
    assert_eq!(context.gauges.position(), Some((2, 10)), "nothing is committed");
    let all = items(&mut files.open(None).unwrap()).unwrap();
    for (n, (_, after)) in all.iter().enumerate() {
        committer.commit(&after.position()).await.unwrap();
        assert_eq!(context.gauges.position(), Some((4 + 2 * n as u64, 10)));
    }
}

#[test]
fn gauge_counts_compressed_bytes() {
    let rows: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    let compressed = zstd::encode_all(format!("n\n{rows}").as_bytes(), 1).unwrap();
    let files = TestFiles::of(&compressed);
    let all = items(&mut files.open(None).unwrap()).unwrap();
    let shown: Vec<(u64, u64)> =
        all.iter().step_by(999).map(|(_, after)| CsvPosition::bytes_of(&after.position()).unwrap()).collect();
    assert!(shown.is_sorted() && shown.iter().all(|&(_, of)| of == compressed.len() as u64), "{shown:?}");
    let (last, _) = CsvPosition::bytes_of(&files.last_position()).unwrap();
    assert_eq!(last, compressed.len() as u64);
}
