//! SQL and its rows: the names first, `;` between rows, `∅` for NULL.

use super::*;

#[tokio::test]
async fn queries_return_the_rows_of_trino() {
    judge(&Scene::with_stocks().await, QUERIES).await;
}

const QUERIES: &str = r#"
SELECT count(*) FROM stocks => _col0; 5
SELECT COUNT(*) AS n FROM "AwsDataCatalog"."db"."STOCKS" => n; 5
SELECT "Index", Open FROM db.stocks WHERE volume = 10 => index|open; HSI|2540.1
SELECT "adj close" FROM stocks ORDER BY "Adj Close" DESC LIMIT 1 => adj close; 18820.5
SELECT high FROM stocks WHERE "index" = 'NYA' ORDER BY date => high; 1410.5; ∅
SELECT high FROM stocks WHERE "index" = 'NYA' ORDER BY high DESC => high; 1410.5; ∅
SELECT "index", count(*), round(avg(open), 1) AS avg_open FROM stocks GROUP BY "index" ORDER BY 1
    => index|_col1|avg_open; HSI|2|2554.2; N225|1|18820.5; NYA|2|1410.3
SELECT "index" FROM stocks GROUP BY 1 HAVING count(*) > 1 ORDER BY 1 => index; HSI; NYA
SELECT DISTINCT "index" FROM stocks ORDER BY 1 LIMIT 2 => index; HSI; N225
WITH t AS (SELECT max(open) AS Best FROM stocks) SELECT best FROM t => best; 18820.5
SELECT * FROM (SELECT count(*), max(volume) FROM stocks) => _col0|_col1; 5|40
SELECT "index", volume, sum(volume) OVER (PARTITION BY "index" ORDER BY date) AS running FROM stocks
    WHERE "index" = 'NYA' ORDER BY date => index|volume|running; NYA|20|20; NYA|30|50
SELECT date, lag(open) OVER (ORDER BY date) FROM stocks WHERE "index" = 'HSI' ORDER BY date => date|_col1; 1986-12-31|∅; 1987-01-02|2568.3
SELECT 1 AS a UNION SELECT 1 UNION ALL SELECT 2 ORDER BY 1 => a; 1; 2
SELECT a."index" FROM stocks a JOIN stocks b ON a.date = b.date AND a."index" < b."index" => index; HSI
SELECT count(*) FROM stocks WHERE CAST(date AS date) >= date '1987-01-01' => _col0; 4
SELECT count(*) FROM stocks WHERE date BETWEEN '1987-01-01' AND '1987-01-31' => _col0; 3
SELECT count(*) FROM stocks WHERE date_parse(date, '%Y-%m-%d') > timestamp '1987-01-03 00:00:00' => _col0; 2
SELECT "$path" FROM stocks WHERE volume = 0 => $path; s3://lake/stocks/0.json
SELECT date, round((open - lag(open) OVER (ORDER BY date)) / lag(open) OVER (ORDER BY date) * 100, 2) AS pct
    FROM stocks WHERE "index" = 'NYA' ORDER BY 1 => date|pct; 1987-01-02|∅; 1987-01-05|1.46
