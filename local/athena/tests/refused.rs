//! SQL that Athena refuses, and what it says.

use super::*;

#[tokio::test]
async fn what_athena_refuses_is_refused_in_its_words() {
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
        ("SELECT transform(ARRAY[1], x -> x + 1)", "has no lambda expressions"),
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
        (
            "SELECT date '2020-01-01' - date '2019-01-01'",
            "NOT_SUPPORTED: the offline Athena has no intervals as values, which date - date would be",
        ),
        ("CREATE EXTERNAL TABLE x (a int) LOCATION 's3://lake/x/'", "no statement CREATE EXTERNAL"),
        ("EXPLAIN SELECT 1", "no statement EXPLAIN"),
        ("DELETE FROM stocks", "Modifying Hive table rows is only supported for transactional tables"),
        ("UPDATE stocks SET open = 1", "Modifying Hive table rows"),
        ("INSERT INTO stocks VALUES (1)", "does not write tables (INSERT)"),
        ("CREATE TABLE x AS SELECT 1", "no statement CREATE TABLE"),
        ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
    ];
    refused(&cases).await;
}

#[tokio::test]
async fn types_that_trino_does_not_put_together_are_refused() {
    let cases = [
        (
            "SELECT count(*) FROM stocks WHERE date IN (SELECT date '2020-01-01')",
            "TYPE_MISMATCH: line 1:35: value and result of subquery must be of the same type for IN expression: varchar vs date",
        ),
        ("SELECT count(*) FROM stocks WHERE date NOT IN (SELECT date '2020-01-01')", "TYPE_MISMATCH"),
        (
            "SELECT count(*) FROM stocks a JOIN (SELECT date '2020-01-01' AS date) b USING (date)",
            "TYPE_MISMATCH: Cannot apply operator: varchar = date",
        ),
        (
            "SELECT count(*) FROM stocks WHERE date IS DISTINCT FROM current_date",
            "Cannot apply operator: varchar IS DISTINCT FROM date",
        ),
        (
            "SELECT date FROM stocks INTERSECT SELECT date '1986-12-31'",
            "column 1 in INTERSECT query has incompatible types: varchar, date",
        ),
        (
            "SELECT date FROM stocks EXCEPT SELECT date '1986-12-31'",
            "column 1 in EXCEPT query has incompatible types: varchar, date",
        ),
        (
            "SELECT CASE open WHEN '5' THEN 1 END FROM stocks",
            "CASE operand type does not match WHEN clause operand type: double vs varchar(1)",
        ),
        (
            "SELECT lag(date, 1, date '2020-01-01') OVER (ORDER BY date) FROM stocks",
            "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (varchar, bigint, date) for function lag",
        ),
        ("SELECT sum(date) OVER () FROM stocks", "Unexpected parameters (varchar) for function sum"),
        (
            "SELECT contains(ARRAY['1'], 1)",
            "Unexpected parameters (array(varchar), integer) for function contains",
        ),
        ("SELECT array_position(ARRAY['1'], 1)", "for function array_position"),
        ("SELECT ARRAY['1'] || 1", "Unexpected parameters (array(varchar), integer) for function concat"),
        (
            "SELECT ARRAY['1'] || ARRAY[1]",
            "Unexpected parameters (array(varchar), array(bigint)) for function concat",
        ),
        ("SELECT ARRAY[1, 'a']", "Cannot find common type between integer and varchar(1)"),
        ("SELECT CAST(ARRAY[1] AS varchar)", "TYPE_MISMATCH: Cannot cast array(bigint) to varchar"),
        ("SELECT CAST(date '2020-01-01' AS bigint)", "TYPE_MISMATCH: Cannot cast date to bigint"),
        (
            "SELECT length(5)",
            "FUNCTION_NOT_FOUND: line 1:8: Unexpected parameters (bigint) for function length",
        ),
        ("SELECT lpad('abc', 2)", "Expected: lpad(varchar, bigint, varchar)"),
        (
            "SELECT substr(5, 1)",
            "Unexpected parameters (bigint, bigint) for function substr. Expected: substr(varchar",
        ),
        ("SELECT trim(5)", "Unexpected parameters (bigint) for function trim"),
        ("SELECT ARRAY[1][5]", "Array subscript must be less than or equal to array length: 5 > 1"),
        ("SELECT ARRAY[1][0]", "SQL array indices start at 1"),
        ("SELECT split_part('a,b', ',', -1)", "Index must be greater than zero"),
        ("SELECT CAST(12 AS varchar(1))", "INVALID_CAST_ARGUMENT"),
        ("SELECT CAST(300 AS tinyint)", "NUMERIC_VALUE_OUT_OF_RANGE: Out of range for tinyint: 300"),
        ("SELECT max(open, 2) FROM stocks", "Unexpected parameters (double, bigint) for function max"),
    ];
    refused(&cases).await;
}

