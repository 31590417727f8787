//! What people are shown is how far the rows have been delivered.

use super::*;

#[tokio::test]
async fn the_gauge_shows_what_was_delivered_and_not_what_was_read_ahead() {
    let mut scene = Scene::of("n\n1\n2\n3\n4\n");
    scene.max_records = 2;
    let mut context = testing::context();
    context.folder = scene.folder.path().to_owned();
    context.batch.max_records = 2;
    let mut source = CsvConfig::deserialize(&scene.options).unwrap().build(&context).unwrap();
    source.open(&Start::default()).await.unwrap();
    assert_eq!(context.gauges.position(), Some((2, 10)), "the header");
    let mut committer = source.committer().unwrap();
    for _ in 0..2 {
        source.next().await.unwrap().unwrap().ack();
    }
    assert_eq!(context.gauges.position(), Some((2, 10)), "nothing of it is committed");
    let all = items(&mut scene.open(None).unwrap()).unwrap();
    for (n, (_, behind)) in all.iter().enumerate() {
        committer.commit(&behind.position()).await.unwrap();
        assert_eq!(context.gauges.position(), Some((4 + 2 * n as u64, 10)));
    }
}

#[test]
fn of_a_compressed_file_the_gauge_counts_what_lies_on_the_disk() {
    let rows: String = (0..50_000).map(|n| format!("{n}\n")).collect();
    let packed = zstd::encode_all(format!("n\n{rows}").as_bytes(), 1).unwrap();
    let scene = Scene::of(&packed);
    let all = items(&mut scene.open(None).unwrap()).unwrap();
    let shown: Vec<(u64, u64)> =
        all.iter().step_by(999).map(|(_, behind)| Saved::bytes_of(&behind.position()).unwrap()).collect();
    assert!(shown.is_sorted() && shown.iter().all(|&(_, of)| of == packed.len() as u64), "{shown:?}");
    let (last, _) = Saved::bytes_of(&scene.last_position()).unwrap();
    assert_eq!(last, packed.len() as u64);
}