SELECT avg(open) OVER (ORDER BY date ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS ma FROM stocks
    WHERE "index" = 'HSI' ORDER BY date => ma; 2568.3; 2554.2
SELECT "index", sum(volume) FILTER (WHERE open > 1410) AS v FROM stocks GROUP BY "index" ORDER BY 2 DESC => index|v; N225|40; NYA|30; HSI|10
SELECT "index", count(*) AS n FROM stocks GROUP BY ROLLUP("index") ORDER BY 1 => index|n; HSI|2; N225|1; NYA|2; ∅|5
SELECT "index" FROM stocks ORDER BY open DESC OFFSET 1 LIMIT 1 => index; HSI
SELECT (SELECT max(open) FROM stocks) - open AS d FROM stocks WHERE volume = 0 => d; 16252.2
SELECT array_agg("index" ORDER BY "index") AS a FROM stocks => a; [HSI, HSI, N225, NYA, NYA]
SELECT n FROM UNNEST(sequence(1, 3)) AS t(n) => n; 1; 2; 3
SELECT table_name FROM information_schema.tables WHERE table_schema = 'db' => table_name; stocks
-- a comment
SELECT 1 /* c */ AS One; => one; 1
SELECT u FROM UNNEST(ARRAY[1, 2]) AS t(u) => u; 1; 2
SELECT CASE WHEN volume > 20 THEN 'much' ELSE 'little' END AS w, count(*) AS n FROM stocks GROUP BY 1 ORDER BY 1 => w|n; little|3; much|2
SELECT count(*) FROM stocks WHERE "index" IN (SELECT "index" FROM stocks WHERE volume = 0) => _col0; 2
"#;

#[tokio::test]
async fn functions_return_the_values_of_trino() {
    judge(&Scene::with_stocks().await, FUNCTIONS).await;
}

const FUNCTIONS: &str = r#"
SELECT date_parse('31/12/1986', '%d/%m/%Y') => _col0; 1986-12-31 00:00:00.000
SELECT date_parse('Dec 86 5:07 PM', '%b %y %l:%i %p') => _col0; 1986-12-01 17:07:00.000
SELECT date_format(timestamp '1986-12-31 17:07:05', '%W %M %e, %Y %H:%i:%s') => _col0; Wednesday December 31, 1986 17:07:05
SELECT date_add('month', 2, date '1986-12-31') => _col0; 1987-02-28
SELECT date_diff('day', date '1986-12-31', date '1987-01-02'), date_diff('month', date '1986-12-31', date '1987-02-28') => _col0|_col1; 2|2
SELECT date_trunc('month', d), date_trunc('week', d), date_trunc('quarter', d), date_trunc('year', d) FROM (SELECT date '1986-12-31' AS d)
    => _col0|_col1|_col2|_col3; 1986-12-01|1986-12-29|1986-10-01|1986-01-01
SELECT date_trunc('hour', t), date_trunc('day', t), date_trunc('month', t) FROM (SELECT timestamp '1986-12-31 17:07:05' AS t)
    => _col0|_col1|_col2; 1986-12-31 17:00:00.000|1986-12-31 00:00:00.000|1986-12-01 00:00:00.000
SELECT date '1986-12-31' + interval '1' day, date '1986-12-31' - interval '1' month => _col0|_col1; 1987-01-01|1986-11-30
SELECT year(d), month(d), day(d), day_of_week(d), quarter(d), week(d) FROM (SELECT date '1986-12-31' AS d)
    => _col0|_col1|_col2|_col3|_col4|_col5; 1986|12|31|3|4|1
SELECT extract(year FROM date '1986-12-31'), hour(timestamp '1986-12-31 17:00:00') => _col0|_col1; 1986|17
SELECT from_iso8601_timestamp('1986-12-31T10:00:00Z'), from_iso8601_date('1986-12-31'), date('1986-12-31')
    => _col0|_col1|_col2; 1986-12-31 10:00:00.000|1986-12-31|1986-12-31
SELECT from_unixtime(0), to_unixtime(timestamp '1970-01-01 00:01:00') => _col0|_col1; 1970-01-01 00:00:00.000|60.0
SELECT current_date > date '2020-01-01' => _col0; true
SELECT json_extract_scalar('{"a":{"b":[1,"x"]}}', '$.a.b[1]'), json_extract('{"a":[1]}', '$.a') => _col0|_col1; x|[1]
SELECT element_at(ARRAY['a','b'], 2), ARRAY[1,2][1], cardinality(ARRAY[1,2,3]), contains(ARRAY[1,2], 2)
    => _col0|_col1|_col2|_col3; b|1|3|true
SELECT split('a,b', ','), array_join(ARRAY['x','y'], '-') => _col0|_col1; [a, b]|x-y
SELECT regexp_extract('a1b22', '[0-9]+$'), regexp_extract('a1b22', 'a([0-9])b', 1), regexp_like('abc', '^a'), regexp_replace('aXbX', 'X')
    => _col0|_col1|_col2|_col3; 22|1|true|ab
SELECT length('abc'), upper('a'), substr('abc', 2), concat('a', 'b', 'c'), 'a' || 'b', strpos('abc', 'b'), replace('aa', 'a', 'b'), trim(' a ')
    => _col0|_col1|_col2|_col3|_col4|_col5|_col6|_col7; 3|A|bc|abc|ab|2|bb|a
SELECT 'a' || CAST(NULL AS varchar), coalesce(NULL, 'x'), nullif(1, 1) => _col0|_col1|_col2; ∅|x|∅
SELECT if(1 > 2, 'a', 'b'), mod(7, 3), abs(-2), round(2.567, 2), floor(2.5), ceil(2.1), power(2, 10), sqrt(16)
    => _col0|_col1|_col2|_col3|_col4|_col5|_col6|_col7; b|1|2|2.57|2.0|3.0|1024.0|4.0
SELECT try(CAST('x' AS integer)), try_cast('x' AS double), try(1 / 0) => _col0|_col1|_col2; ∅|∅|∅
SELECT typeof(open), typeof("index"), typeof(ARRAY[1.5e0]), typeof(NULL), typeof(date '2024-01-31') FROM stocks LIMIT 1
    => _col0|_col1|_col2|_col3|_col4; double|varchar|array(double)|unknown|date
SELECT nan(), infinity(), -infinity(), is_nan(nan()), is_finite(1e0), is_finite(nan()), is_infinite(infinity()), is_nan(NULL)
    => _col0|_col1|_col2|_col3|_col4|_col5|_col6|_col7; NaN|Infinity|-Infinity|true|true|false|true|∅
SELECT format('%s has %,d at %.2f (%05d%%)', "index", 1234567, open, volume) FROM stocks WHERE volume = 40
    => _col0; N225 has 1,234,567 at 18820.50 (00040%)
SELECT format('%2$s %1$s', 'a', 'b'), format('%-4s_%4s', 'x', NULL), format('%,.1f %04d', -1234567.89e0, -7)
    => _col0|_col1|_col2; b a|x   _null|-1,234,567.9 -007
SELECT count_if(volume > 10), approx_distinct("index") FROM stocks => _col0|_col1; 3|3
SELECT max_by("index", open), min_by("index", open), arbitrary('x') FROM stocks => _col0|_col1|_col2; N225|NYA|x
SELECT max_by(date, volume) AS d FROM stocks GROUP BY "index" ORDER BY 1 => d; 1987-01-02; 1987-01-05; 1987-02-02
SELECT approx_percentile(volume, 0.5) FROM stocks => _col0; 20.0
SELECT round(variance(volume), 1), var_pop(volume), round(stddev(volume), 2) FROM stocks => _col0|_col1|_col2; 250.0|200.0|15.81
SELECT CAST(1 AS varchar), CAST('5' AS integer), CAST('2020-01-01' AS date) => _col0|_col1|_col2; 1|5|2020-01-01
SELECT bool_and(volume >= 0), array_agg(volume) FROM stocks WHERE "index" = 'N225' => _col0|_col1; true|[40]
SELECT row_number() OVER (ORDER BY open) AS r FROM stocks LIMIT 1 => r; 1
SELECT year(date_parse(date, '%Y-%m-%d')) AS y, count(*) FROM stocks GROUP BY year(date_parse(date, '%Y-%m-%d')) ORDER BY y
    => y|_col1; 1986|1; 1987|4
SELECT date_trunc('month', CAST(date AS date)) AS m, avg(open) FROM stocks WHERE "index" = 'HSI' GROUP BY 1 ORDER BY 1
    => m|_col1; 1986-12-01|2568.3; 1987-01-01|2540.1
"#;

#[tokio::test]
async fn long_and_deep_queries_run() {
    let scene = Scene::with_stocks().await;
    let many = (0..1000).map(|n| format!("volume = {n}")).collect::<Vec<_>>().join(" OR ");
    judge(&scene, &format!("SELECT count(*) FROM stocks WHERE {many} => _col0; 5\n")).await;
    let deep = (0..12).fold("stocks".to_owned(), |from, n| {
        format!("(SELECT * FROM {from} AS s{n} WHERE volume >= 0 AND open > {n})")
    });
    judge(&scene, &format!("SELECT count(*) FROM {deep} => _col0; 5\n")).await;
}

#[tokio::test]
async fn hidden_path_is_not_in_a_star() {
    let scene = Scene::new();
    scene.write("lake/t/p=x/a.json", r#"{"n":1,"m":{"f":5}}"#);
    scene.crawl("s3://lake/t/").await;
    judge(&scene, HIDDEN).await;
}

const HIDDEN: &str = r#"
SELECT * FROM t => n|m|p; 1|{f: 5}|x
SELECT * FROM t WHERE "$path" LIKE '%a.json' => n|m|p; 1|{f: 5}|x
SELECT *, "$path" FROM t => n|m|p|$path; 1|{f: 5}|x|s3://lake/t/p=x/a.json
SELECT t.*, "$path" AS o FROM t => n|m|p|o; 1|{f: 5}|x|s3://lake/t/p=x/a.json
SELECT * FROM (SELECT n, "$path" AS o FROM t) => n|o; 1|s3://lake/t/p=x/a.json
SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'db' => schema_name; db
SELECT column_name FROM information_schema.columns WHERE table_name = 't' ORDER BY ordinal_position => column_name; n; m; p
"#;

#[tokio::test]
async fn wrong_queries_fail_with_a_reason() {
    let scene = Scene::with_stocks().await;
    for (sql, expected) in cases(WRONG) {
        let error = scene.rows(sql).await.expect_err(sql);
        assert!(error.contains(expected), "{sql}: {error}");
    }
}

const WRONG: &str = r"
SELEKT 1 => InvalidRequestException: line 1:1: Expected: an SQL statement, found: SELEKT
=> line 1:1: the query is empty
SELECT * FROM nowhere => table 'awsdatacatalog.db.nowhere' not found
SELECT s.x FROM stocks s => No field named s.x
SELECT 52_w_h FROM stocks => line 1:8: identifiers must not start with a digit
SELECT stocks.52_w_h FROM stocks => identifiers must not start with a digit
SELECT `index` FROM stocks => line 1:8: backquoted identifiers are not supported
SELECT * FROM stocks WHERE date < date '1987-01-01' => TYPE_MISMATCH: Cannot apply operator: varchar < date
SELECT * FROM stocks WHERE date = 5 => TYPE_MISMATCH: Cannot apply operator: varchar = bigint
SELECT * FROM stocks WHERE date BETWEEN 1 AND 2 => varchar BETWEEN bigint
SELECT * FROM stocks WHERE volume IN ('a') => bigint IN varchar
SELECT 1 FROM stocks WHERE EXISTS (SELECT 1 FROM stocks WHERE date > current_date) => varchar > date
SELECT no_such_function(1) => Invalid function 'no_such_function'
SELECT sum(date) FROM stocks => sum
SELECT cast('maybe' AS boolean) => Cannot cast
SELECT format('%d', 1.5e0) => INVALID_FUNCTION_ARGUMENT
SELECT format('%s') => INVALID_FUNCTION_ARGUMENT
SELECT date_parse('x', '%Y') => INVALID_FUNCTION_ARGUMENT
DELETE FROM stocks => Modifying Hive table rows
INSERT INTO stocks VALUES (1) => NOT_SUPPORTED
SELECT 1; SELECT 2 => NOT_SUPPORTED
";
