//! What Trino means by it, where `DataFusion` by itself would mean something else.

use super::*;

#[tokio::test]
async fn values_are_those_of_trino() {
    let scene = Scene::with_stocks().await;
    judge(
        &scene,
        &[
            ("SELECT greatest(1, NULL), least(1, NULL), greatest(1, 3), least(2, 1)", "_col0|_col1|_col2|_col3; ∅|∅|3|1"),
            ("SELECT substr('abc', -2), substr('abc', 0), substr('abc', 2, 1), substr('abc', -2, 1), substr('abc', 9)", "_col0|_col1|_col2|_col3|_col4; bc||b|b|"),
            ("SELECT substring('abcdef' FROM 2 FOR 3), position('b' IN 'abc'), trim(LEADING 'x' FROM 'xax'), rtrim('a ')", "_col0|_col1|_col2|_col3; bcd|2|ax|a"),
            ("SELECT reverse(ARRAY[1, 2, 3]), reverse('abc'), repeat('a', 3)", "_col0|_col1|_col2; [3, 2, 1]|cba|[a, a, a]"),
            ("SELECT array_position(ARRAY[1], 5), array_position(ARRAY[5, 1], 1)", "_col0|_col1; 0|2"),
            ("SELECT array_sort(ARRAY[2, NULL, 1]), array_max(ARRAY[2, NULL]), array_max(ARRAY[2, 1]), array_min(ARRAY[2, 1])", "_col0|_col1|_col2|_col3; [1, 2, null]|∅|2|1"),
            ("SELECT array_remove(ARRAY[1, 2, 1], 1), contains(ARRAY[1, NULL], 2), contains(ARRAY[1, NULL], 1), contains(ARRAY[1], 2)", "_col0|_col1|_col2|_col3; [2]|∅|true|false"),
            ("SELECT cardinality(ARRAY[ARRAY[1, 2], ARRAY[3]]), array_join(ARRAY[1e10, NULL], ','), array_join(ARRAY['a', NULL], ',', '-')", "_col0|_col1|_col2; 2|1.0E10|a,-"),
            ("SELECT sequence(1, 3), sequence(3, 1), sequence(1, 10, 4), sequence(date '2020-01-01', date '2020-01-03')", "_col0|_col1|_col2|_col3; [1, 2, 3]|[3, 2, 1]|[1, 5, 9]|[2020-01-01, 2020-01-02, 2020-01-03]"),
            ("SELECT element_at(ARRAY[1], 5), element_at(ARRAY[1, 2], -1), try(ARRAY[1][5]), ARRAY[1, 2][2]", "_col0|_col1|_col2|_col3; ∅|2|∅|2"),
            ("SELECT split_part('a,b', ',', 2), split_part('a,b', ',', 5), split('a,b,c', ',', 2)", "_col0|_col1|_col2; b|∅|[a, b,c]"),
            ("SELECT cast(timestamp '2020-01-01 00:00:00' AS varchar), cast(1e10 AS varchar), cast('abc' AS varchar(2)), cast(true AS varchar)", "_col0|_col1|_col2|_col3; 2020-01-01 00:00:00.000|1.0E10|ab|true"),
            ("SELECT typeof(1), typeof(volume), typeof('abc'), typeof(CAST(1 AS bigint)) FROM stocks LIMIT 1", "_col0|_col1|_col2|_col3; integer|bigint|varchar(3)|bigint"),
            ("SELECT lpad('abc', 5, 'xy'), rpad('abc', 2, 'x'), translate('abc', 'ab', 'x'), replace('abc', 'b'), chr(65), codepoint('A')", "_col0|_col1|_col2|_col3|_col4|_col5; xyabc|ab|xc|ac|A|65"),
            ("SELECT sum(volume), sum(open), sum(DISTINCT volume), sum(volume) FILTER (WHERE volume > 20) FROM stocks", "_col0|_col1|_col2|_col3; 100|26749.4|100|70"),
            ("SELECT volume + 1, volume * 2, volume - 1 FROM stocks WHERE volume = 10", "_col0|_col1|_col2; 11|20|9"),
            ("SELECT try(date_parse('bad', '%Y')), try(json_parse('bad')), try(split_part('a', ',', 0))", "_col0|_col1|_col2; ∅|∅|∅"),
            ("SELECT try(date_parse(date, '%Y-%m-%d')) AS d FROM stocks WHERE volume = 0", "d; 1986-12-31 00:00:00.000"),
            ("SELECT CAST(ARRAY['1'] AS array(bigint)), CAST(ARRAY[ARRAY['1']] AS array(array(integer)))", "_col0|_col1; [1]|[[1]]"),
            ("SELECT row_number() OVER (ORDER BY volume) / 2 AS a, ntile(2) OVER (ORDER BY volume) / 2 AS b, typeof(rank() OVER (ORDER BY volume)) AS c FROM stocks ORDER BY volume LIMIT 3", "a|b|c; 0|0|bigint; 1|0|bigint; 1|0|bigint"),
            ("SELECT dense_rank() OVER (ORDER BY volume) * 1.0 / 2 AS d FROM stocks ORDER BY volume LIMIT 1", "d; 0.5"),
            ("SELECT approx_distinct(volume) / 2, typeof(approx_distinct(volume)), approx_distinct(volume) FILTER (WHERE volume > 0) FROM stocks", "_col0|_col1|_col2; 2|bigint|4"),
            ("SELECT \"index\", grouping(\"index\") AS g, typeof(grouping(\"index\")) AS t FROM stocks GROUP BY ROLLUP(\"index\") ORDER BY 2 DESC, 1 LIMIT 2", "index|g|t; ∅|1|bigint; HSI|0|bigint"),
            ("SELECT regexp_replace('abc', '(b)', '$1x'), regexp_replace('abc', 'b', '\\$\\c'), regexp_replace('aXbX', 'x|X'), regexp_replace('abc', '(?<m>b)', '[${m}$10]')", "_col0|_col1|_col2|_col3; abxc|a$cc|ab|a[bb0]c"),
            ("SELECT 'a_b' LIKE 'a\\_b', 'a\\xb' LIKE 'a\\_b', 'a\\b' LIKE 'a\\b', 'a_b' LIKE 'a!_b' ESCAPE '!', 'axb' LIKE 'a!_b' ESCAPE '!', 'a%' NOT LIKE 'a\\%' ESCAPE '\\', 'a!' LIKE 'a!!' ESCAPE '!'", "_col0|_col1|_col2|_col3|_col4|_col5|_col6; false|true|true|true|false|false|true"),
            ("SELECT 'a' LIKE NULL, 'a' LIKE 'a' ESCAPE NULL, 'a' || chr(10) || 'b' LIKE 'a_b', 'A' LIKE 'a'", "_col0|_col1|_col2|_col3; ∅|∅|true|false"),
            ("SELECT date FROM stocks WHERE date LIKE \"index\" || '%' OR date LIKE '%86-12-__'", "date; 1986-12-31"),
            ("SELECT CAST(CAST(2.5 AS real) AS bigint), CAST(CAST(-2.5 AS real) AS integer), CAST(CAST('2.50' AS decimal(4,2)) AS bigint), CAST(CAST('-2.49' AS decimal(4,2)) AS integer), CAST(CAST('9.9' AS decimal(2,1)) AS tinyint), CAST(2.5 AS bigint)", "_col0|_col1|_col2|_col3|_col4|_col5; 3|-3|3|-2|10|3"),
            ("SELECT date '2020-01-31' + interval '24' hour, date '2020-01-31' + interval '1' month, current_date > date '2020-01-01' - interval '2' day", "_col0|_col1|_col2; 2020-02-01|2020-02-29|true"),
            ("SELECT CAST('1.50' AS decimal(5,2)) / 2e0, sum(CAST(open AS decimal(10,1))), CAST('1.5' AS decimal(5,1)) * 2, typeof(sum(CAST(open AS decimal(10,1)))) FROM stocks", "_col0|_col1|_col2|_col3; 0.75|26749.4|3.0|decimal(38,1)"),
            ("SELECT format_datetime(timestamp '2020-05-06 07:08:09', 'yyyy%-HH'), date_format(timestamp '2020-05-06 07:08:09', '%Y%%%')", "_col0|_col1; 2020%-07|2020%%"),
            ("SELECT if(NULL, 1, 2), CASE WHEN NULL THEN 1 ELSE 3 END, count_if(volume > 10) FROM stocks", "_col0|_col1|_col2; 2|3|3"),
            ("SELECT CAST('T' AS boolean), CAST('0' AS boolean), TRY_CAST('yes' AS boolean), CAST(2 AS boolean), try(CAST('on' AS boolean))", "_col0|_col1|_col2|_col3|_col4; true|false|∅|true|∅"),
            ("SELECT localtimestamp > timestamp '2020-01-01 00:00:00'", "_col0; true"),
        ],
    )
    .await;
}