#[tokio::test]
async fn what_would_come_out_otherwise_is_refused_by_name() {
    let cases = [
        (
            "SELECT CAST(1 AS decimal(5,2)) / 3",
            "NOT_SUPPORTED: the offline Athena has no division of decimals",
        ),
        ("SELECT 3 / CAST(1 AS decimal(5,2))", "no division of decimals"),
        ("SELECT avg(CAST(open AS decimal(10,2))) FROM stocks", "no avg of decimals"),
        ("SELECT avg(CAST(open AS decimal(10,2))) OVER () FROM stocks", "no avg of decimals"),
        (
            "SELECT round(CAST(open AS decimal(10,2))) FROM stocks",
            "NOT_SUPPORTED: the offline Athena has round of doubles and whole numbers, not of decimals",
        ),
        (
            "SELECT timestamp '2020-01-02 00:00:00' - timestamp '2020-01-01 00:00:00'",
            "NOT_SUPPORTED: the offline Athena has no intervals as values, which timestamp(3) - timestamp(3) would be",
        ),
        ("SELECT interval '1' day", "no intervals as values"),
        ("SELECT CAST(interval '1' day AS varchar)", "no intervals as values"),
        (
            "SELECT date '2020-01-01' + interval '36' hour",
            "INVALID_FUNCTION_ARGUMENT: Cannot add hour, minutes or seconds to a date",
        ),
        ("SELECT current_date - interval '1' minute", "Cannot add hour, minutes or seconds to a date"),
        (
            "SELECT CASE WHEN volume THEN 1 END FROM stocks",
            "TYPE_MISMATCH: CASE WHEN clause must evaluate to a boolean (actual: bigint)",
        ),
        ("SELECT if(volume, 1, 2) FROM stocks", "must evaluate to a boolean (actual: bigint)"),
        (
            "SELECT count_if(volume) FROM stocks",
            "FILTER expression must evaluate to a boolean (actual: bigint)",
        ),
        (
            "SELECT 1 AND true",
            "TYPE_MISMATCH: Cannot infer common argument type for logical boolean operation",
        ),
        (
            "SELECT NOT volume FROM stocks",
            "TYPE_MISMATCH: Unary operator 'NOT' requires a boolean expression",
        ),
    ];
    refused(&cases).await;
}

#[tokio::test]
async fn what_trino_cannot_read_is_not_read_here() {
    let cases = [
        (
            "SELECT date FROM stocks LIMIT 2 OFFSET 1",
            "line 1:33: mismatched input 'OFFSET': it stands before LIMIT",
        ),
        ("SELECT date '2020-01-01' + interval '1 day'", "write INTERVAL '1' DAY"),
        ("SELECT 1 == 1", "line 1:10: mismatched input '==': write ="),
        ("SELECT 'a' ~ 'b'", "mismatched input '~'"),
        ("SELECT 1 <=> 1", "mismatched input '<=>'"),
        ("SELECT 'a' SIMILAR TO 'a'", "mismatched input 'SIMILAR'"),
        ("SELECT ARRAY[1] @> ARRAY[1]", "mismatched input '@>'"),
        ("SELECT 1 & 1", "mismatched input '&'"),
        ("SELECT 2 ^ 3", "mismatched input '^'"),
        (
            "SELECT date FROM stocks QUALIFY row_number() OVER (ORDER BY date) = 1",
            "mismatched input 'QUALIFY'",
        ),
        ("SELECT DISTINCT ON (\"index\") date FROM stocks", "Trino has no DISTINCT ON"),
        ("SELECT \"index\", count(*) FROM stocks GROUP BY ALL", "mismatched input 'ALL'"),
        (
            "SELECT a.date FROM stocks a LEFT SEMI JOIN stocks b ON a.date = b.date",
            "mismatched input 'LEFT SEMI JOIN",
        ),
        (
            "SELECT a.date FROM stocks a LEFT ANTI JOIN stocks b ON a.date = b.date",
            "mismatched input 'LEFT ANTI JOIN",
        ),
        ("SELECT count(*) FROM stocks a NATURAL JOIN stocks b", "Natural join not supported"),
        ("SELECT count(*) FROM stocks a JOIN stocks b", "a JOIN wants ON or USING"),
        ("SELECT [1, 2]", "write ARRAY"),
        ("SELECT ARRAY[1, 2][1:2]", "mismatched input ':'"),
        ("SELECT $$abc$$", "write 'text'"),
        ("SELECT unnest(ARRAY[1, 2])", "it stands in FROM"),
        ("SELECT current_date()", "write current_date without parentheses"),
        ("SELECT date_bin(interval '1' day, now(), now())", "Function 'date_bin' not registered"),
        ("SELECT open 'x' FROM stocks", "in double quotes"),
        ("SELECT * FROM generate_series(1, 3)", "is no table"),
        ("SELECT date FROM stocks FOR UPDATE", "Trino locks no rows"),
        ("SELECT CAST(1 AS string)", "TYPE_MISMATCH: line 1:18: Unknown type: string: write varchar"),
        ("SELECT CAST('{}' AS json)", "has no CAST to json"),
        ("SELECT count(*) FROM stocks TABLESAMPLE BERNOULLI (10)", "has no TABLESAMPLE"),
        ("SELECT \"$file_size\" FROM stocks", "hidden column"),
        ("SELECT current_user", "has no function current_user, though Athena has"),
        ("SELECT to_utf8('a')", "has no function to_utf8, though Athena has"),
        ("SELECT approx_percentile(volume, ARRAY[0.5]) FROM stocks", "each percentage in a call of its own"),
        ("SELECT 1_000", "line 1:9: mismatched input '_000'"),
        ("SELECT typeof(1 + 1)", "write CAST(x AS type)"),
    ];
    refused(&cases).await;
}

