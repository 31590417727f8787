//! Names: what `*` stands for, names that come twice, and aliases where Trino knows none.

use super::refused::refused;
use super::*;

#[tokio::test]
async fn a_star_stands_for_the_columns_of_the_catalogue() {
    let scene = Scene::new();
    scene.write("lake/t/p=x/a.json", r#"{"n":1,"m":{"f":5}}"#);
    scene.crawl("s3://lake/t/").await;
    judge(
        &scene,
        &[
            ("SELECT * FROM t WHERE \"$path\" LIKE '%a.json'", "n|m|p; 1|{f=5}|x"),
            ("SELECT *, \"$path\" FROM t", "n|m|p|$path; 1|{f=5}|x|s3://lake/t/p=x/a.json"),
            ("SELECT T.*, n FROM t", "n|m|p|n; 1|{f=5}|x|1"),
            ("SELECT n, * FROM t", "n|n|m|p; 1|1|{f=5}|x"),
            ("SELECT *, n FROM t ORDER BY m.f", "n|m|p|n; 1|{f=5}|x|1"),
            ("SELECT *, upper(p) AS p FROM t", "n|m|p|p; 1|{f=5}|x|X"),
            ("SELECT * FROM (SELECT n, \"$path\" AS o FROM t)", "n|o; 1|s3://lake/t/p=x/a.json"),
            ("SELECT * FROM (SELECT *, n FROM t)", "n|m|p|n; 1|{f=5}|x|1"),
            ("WITH t AS (SELECT p FROM t) SELECT *, p FROM t", "p|p; x|x"),
            ("SELECT *, b.n FROM t a JOIN t b USING (n, p)", "n|p|m|m|n; 1|x|{f=5}|{f=5}|1"),
            ("SELECT b.*, 7 FROM (SELECT 5 AS x), (SELECT n FROM t) AS b", "n|_col1; 1|7"),
            ("SELECT * FROM (SELECT 5 AS x), (SELECT 6 AS x)", "x|x; 5|6"),
            ("SELECT count(*) FROM t WHERE EXISTS (SELECT * FROM t WHERE \"$path\" IS NULL)", "_col0; 0"),
            ("SELECT *, x FROM (SELECT n FROM t) CROSS JOIN UNNEST(ARRAY[8]) AS u(x)", "n|x|x; 1|8|8"),
            (
                "SELECT * FROM information_schema.schemata WHERE schema_name = 'db'",
                "catalog_name|schema_name; awsdatacatalog|db",
            ),
            ("SELECT n AS a FROM t UNION SELECT 2 ORDER BY a", "a; 1; 2"),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_names_no_column_or_two_is_refused() {
    refused(&[
        (
            "SELECT date FROM stocks a RIGHT JOIN stocks b USING (date)",
            "NOT_SUPPORTED: the offline Athena has RIGHT and FULL JOIN with ON, not with USING",
        ),
        ("SELECT a.date FROM stocks a FULL JOIN stocks b USING (date)", "not with USING"),
        ("SELECT *, open FROM stocks ORDER BY open", "AMBIGUOUS_NAME: line 1:37: Column 'open' is ambiguous"),
        (
            "SELECT open FROM (SELECT *, open FROM stocks)",
            "AMBIGUOUS_NAME: line 1:8: Column 'open' is ambiguous",
        ),
        (
            "SELECT lower(\"index\") AS y, count(*) FROM stocks GROUP BY y || 'x'",
            "COLUMN_NOT_FOUND: line 1:59: Column 'y' cannot be resolved",
        ),
        (
            "SELECT lower(i) AS y, count(*) FROM (SELECT \"index\" AS i FROM stocks) GROUP BY y",
            "COLUMN_NOT_FOUND: line 1:80: Column 'y' cannot be resolved",
        ),
        (
            "WITH s AS (SELECT * FROM stocks) SELECT lower(\"index\") AS y, count(*) FROM s GROUP BY y",
            "COLUMN_NOT_FOUND: line 1:87: Column 'y' cannot be resolved",
        ),
        (
            "SELECT i, count(*) AS n FROM (SELECT \"index\" AS i FROM stocks) GROUP BY i HAVING n > 1",
            "Column 'n' cannot be resolved",
        ),
        ("SELECT upper(x) AS y FROM UNNEST(ARRAY['a']) AS u(x) GROUP BY y", "Column 'y' cannot be resolved"),
        (
            "SELECT a.open AS y FROM stocks a JOIN stocks b USING (date) GROUP BY y",
            "Column 'y' cannot be resolved",
        ),
    ])
    .await;
}
