//! Calls: queries started, watched, stopped, and their results fetched.

use super::*;

#[tokio::test]
async fn a_result_is_a_file_of_quoted_values_and_comes_in_pages() {
    let scene = Scene::with_stocks().await;
    let sql = "SELECT high, 'a\"b' AS q, '' AS e, 'x' || chr(10) || 'y' AS l FROM stocks WHERE \"index\" = 'NYA' ORDER BY date";
    let execution = scene.execute(sql).await.unwrap();
    let location = execution["ResultConfiguration"]["OutputLocation"].as_str().unwrap();
    let id = execution["QueryExecutionId"].as_str().unwrap();
    assert_eq!(location, format!("s3://results/{id}.csv"));
    let file = scene.root.path().join(format!("results/{id}.csv"));
    assert_eq!(
        read(&file),
        "\"high\",\"q\",\"e\",\"l\"\n\"1410.5\",\"a\"\"b\",\"\",\"x\ny\"\n,\"a\"\"b\",\"\",\"x\ny\"\n"
    );
    let (mut rows, mut token) = (Vec::new(), Value::Null);
    loop {
        let mut input = json!({ "QueryExecutionId": id, "MaxResults": 2 });
        if !token.is_null() {
            input["NextToken"] = token;
        }
        let page = scene.ask("GetQueryResults", input).await;
        rows.extend(page["ResultSet"]["Rows"].as_array().unwrap().iter().map(row));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(rows, ["high|q|e|l", "1410.5|a\"b||x\ny", "∅|a\"b||x\ny"]);
}

#[tokio::test]
async fn columns_are_told_with_the_types_of_trino() {
    let scene = Scene::with_stocks().await;
    let sql = "SELECT \"index\", open, volume, true AS t, date '2020-01-01' AS d, ARRAY[1] AS a, \
               CAST(1 AS decimal(7,2)) AS n FROM stocks";
    let execution = scene.execute(sql).await.unwrap();
    assert_eq!(execution["StatementType"], "DML");
    assert!(execution["Statistics"]["DataScannedInBytes"].as_u64().unwrap() > 100);
    let results =
        scene.ask("GetQueryResults", json!({ "QueryExecutionId": execution["QueryExecutionId"] })).await;
    let columns = results["ResultSet"]["ResultSetMetadata"]["ColumnInfo"].as_array().unwrap().clone();
    let kinds: Vec<&str> = columns.iter().map(|column| column["Type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["varchar", "double", "bigint", "boolean", "date", "array", "decimal"]);
    assert_eq!((&columns[6]["Precision"], &columns[6]["Scale"]), (&json!(7), &json!(2)));
}

#[tokio::test]
async fn the_same_token_starts_no_second_query() {
    let scene = Scene::with_stocks().await;
    let input = json!({ "QueryString": "SELECT 1", "ClientRequestToken": "once" });
    let first = scene.ask("StartQueryExecution", input.clone()).await;
    assert_eq!(scene.ask("StartQueryExecution", input).await, first);
    scene.until_ended(&first).await.unwrap();
    for other in [
        json!({ "QueryString": "SELECT 2", "ClientRequestToken": "once" }),
        json!({ "QueryString": "SELECT 1", "ClientRequestToken": "once", "WorkGroup": "primary" }),
    ] {
        let refused = scene.athena.call("StartQueryExecution", other).await.unwrap_err().to_string();
        assert!(
            refused.starts_with("InvalidRequestException: Idempotent parameters do not match"),
            "{refused}"
        );
    }
    let listed = scene.ask("ListQueryExecutions", json!({})).await;
    assert_eq!(listed["QueryExecutionIds"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_output_that_is_not_there_or_in_the_way_is_refused() {
    let scene = Scene::with_stocks().await;
    let start = |location: &str| json!({ "QueryString": "SELECT 1", "ResultConfiguration": { "OutputLocation": location } });
    let taken = scene.athena.call("StartQueryExecution", start("s3://lake/stocks/out/")).await.unwrap_err();
    assert!(taken.message.contains("the folder of the table `db.stocks`"), "{taken}");
    let started = scene.ask("StartQueryExecution", start("s3://nowhere/")).await;
    let failed = scene.until_ended(&started).await.unwrap_err();
    assert!(failed.contains("output bucket nowhere"), "{failed}");
    scene.execute("SELECT CAST(\"index\" AS double) FROM stocks").await.unwrap_err();
    let left = fs::read_dir(scene.root.path().join("results")).unwrap().count();
    assert_eq!(left, 0, "a query that fails leaves no result");

    let bare = Athena::start(
        Catalogue::open(None).unwrap(),
        scene.root.path().to_owned(),
        AthenaSettings::default(),
    );
    let none = bare.call("StartQueryExecution", json!({ "QueryString": "SELECT 1" })).await.unwrap_err();
    assert!(none.to_string().starts_with("InvalidRequestException: No output location provided."), "{none}");
}

#[tokio::test]
async fn a_query_can_be_stopped_and_has_no_result_then() {
    let scene = Scene::with_stocks().await;
    let sql = "SELECT count(*) FROM stocks a, stocks b, stocks c, stocks d, stocks e, stocks f, stocks g, stocks h, stocks i";
    let started = scene
        .ask(
            "StartQueryExecution",
            json!({ "QueryString": sql, "QueryExecutionContext": { "Database": "db" } }),
        )
        .await;
    scene.ask("StopQueryExecution", started.clone()).await;
    assert_eq!(scene.until_ended(&started).await.unwrap_err(), "CANCELLED");
    let refused = scene.athena.call("GetQueryResults", started).await.unwrap_err();
    assert!(refused.message.contains("Final query state: CANCELLED"), "{refused}");
    scene.athena.stop().await;
}

async fn states(scene: &Scene, started: &[Value]) -> Vec<String> {
    let mut states = Vec::new();
    for query in started {
        let answer = scene.ask("GetQueryExecution", query.clone()).await;
        states.push(answer["QueryExecution"]["Status"]["State"].as_str().unwrap().to_owned());
    }
    states
}

#[tokio::test]
async fn four_queries_run_at_once_and_the_fifth_is_queued() {
    let scene = Scene::with_stocks().await;
    let sql = "SELECT count(*) FROM stocks a, stocks b, stocks c, stocks d, stocks e, stocks f, stocks g, stocks h, \
               stocks i, stocks j, stocks k, stocks l";
    let input = json!({ "QueryString": sql, "QueryExecutionContext": { "Database": "db" } });
    let mut started = Vec::new();
    for n in 1..=4 {
        started.push(scene.ask("StartQueryExecution", input.clone()).await);
        while states(&scene, &started).await != vec!["RUNNING"; n] {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    started.push(scene.ask("StartQueryExecution", input).await);
    assert_eq!(states(&scene, &started).await, ["RUNNING", "RUNNING", "RUNNING", "RUNNING", "QUEUED"]);
    scene.ask("StopQueryExecution", started[0].clone()).await;
    while states(&scene, &started).await != ["CANCELLED", "RUNNING", "RUNNING", "RUNNING", "RUNNING"] {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    scene.athena.stop().await;
}

#[tokio::test]
async fn the_catalogue_is_shown_by_statements_and_by_calls() {
    let scene = Scene::with_stocks().await;
    judge(
        &scene,
        &[
            ("SHOW DATABASES", "db"),
            ("show tables", "stocks"),
            ("SHOW TABLES IN db 'st*'", "stocks"),
            ("SHOW TABLES IN `db` LIKE 'x*'", ""),
            ("SHOW COLUMNS IN stocks", "index; date; open; high; adj close; volume; closeusd"),
            ("CREATE DATABASE IF NOT EXISTS other", ""),
            ("SHOW SCHEMAS;", "db; other"),
            ("DROP DATABASE other", ""),
            ("SHOW DATABASES", "db"),
        ],
    )
    .await;
    let described = scene.rows("DESCRIBE db.stocks").await.unwrap();
    assert!(described[2].starts_with("open ") && described[2].contains("double"), "{described:?}");
    let made = scene.rows("SHOW CREATE TABLE stocks").await.unwrap();
    assert_eq!(made[0], "CREATE EXTERNAL TABLE `stocks`(");
    let table = scene
        .ask(
            "GetTableMetadata",
            json!({ "CatalogName": "AwsDataCatalog", "DatabaseName": "db", "TableName": "stocks" }),
        )
        .await;
    assert_eq!(table["TableMetadata"]["Columns"][1], json!({ "Name": "date", "Type": "string" }));
    for (expression, n) in [("st.*", 1), ("tock", 0)] {
        let input =
            json!({ "CatalogName": "AwsDataCatalog", "DatabaseName": "db", "Expression": expression });
        let listed = scene.ask("ListTableMetadata", input).await;
        assert_eq!(listed["TableMetadataList"].as_array().unwrap().len(), n, "{expression}");
    }
}

#[tokio::test]
async fn a_workgroup_says_where_results_go() {
    let scene = Scene::with_stocks().await;
    let configuration = json!({ "ResultConfiguration": { "OutputLocation": "s3://results/team/" } });
    scene.ask("CreateWorkGroup", json!({ "Name": "team", "Configuration": configuration })).await;
    let started =
        scene.ask("StartQueryExecution", json!({ "QueryString": "SELECT 1", "WorkGroup": "team" })).await;
    let execution = scene.until_ended(&started).await.unwrap();
    assert!(
        execution["ResultConfiguration"]["OutputLocation"]
            .as_str()
            .unwrap()
            .starts_with("s3://results/team/")
    );
    let primary = scene.ask("GetWorkGroup", json!({ "WorkGroup": "primary" })).await;
    assert_eq!(
        primary["WorkGroup"]["Configuration"]["ResultConfiguration"]["OutputLocation"],
        "s3://results/"
    );
    let start = |group: &str| {
        scene.athena.call("StartQueryExecution", json!({ "QueryString": "SELECT 1", "WorkGroup": group }))
    };
    scene.ask("UpdateWorkGroup", json!({ "WorkGroup": "team", "State": "DISABLED" })).await;
    assert!(start("team").await.unwrap_err().message.contains("WorkGroup team is disabled"));
    let limits = json!({ "BytesScannedCutoffPerQuery": 10_000_000 });
    let refused =
        scene.athena.call("CreateWorkGroup", json!({ "Name": "other", "Configuration": limits })).await;
    assert!(refused.unwrap_err().message.contains("no BytesScannedCutoffPerQuery"));
    let missing = start("x").await;
    assert!(missing.unwrap_err().message.contains("WorkGroup x is not found"));
}