#[tokio::test]
async fn a_function_is_called_as_trino_calls_it() {
    let cases = [
        (
            "SELECT last_value(open) FROM stocks",
            "MISSING_OVER: line 1:8: Window function last_value requires an OVER clause",
        ),
        ("SELECT first_value(open) FROM stocks", "MISSING_OVER"),
        ("SELECT row_number() FROM stocks", "MISSING_OVER"),
        (
            "SELECT count(open, high) FROM stocks",
            "FUNCTION_NOT_FOUND: line 1:8: count takes 0 to 1 arguments, not 2",
        ),
        ("SELECT count(DISTINCT open, high) FROM stocks", "count takes 0 to 1 arguments, not 2"),
        ("SELECT array_agg(open, high) FROM stocks", "array_agg takes 1 arguments, not 2"),
        ("SELECT coalesce(open) FROM stocks", "coalesce takes at least 2 arguments, not 1"),
        ("SELECT if(true)", "if takes 2 to 3 arguments, not 1"),
        (
            "SELECT regexp_like('a', 'b', 'i')",
            "Unexpected parameters (varchar, varchar, varchar) for function regexp_like",
        ),
        ("SELECT approx_distinct(open, 0.1) FROM stocks", "approx_distinct takes 1 arguments"),
        ("SELECT regexp_extract('abc', '(b)', 2)", "Pattern has 1 groups. Cannot access group 2"),
        (
            "SELECT regexp_replace('abc', '(b)', '$2')",
            "INVALID_FUNCTION_ARGUMENT: Illegal replacement sequence: unknown group 2",
        ),
        ("SELECT regexp_replace('abc', 'b', 'x$')", "no number behind $"),
        (
            "SELECT 'a' LIKE 'a!b' ESCAPE '!'",
            "Escape character must be followed by '%', '_' or the escape character itself",
        ),
        ("SELECT 'a' LIKE 'ab' ESCAPE '!!'", "Escape string must be a single character"),
        ("SELECT CAST('yes' AS boolean)", "INVALID_CAST_ARGUMENT: Cannot cast 'yes' to BOOLEAN"),
        ("SELECT lpad('a', 2000000000, 'b')", "the offline Athena pads to 1048576 letters at most"),
        ("SELECT json_extract_scalar('{}', '$.a[*]')", "Invalid JSON path: '$.a[*]'"),
        ("SELECT repeat('a', 1000000000)", "must be less than or equal to 10000"),
    ];
    refused(&cases).await;
}

pub(super) async fn refused(cases: &[(&str, &str)]) {
    let scene = Scene::with_stocks().await;
    let mut wrong = Vec::new();
    for (sql, expected) in cases {
        match scene.rows(sql).await {
            Err(message) if message.contains(expected) => {}
            other => wrong.push(format!("{sql}\n--- expected\n{expected}\n--- got\n{other:?}\n")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
