//! Calls: starting, watching and stopping queries, and fetching their results.

use std::sync::Arc;

use super::*;
use crate::athena::engine::Engine;
use crate::athena::queries::Queries;

#[tokio::test]
async fn result_is_a_file_of_quoted_values_in_pages() {
    let scene = Scene::with_stocks().await;
    let sql = "SELECT high, 'a\"b' AS q, '' AS e, 'x' || chr(10) || 'y' AS l FROM stocks WHERE \"index\" = 'NYA' ORDER BY date";
    let execution = scene.execute(sql).await.unwrap();
    let location = execution["ResultConfiguration"]["OutputLocation"].as_str().unwrap();
    let id = execution["QueryExecutionId"].as_str().unwrap();
    assert_eq!(location, format!("s3://results/{id}.csv"));
    assert_eq!(
        fs::read_to_string(scene.glue.root.path().join(format!("results/{id}.csv"))).unwrap(),
        "\"high\",\"q\",\"e\",\"l\"\n\"1410.5\",\"a\"\"b\",\"\",\"x\ny\"\n,\"a\"\"b\",\"\",\"x\ny\"\n"
    );
    let input = json!({ "QueryExecutionId": id });
    let ask = async |input| scene.ask("GetQueryResults", input).await;
    let rows = crate::glue::tests::Scene::pages("/ResultSet/Rows", input, ask).await;
    let rows: Vec<String> = rows.iter().map(row).collect();
    assert_eq!(rows, ["high|q|e|l", "1410.5|a\"b||x\ny", "∅|a\"b||x\ny"]);
}

#[tokio::test]
async fn columns_have_the_types_of_trino() {
    let scene = Scene::with_stocks().await;
    let sql = "SELECT \"index\", open, volume, true AS t, date '2020-01-01' AS d, ARRAY[1] AS a, \
               CAST(1 AS decimal(7,2)) AS n, timestamp '2020-01-01 00:00:00' AS s FROM stocks";
    let execution = scene.execute(sql).await.unwrap();
    assert_eq!(execution["StatementType"], "DML");
    assert!(execution["Statistics"]["DataScannedInBytes"].as_u64().unwrap() > 100);
    let results =
        scene.ask("GetQueryResults", json!({ "QueryExecutionId": execution["QueryExecutionId"] })).await;
    let columns = results["ResultSet"]["ResultSetMetadata"]["ColumnInfo"].as_array().unwrap().clone();
    let kinds: Vec<&str> = columns.iter().map(|column| column["Type"].as_str().unwrap()).collect();
    let expected = ["varchar", "double", "bigint", "boolean", "date", "array", "decimal", "timestamp"];
    assert_eq!(kinds, expected);
    assert_eq!((&columns[6]["Precision"], &columns[6]["Scale"]), (&json!(7), &json!(2)));
}

#[tokio::test]
async fn wrong_output_location_is_refused() {
    let scene = Scene::with_stocks().await;
    let start = |location: &str| json!({ "QueryString": "SELECT 1", "ResultConfiguration": { "OutputLocation": location } });
    let started = scene.ask("StartQueryExecution", start("s3://nowhere/")).await;
    let failed = scene.until_ended(&started).await.unwrap_err();
    assert!(failed.contains("output bucket nowhere"), "{failed}");
    scene.execute("SELECT CAST(\"index\" AS double) FROM stocks").await.unwrap_err();
    let left = fs::read_dir(scene.glue.root.path().join("results")).unwrap().count();
    assert_eq!(left, 0, "a query that fails leaves no result");
}

#[tokio::test]
async fn running_query_can_be_stopped() {
    let scene = Scene::with_stocks().await;
    // Takes minutes.
    let tables: Vec<String> = ('a'..='m').map(|name| format!("stocks {name}")).collect();
    let sql =
        format!("SELECT sum(a.volume) FROM {} WHERE a.open * b.open < c.open * m.open", tables.join(", "));
    let input = json!({ "QueryString": sql, "QueryExecutionContext": { "Database": "db" } });
    let started = scene.ask("StartQueryExecution", input).await;
    while scene.ask("GetQueryExecution", started.clone()).await["QueryExecution"]["Status"]["State"]
        != "RUNNING"
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    scene.ask("StopQueryExecution", started.clone()).await;
    assert_eq!(scene.until_ended(&started).await.unwrap_err(), "CANCELLED");
    let refused = scene.athena.call("GetQueryResults", started).await.unwrap_err();
    assert!(refused.message.contains("Final query state: CANCELLED"), "{refused}");
    scene.athena.stop().await;
}

#[tokio::test]
async fn query_has_limited_memory() {
    let mut scene = Scene::new();
    let sql = "SELECT count(DISTINCT a * 10000 + b) FROM UNNEST(sequence(1, 1000)) AS t(a) CROSS JOIN \
               UNNEST(sequence(1, 100)) AS u(b)";
    assert_eq!(scene.rows(sql).await.unwrap(), ["_col0", "100000"]);
    let mut engine = Engine::new(scene.glue.catalogue.clone(), scene.glue.root.path().to_owned());
    engine.memory = 1 << 20;
    scene.athena = Athena { queries: Arc::new(Queries::new(engine, "s3://results/".into())) };
    let refused = scene.rows(sql).await.unwrap_err();
    assert!(refused.contains("Resources exhausted"), "{refused}");
}

#[tokio::test]
async fn statements_show_the_catalogue() {
    let scene = Scene::with_stocks().await;
    judge(&scene, STATEMENTS).await;
    let described = scene.rows("DESCRIBE db.stocks").await.unwrap();
    assert!(described[2].starts_with("open ") && described[2].contains("double"), "{described:?}");
    for (sql, expected) in cases(WRONG_STATEMENTS) {
        let error = scene.rows(sql).await.unwrap_err();
        assert!(error.contains(expected), "{sql}: {error}");
    }
}

const STATEMENTS: &str = "
SHOW DATABASES => db
show tables => stocks
SHOW TABLES IN db 'st*' => stocks
SHOW TABLES IN `db` LIKE 'x*' =>
SHOW COLUMNS IN stocks => index; date; open; high; adj close; volume; closeusd
SHOW SCHEMAS; => db
";

const WRONG_STATEMENTS: &str = "
DESCRIBE nothing => Table not found db.nothing
SHOW TABLES IN nothing => Database does not exist: nothing
SHOW CREATE TABLE stocks => NOT_SUPPORTED
";
