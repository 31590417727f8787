//! SQL that Athena refuses, and what it says.

use super::*;

#[tokio::test]
async fn what_athena_refuses_is_refused_in_its_words() {
    let scene = Scene::with_stocks().await;
    let cases = [
        ("SELEKT 1", "InvalidRequestException: line 1:1: mismatched input 'SELEKT'"),
        ("SELECT * FROM", "InvalidRequestException: line 1:14: mismatched input '<EOF>'"),
        ("SELECT `open` FROM stocks", "backquoted identifiers are not supported"),
        ("SELECT open::bigint FROM stocks", "write CAST"),
        (
            "SELECT * FROM nowhere",
            "TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.db.nowhere' does not exist",
        ),
        ("SELECT * FROM other.stocks", "SCHEMA_NOT_FOUND: line 1:15: Schema 'other' does not exist"),
        ("SELECT * FROM cat.db.stocks", "CATALOG_NOT_FOUND: line 1:15: Catalog 'cat' does not exist"),
        ("SELECT x FROM stocks", "COLUMN_NOT_FOUND: line 1:8: Column 'x' cannot be resolved"),
        ("SELECT s.x FROM stocks s", "COLUMN_NOT_FOUND: line 1:8: Column 's.x' cannot be resolved"),
        (
            "SELECT open FROM stocks WHERE \"index\" = \"HSI\"",
            "COLUMN_NOT_FOUND: line 1:41: Column 'hsi' cannot be resolved",
        ),
        (
            "SELECT * FROM stocks WHERE date < date '1987-01-01'",
            "TYPE_MISMATCH: line 1:33: Cannot apply operator: varchar < date",
        ),
        (
            "SELECT * FROM stocks\nWHERE date = 5",
            "TYPE_MISMATCH: line 2:12: Cannot apply operator: varchar = integer",
        ),
        (
            "SELECT open + \"index\" FROM stocks",
            "TYPE_MISMATCH: line 1:13: Cannot apply operator: double + varchar",
        ),
        (
            "SELECT * FROM stocks WHERE volume = '10'",
            "TYPE_MISMATCH: line 1:35: Cannot apply operator: bigint = varchar(2)",
        ),
        (
            "SELECT * FROM stocks WHERE volume IN ('a')",
            "Cannot find common type between bigint and varchar(1)",
        ),
        (
            "SELECT * FROM stocks WHERE date BETWEEN 1 AND 2",
            "Cannot check if varchar is BETWEEN integer and integer",
        ),
        (
            "SELECT * FROM stocks WHERE volume LIKE '1%'",
            "Left side of LIKE expression must evaluate to a varchar (actual: bigint)",
        ),
        (
            "SELECT year(date) FROM stocks",
            "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (varchar) for function year",
        ),
        (
            "SELECT sum(date) FROM stocks",
            "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (varchar) for function sum",
        ),
        (
            "SELECT volume || 'x' FROM stocks",
            "Unexpected parameters (bigint, varchar(1)) for function concat",
        ),
        (
            "SELECT to_char(open) FROM stocks",
            "FUNCTION_NOT_FOUND: line 1:8: Function 'to_char' not registered",
        ),
        ("SELECT sha256('x')", "NOT_SUPPORTED: line 1:8: the offline Athena has no function sha256"),
        ("SELECT transform(ARRAY[1], x -> x + 1)", "no function transform"),
        (
            "SELECT \"index\", open FROM stocks GROUP BY \"index\"",
            "EXPRESSION_NOT_AGGREGATE: line 1:17: 'open' must be an aggregate expression or appear in GROUP BY clause",
        ),
        (
            "SELECT open AS o FROM stocks WHERE o > 1",
            "COLUMN_NOT_FOUND: line 1:36: Column 'o' cannot be resolved",
        ),
        (
            "SELECT lower(\"index\") AS i, count(*) FROM stocks GROUP BY i",
            "COLUMN_NOT_FOUND: line 1:59: Column 'i' cannot be resolved",
        ),
        (
            "SELECT \"index\", count(*) AS n FROM stocks GROUP BY \"index\" HAVING n > 1",
            "COLUMN_NOT_FOUND: line 1:67: Column 'n' cannot be resolved",
        ),
        (
            "SELECT CAST(\"index\" AS double) FROM stocks WHERE \"index\" = 'HSI'",
            "INVALID_CAST_ARGUMENT: Cannot cast 'HSI' to DOUBLE",
        ),
        ("SELECT 1 / 0", "DIVISION_BY_ZERO"),
        ("SELECT date_parse('x', '%Y')", "INVALID_FUNCTION_ARGUMENT: Invalid format: \"x\""),
        (
            "SELECT coalesce(high, 'x') FROM stocks",
            "TYPE_MISMATCH: line 1:8: All COALESCE operands must be the same type or coercible to a common type. Cannot \
             find common type between double and varchar(1)",
        ),
        (
            "SELECT CASE WHEN open > 1 THEN open ELSE 'x' END FROM stocks",
            "All CASE results must be the same type",
        ),
        (
            "SELECT open FROM stocks UNION ALL SELECT \"index\" FROM stocks",
            "column 1 in UNION query has incompatible types: double, varchar",
        ),
        (
            "SELECT open FROM stocks s WHERE stocks.open > 1",
            "COLUMN_NOT_FOUND: line 1:33: Column 'stocks.open' cannot be resolved",
        ),
        ("SELECT date '2020-01-01' - date '2019-01-01'", "line 1:26: Cannot apply operator: date - date"),
        ("CREATE EXTERNAL TABLE x (a int) LOCATION 's3://lake/x/'", "no statement CREATE EXTERNAL"),
        ("EXPLAIN SELECT 1", "no statement EXPLAIN"),
        ("DELETE FROM stocks", "Modifying Hive table rows is only supported for transactional tables"),
        ("UPDATE stocks SET open = 1", "Modifying Hive table rows"),
        ("INSERT INTO stocks VALUES (1)", "does not write tables (INSERT)"),
        ("CREATE TABLE x AS SELECT 1", "no statement CREATE TABLE"),
        ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
    ];
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        match scene.rows(sql).await {
            Err(message) if message.contains(expected) => {}
            other => wrong.push(format!("{sql}\n--- expected\n{expected}\n--- got\n{other:?}\n")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
