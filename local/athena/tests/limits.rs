//! What keeps one query from taking the machine: its memory, and that it ends when it is told to.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::athena::engine::{Engine, Job, MEMORY};
use crate::athena::output::Output;
use crate::athena::sql::Query;

/// Lets the engine run a query, without anything that would watch over it.
async fn run(sql: &str, memory: usize, cancel: CancellationToken) -> Result<(), String> {
    let scene = Scene::new();
    let mut engine = Engine::new(Catalogue::open(None).unwrap(), scene.root.path().to_owned());
    engine.memory = memory;
    let job = Job {
        database: "db".into(),
        n_scanned: Arc::default(),
        query: Query::parse(sql)?,
        output: Output::choose(&engine, Some("s3://results/"), "x", true).unwrap(),
        cancel,
    };
    Arc::new(engine).run(job).await.map(drop)
}

#[tokio::test]
async fn a_query_gets_so_much_memory_and_no_more() {
    let sql = "SELECT count(DISTINCT a * 10000 + b) FROM UNNEST(sequence(1, 1000)) AS t(a) CROSS JOIN \
               UNNEST(sequence(1, 100)) AS u(b)";
    let refused = run(sql, 1 << 20, CancellationToken::new()).await.unwrap_err();
    assert!(refused.starts_with("Query exhausted resources at this scale factor"), "{refused}");
    run(sql, MEMORY, CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn a_join_looks_by_itself_whether_its_query_is_cancelled() {
    for condition in ["a.n * b.n < -1", "a.n = b.n AND a.n * b.n < -1 * a.n"] {
        let sql = format!(
            "WITH t AS (SELECT n FROM UNNEST(sequence(1, 100)) AS u(n)) SELECT count(*) FROM t a JOIN t b ON {condition}"
        );
        let cancel = CancellationToken::new();
        run(&sql, MEMORY, cancel.clone()).await.unwrap();
        cancel.cancel();
        let ended = run(&sql, MEMORY, cancel).await.unwrap_err();
        assert!(ended.contains("Query cancelled by user"), "{condition}: {ended}");
    }
}
