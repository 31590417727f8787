//! Warnings where a position stays behind, or means something else than before.

use serde_json::json;

use super::*;

/// Rows of two symbols from `from` on, of which the API returns five at most. The second symbol ends with row 3.
async fn limited_rows(n_rows: usize) -> MockServer {
    serve(move |request: &Request| {
        let from = parameter(request, "from").unwrap_or(0);
        let symbol = |n: usize| if n.is_multiple_of(2) || n > 3 { "A" } else { "B" };
        let rows = (from..n_rows).take(5).map(|n| json!({"n": n, "s": symbol(n)}));
        answer(rows.collect::<Vec<_>>())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn symbol_without_new_rows_that_holds_the_position_back_is_warned_of() {
    let (env, server) = (TestEnv::new(), limited_rows(20).await);
    let options = |more: &str| {
        format!(
            "query = {{ from = \"{{{{ since }}}}\" }}\nincremental = {{ cursor = \"n\", start = 0{more} }}"
        )
    };
    pipeline(&env, &server, &options(", by = \"s\""));
    for _ in 0..2 {
        let outcome = run(&env);
        outcome.assert_code(0);
        assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
    }
    run(&env)
        .assert_code(0)
        .assert_says(&["has 5 rows, most likely as many as the API returns at most", "`for_each`"]);
    pipeline(&env, &server, &options(""));
    run(&env).assert_code(0).assert_says(&["`incremental.by` has changed"]);
    let outcome = run(&env);
    assert!(!outcome.stderr.contains("WARN"), "{}", outcome.stderr);
    pipeline(&env, &server, &options(", key = \"n\""));
    run(&env).assert_code(0).assert_says(&["`incremental.key`, `compare` or `lag` has changed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn span_that_a_limit_cuts_off_is_warned_of() {
    let hour = 3_600_000;
    let begin = 1_704_067_200_000_usize;
    let server = serve(move |request: &Request| {
        let [from, to, limit] = ["from", "to", "limit"].map(|name| parameter(request, name).unwrap_or(0));
        let rows = (0..48).map(|n| begin + n * hour).filter(|t| (from..to).contains(t)).take(limit);
        answer(rows.map(|t| json!({"t": t})).collect::<Vec<_>>())
    })
    .await;
    for (limit, is_cut) in [(5, true), (48, false), (1000, false)] {
        let env = TestEnv::new();
        let options = format!(
            "query = {{ from = \"{{{{ from }}}}\", to = \"{{{{ to }}}}\", limit = {limit} }}\n\
             incremental = {{ cursor = \"t\", start = \"2024-01-01\", format = \"epoch_ms\", step = \"2d\" }}\n\
             rate_limit = {{ requests = 100000, per = \"1s\" }}"
        );
        pipeline(&env, &server, &options);
        let outcome = run(&env);
        outcome.assert_code(0);
        assert_eq!(outcome.stderr.contains("do not fill the span of `incremental.step`"), is_cut, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_of_two_rows_is_warned_of_once() {
    let (env, rows) = (TestEnv::new(), json!([{"d": "2024-01-05", "s": "A"}, {"d": "2024-01-05", "s": "B"}]));
    let server = serve_in_turn(vec![answer(rows)]).await;
    pipeline(&env, &server, "interval = \"100ms\"\nincremental = { cursor = \"d\", key = \"d\" }");
    let outcome = env.run(["run", "api.toml", "--for", "1s"]);
    outcome.assert_code(0).assert_says(&["rows of one page have the same `incremental.key`"]);
    assert_eq!(outcome.stderr.matches("WARN").count(), 1, "{}", outcome.stderr);
    assert_eq!(lines(&env).len(), 2);
}
