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
        assert!(matches!(source.next().await, Ok(Next::Batch(_))));
    }
    assert_eq!(context.gauges.position(), Some((2, 10)), "nothing is committed");
    let mut reader = files.open(None).unwrap();
    let mut n_rows = 0;
    while let Some(chunk) = reader.next_chunk().unwrap() {
        let start = BatchPosition::at_start(chunk.positions);
        for n in 1..=chunk.records.len() {
            committer.commit(&start.after(n)).await.unwrap();
            n_rows += 1;
            assert_eq!(context.gauges.position(), Some((2 + 2 * n_rows, 10)));
        }
    }
    assert_eq!(n_rows, 4);
}

#[test]
fn gauge_counts_compressed_bytes() {
    let rows: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    let compressed = zstd::encode_all(format!("n\n{rows}").as_bytes(), 1).unwrap();
    let files = TestFiles::of(&compressed);
    let all = items(&mut files.open(None).unwrap()).unwrap();
    let shown: Vec<(u64, u64)> = all.iter().step_by(999).map(|(_, after)| after.bytes()).collect();
    assert!(shown.is_sorted() && shown.iter().all(|&(_, of)| of == compressed.len() as u64), "{shown:?}");
    let (_, last) = all.last().unwrap();
    assert_eq!(last.bytes().0, compressed.len() as u64);
}