#[tokio::test]
async fn lists_are_unnested_beside_their_rows() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", r#"{"d":"x","tags":["b","a"],"nums":[3,null,1],"rows":[{"a":1,"b":"y"}]}"#);
    scene.crawl("s3://lake/t/").await;
    judge(
        &scene,
        &[
            ("SELECT d, x FROM t, UNNEST(tags) AS u(x)", "d|x; x|b; x|a"),
            ("SELECT t.d, u.x, o FROM t CROSS JOIN UNNEST(t.tags) WITH ORDINALITY AS u(x, o)", "d|x|o; x|b|1; x|a|2"),
            ("SELECT x, y FROM t CROSS JOIN UNNEST(tags, nums) AS u(x, y)", "x|y; b|3; a|∅; ∅|1"),
            ("SELECT x, y FROM t CROSS JOIN UNNEST(tags) AS u(x) CROSS JOIN UNNEST(nums) AS v(y) WHERE y = 3", "x|y; b|3; a|3"),
            ("SELECT x FROM (SELECT tags FROM t) CROSS JOIN UNNEST(tags) AS u(x)", "x; b; a"),
            ("SELECT x, o FROM UNNEST(ARRAY['a', 'b']) WITH ORDINALITY AS u(x, o)", "x|o; a|1; b|2"),
            ("SELECT table_name, column_name, data_type FROM information_schema.columns WHERE column_name IN ('d', 'nums')", "table_name|column_name|data_type; t|d|varchar; t|nums|array(bigint)"),
            ("SELECT table_schema, table_name, table_type FROM information_schema.tables", "table_schema|table_name|table_type; db|t|BASE TABLE"),
        ],
    )
    .await;
    for (sql, expected) in [
        ("SELECT x FROM t CROSS JOIN UNNEST(rows) AS u(x)", "does not UNNEST an array of rows"),
        ("SELECT a, b FROM t CROSS JOIN UNNEST(rows) AS u(a, b)", "here are 1, and named are 2"),
        ("SELECT d FROM t CROSS JOIN UNNEST(tags)", "wants a name for each column"),
        ("SELECT d, x FROM t LEFT JOIN UNNEST(tags) AS u(x) ON true", "no LEFT JOIN UNNEST"),
        (
            "SELECT a.d FROM t a JOIN t b ON a.d = b.d CROSS JOIN UNNEST(a.tags) AS u(x)",
            "put other joins into a subquery",
        ),
        ("SELECT * FROM information_schema.df_settings", "the offline Athena has columns, schemata, tables"),
    ] {
        let refused = scene.rows(sql).await.unwrap_err();
        assert!(refused.contains(expected), "{sql}: {refused}");
    }
}

#[tokio::test]
async fn numbers_that_do_not_fit_fail() {
    let scene = Scene::new();
    scene.write("lake/t/a.json", "{\"n\":9223372036854775807}\n{\"n\":9223372036854775807}\n");
    scene.crawl("s3://lake/t/").await;
    for sql in [
        "SELECT n + 1 FROM t",
        "SELECT n * 2 FROM t",
        "SELECT -n - 2 FROM t",
        "SELECT sum(n) FROM t",
        "SELECT sum(n) OVER () FROM t",
        "SELECT count(*) FROM t GROUP BY n + 1",
        "SELECT 9223372036854775807 + 1",
    ] {
        let failed = scene.rows(sql).await.unwrap_err();
        assert!(failed.starts_with("NUMERIC_VALUE_OUT_OF_RANGE: bigint "), "{sql}: {failed}");
    }
}
