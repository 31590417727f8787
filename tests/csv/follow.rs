//! The `csv` source on files that are rotated or replaced while they are read.

use nix::sys::signal::Signal;

use super::{append, env, out, run};
use crate::support::{SOON, wait_until};

#[test]
fn followed_file_is_read_across_rotation_and_kill() {
    let env = env("id\n1\n", "follow = true");
    let child = env.start(["run", "p.toml"]);
    wait_until("the first row arrives", SOON, || out(&env).len() == 1);
    append(&env, "rows.csv", "2\n3");
    wait_until("the second row arrives", SOON, || out(&env).len() == 2);
    append(&env, "rows.csv", "3\n");
    std::fs::rename(env.path("rows.csv"), env.path("rows.csv.1")).expect("renaming");
    env.write("rows.csv", "id\n4\n");
    wait_until("rows of both files arrive", SOON, || out(&env).len() == 4);
    // The checkpoint is written once a second.
    wait_until("the checkpoint is written", SOON, || {
        env.run(["checkpoint", "show", "p.toml"]).stdout.contains("rows.csv.1")
    });
    child.signal(Signal::SIGKILL);
    drop(child);
    append(&env, "rows.csv", "5\n");
    std::fs::rename(env.path("rows.csv.1"), env.path("rows.csv.2")).expect("renaming");
    std::fs::rename(env.path("rows.csv"), env.path("rows.csv.1")).expect("renaming");
    env.write("rows.csv", "id\n6\n");
    let child = env.start(["run", "p.toml"]);
    wait_until("the last row arrives", SOON, || out(&env).contains(&r#"{"id":6}"#.to_owned()));
    child.stop();
    let mut ids: Vec<String> = out(&env);
    ids.dedup();
    let expected = [1, 2, 33, 4, 5, 6].map(|id| format!("{{\"id\":{id}}}"));
    assert_eq!(ids, expected, "only rows in flight at the kill may come again");
}

#[test]
fn followed_file_without_rows_is_read_after_kill_and_rotation() {
    let env = env("id\n", "follow = true");
    let child = env.start(["run", "p.toml"]);
    wait_until("the checkpoint is written", SOON, || {
        env.run(["checkpoint", "show", "p.toml"]).stdout.contains("rows.csv")
    });
    child.signal(Signal::SIGKILL);
    drop(child);
    append(&env, "rows.csv", "1\n");
    std::fs::rename(env.path("rows.csv"), env.path("rows.csv.1")).expect("renaming");
    env.write("rows.csv", "id\n2\n");
    let child = env.start(["run", "p.toml"]);
    wait_until("both rows arrive", SOON, || out(&env).len() == 2);
    child.stop();
    assert_eq!(out(&env), [r#"{"id":1}"#, r#"{"id":2}"#]);
}

#[test]
fn rows_of_a_file_that_is_replaced_while_it_is_read_are_all_stored() {
    const N_ROWS: usize = 16_000;
    let rows: String = (0..N_ROWS).map(|n| format!("{n}\n")).collect();
    let env = env(format!("id\n{rows}"), "");
    let throttle = "[transforms.slow]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = 2000\n";
    env.write("p.toml", env.read("p.toml").replace("[\"rows\"]", "[\"slow\"]") + throttle);
    let child = env.start(["run", "p.toml", "--drain-timeout", "1s"]);
    wait_until("the first rows arrive", SOON, || out(&env).len() > 100);
    env.write("new.csv", "id\n-1\n");
    std::fs::rename(env.path("new.csv"), env.path("rows.csv")).expect("replacing the file");
    let said = format!(
        "rows.csv was replaced by another file while it was read; all rows of the old file were read up to line {}",
        N_ROWS + 1
    );
    child.wait(SOON).assert_code(1).assert_says(&[&said]);
    let expected: Vec<String> = (0..N_ROWS).map(|n| format!("{{\"id\":{n}}}")).collect();
    assert!(out(&env) == expected, "{} rows are stored", out(&env).len());
    run(&env).assert_code(1).assert_says(&["rows.csv", "give the new file another name"]);
}
