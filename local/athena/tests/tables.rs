//! Tables over objects: partitions, values of the wrong type, new objects.

use super::*;

#[tokio::test]
async fn objects_after_the_crawl_are_read() {
    let scene = Scene::with_stocks().await;
    scene.write("lake/stocks/late.json", &format!("{}\n{}\n", STOCKS[0], STOCKS[1]));
    assert_eq!(scene.rows("SELECT count(*) FROM stocks").await.unwrap(), ["_col0", "7"]);
}

#[tokio::test]
async fn partitions_are_columns_and_unknown_ones_are_not_read() {
    let scene = Scene::new();
    scene.write("lake/t/year=2023/a.json", r#"{"n":1}"#);
    scene.write("lake/t/year=2024/a.json", "{\"n\":2}\n{\"n\":3}\n");
    scene.crawl("s3://lake/t/").await;
    scene.write("lake/t/year=2025/a.json", r#"{"n":4}"#);
    judge(&scene, PARTITIONS).await;
}

const PARTITIONS: &str = "
SELECT n, year FROM t ORDER BY n => n|year; 1|2023; 2|2024; 3|2024
SELECT year, count(*) AS c FROM t GROUP BY year ORDER BY year => year|c; 2023|1; 2024|2
SELECT count(*) FROM t WHERE year = '2024' => _col0; 2
SHOW PARTITIONS t => year=2023; year=2024
";

#[tokio::test]
async fn nested_values_are_read_by_name() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", r#"{"Who":{"Name":"x","Age":3},"Tags":["a","b"],"Note":{"deep":[1]}}"#);
    scene.crawl("s3://lake/t/").await;
    judge(&scene, NESTED).await;
}

const NESTED: &str = "
SELECT who.name, t.who.age FROM t => name|age; x|3
SELECT who, tags FROM t => who|tags; {name: x, age: 3}|[a, b]
SELECT cardinality(tags), tags[1] FROM t => _col0|_col1; 2|a
SELECT tag FROM t CROSS JOIN UNNEST(tags) AS u(tag) => tag; a; b
";

#[tokio::test]
async fn objects_and_arrays_in_one_column_are_json_texts() {
    let scene = Scene::new();
    scene.write("lake/t/0.json", r#"{"n":1,"tags":{"a":1}}"#);
    scene.write("lake/t/1.json", r#"{"n":2,"tags":["a",2]}"#);
    scene.write("lake/t/2.json", r#"{"n":3,"tags":"none","mixed":[1,{"a":1}]}"#);
    scene.crawl("s3://lake/t/").await;
    judge(&scene, MIXED).await;
}

const MIXED: &str = r#"
SELECT n, tags FROM t ORDER BY n => n|tags; 1|{"a":1}; 2|["a",2]; 3|none
SELECT mixed[2], cardinality(mixed) FROM t WHERE n = 3 => _col0|_col1; {"a":1}|2
"#;

#[tokio::test]
async fn field_with_the_name_of_a_partition_makes_the_table_invalid() {
    let scene = Scene::new();
    scene.write("lake/t/year=2024/a.json", r#"{"Year":2024,"n":1}"#);
    scene.crawl("s3://lake/t/").await;
    for sql in ["SELECT n FROM t", "SELECT count(*) FROM t"] {
        let error = scene.rows(sql).await.unwrap_err();
        assert_eq!(
            error,
            "HIVE_INVALID_METADATA: Hive metadata for table t is invalid: Table descriptor contains duplicate columns"
        );
    }
}

#[tokio::test]
async fn name_inside_of_an_object_that_needs_quotes_makes_the_table_invalid() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", r#"{"n":1,"tags":{"aws:id":"x"}}"#);
    scene.crawl("s3://lake/t/").await;
    let error = scene.rows("SELECT n FROM t").await.unwrap_err();
    let expected = ".t' column 'tags' has invalid data type: struct<aws:id:string>";
    assert!(error.starts_with("HIVE_INVALID_METADATA: Glue table '") && error.ends_with(expected), "{error}");
}

#[tokio::test]
async fn object_that_athena_cannot_read_fails_the_query() {
    let scene = Scene::new();
    scene.write("lake/t/0.json", r#"{"n":100,"x":1.5,"tags":{"a":1}}"#);
    scene.crawl("s3://lake/t/").await;
    for (object, sql, expected) in [
        (r#"{"x":"much"}"#, "avg(x)", "BAD_DATA: Error parsing field value 'much' for field 1: For input"),
        (r#"{"n":100.25}"#, "sum(n)", "BAD_DATA: Error parsing field value '100.25' for field 0"),
        (r#"{"tags":["a"]}"#, "tags", "BAD_DATA: Error parsing field value '[\"a\"]' for field 2"),
        ("[1, 2]", "avg(x)", "CURSOR_ERROR: Row is not a valid JSON Object - JSONException: A JSONObject"),
        ("[1, 2]", "count(*)", "CURSOR_ERROR: Row is not a valid JSON Object - JSONException: A JSONObject"),
        (r#"{"N":1,"n":2}"#, "n", "CURSOR_ERROR: Row is not a valid JSON Object - JSONException: Duplicate"),
        (r#"{"N":1,"n":2}"#, "count(*)", "CURSOR_ERROR: Row is not a valid JSON Object - JSONException: Dup"),
    ] {
        scene.write("lake/t/bad.json", object);
        let error = scene.rows(&format!("SELECT {sql} FROM t")).await.unwrap_err();
        let is_expected = error.strip_prefix("HIVE_").is_some_and(|error| error.starts_with(expected));
        assert!(is_expected && error.contains("s3://lake/t/bad.json"), "{sql}: {error}");
    }
    scene.write("lake/t/bad.json", r#"{"x":"much"}"#);
    assert_eq!(scene.rows("SELECT max(n) FROM t").await.unwrap(), ["_col0", "100"], "reads no x");
}
