//! Tables over objects: partitions, CSV, values that do not fit, objects that come later.

use super::*;

#[tokio::test]
async fn objects_that_come_after_the_crawl_are_seen() {
    let scene = Scene::with_stocks().await;
    scene.write("lake/stocks/late.json", &format!("{}\n{}\n", STOCKS[0], STOCKS[1]));
    assert_eq!(scene.rows("SELECT count(*) FROM stocks").await.unwrap(), ["_col0", "7"]);
}

#[tokio::test]
async fn partitions_are_columns_and_only_those_that_are_known_are_read() {
    let scene = Scene::new();
    scene.write("lake/t/year=2023/a.json", r#"{"n":1}"#);
    scene.write("lake/t/year=2024/a.json", "{\"n\":2}\n{\"n\":3}\n");
    scene.crawl("s3://lake/t/").await;
    scene.write("lake/t/year=2025/a.json", r#"{"n":4}"#);
    judge(
        &scene,
        &[
            ("SELECT n, year FROM t ORDER BY n", "n|year; 1|2023; 2|2024; 3|2024"),
            ("SELECT year, count(*) AS c FROM t GROUP BY year ORDER BY year", "year|c; 2023|1; 2024|2"),
            ("SELECT count(*) FROM t WHERE year = '2024'", "_col0; 2"),
            ("SHOW PARTITIONS t", "year=2023; year=2024"),
        ],
    )
    .await;
}

#[tokio::test]
async fn partitions_that_a_query_cannot_want_are_not_read() {
    let scene = Scene::new();
    scene.write("lake/t/year=2023/a.json", r#"{"n":1}"#);
    scene.write("lake/t/year=2024/a.json", r#"{"n":22222}"#);
    scene.crawl("s3://lake/t/").await;
    for (filter, n_bytes) in
        [("year = '2023'", 7), ("year > '2023'", 11), ("year IN ('1', '2')", 0), ("n > 0", 18)]
    {
        let execution = scene.execute(&format!("SELECT sum(n) FROM t WHERE {filter}")).await.unwrap();
        assert_eq!(execution["Statistics"]["DataScannedInBytes"], n_bytes, "{filter}");
    }
}

#[tokio::test]
async fn a_value_that_does_not_fit_its_column_fails_the_query_that_reads_it() {
    let scene = Scene::with_stocks().await;
    scene.write("lake/stocks/bad.json", r#"{"Index":"X","Open":"much","Volume":1}"#);
    let error = scene.rows("SELECT avg(open) FROM stocks").await.unwrap_err();
    assert!(error.starts_with("HIVE_BAD_DATA: Error parsing field value 'much' for field 2"), "{error}");
    assert!(error.contains("s3://lake/stocks/bad.json"), "{error}");
    assert_eq!(scene.rows("SELECT max(volume) FROM stocks").await.unwrap(), ["_col0", "40"]);

    scene.write("lake/stocks/bad.json", "[1, 2]");
    for sql in ["SELECT avg(open) FROM stocks", "SELECT count(*) FROM stocks"] {
        let error = scene.rows(sql).await.unwrap_err();
        assert!(error.starts_with("HIVE_CURSOR_ERROR: Row is not a valid JSON Object"), "{sql}: {error}");
        assert!(error.contains("s3://lake/stocks/bad.json"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn nested_values_are_read_by_their_names() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", r#"{"Who":{"Name":"x","Age":3},"Tags":["a","b"],"Note":{"deep":[1]}}"#);
    scene.crawl("s3://lake/t/").await;
    judge(
        &scene,
        &[
            ("SELECT who.name, t.who.age FROM t", "name|age; x|3"),
            ("SELECT who, tags FROM t", "who|tags; {name=x, age=3}|[a, b]"),
            ("SELECT cardinality(tags), tags[1] FROM t", "_col0|_col1; 2|a"),
            ("SELECT tag FROM t CROSS JOIN UNNEST(tags) AS u(tag)", "tag; a; b"),
        ],
    )
    .await;
}

#[tokio::test]
async fn csv_is_read_by_its_columns() {
    let scene = Scene::new();
    scene.write("lake/t/a.csv", "Index,Open,Date\nHSI,1.5,1986-12-31\nNYA,,1987-01-02\n");
    scene.crawl("s3://lake/t/").await;
    scene.write("lake/t/b.csv", "Index,Open,Date\nN225,none,1987-01-03\n");
    judge(
        &scene,
        &[
            (
                "SELECT * FROM t ORDER BY date",
                "index|open|date; HSI|1.5|1986-12-31; NYA|∅|1987-01-02; N225|∅|1987-01-03",
            ),
            ("SELECT count(*), sum(open) FROM t", "_col0|_col1; 3|1.5"),
        ],
    )
    .await;
    scene.write("lake/q/a.csv", "name,n\n\"a, b\",1\n\"c\",2\n");
    scene.crawl("s3://lake/q/").await;
    judge(&scene, &[("SELECT name, n FROM q ORDER BY n", "name|n; a, b|1; c|2")]).await;
}

#[tokio::test]
async fn ten_thousand_objects_are_counted_in_seconds() {
    let scene = Scene::new();
    for n in 0..10_000 {
        scene.write(&format!("lake/stocks/{n}.json"), STOCKS[n % STOCKS.len()]);
    }
    scene.crawl("s3://lake/stocks/").await;
    for sql in
        ["SELECT count(*) FROM stocks", "SELECT \"index\", avg(open) FROM stocks GROUP BY 1 ORDER BY 1"]
    {
        let started = std::time::Instant::now();
        let rows = scene.rows(sql).await.unwrap();
        let seconds = started.elapsed().as_secs_f64();
        println!("{seconds:.2} s: {sql}: {rows:?}");
        assert!(seconds < if cfg!(debug_assertions) { 30.0 } else { 3.0 }, "{seconds}");
    }
}
