//! Servers that ignore the condition of a write: no object is replaced.

use super::{OBJECTS, assert_all_stored, key, pipeline, run, server_and_env};
use crate::support::s3::Response;

#[test]
fn server_that_ignores_conditions_ends_run_and_replaces_nothing() {
    let (server, env) = server_and_env();
    server.ignore_conditions();
    for entry in [1, 2] {
        server.put("lake", &key(entry), "something else");
    }
    run(&env).assert_code(1).assert_says(&[
        "ignores the condition of a write (If-None-Match)",
        "overwrite = \"always\"",
        &server.url(),
    ]);
    assert_eq!(server.keys("lake"), [key(0), key(1), key(2)]);
    assert_eq!(server.read("lake", &key(0)), OBJECTS[0]);
    for entry in [1, 2] {
        assert_eq!(server.read("lake", &key(entry)), "something else");
    }
    pipeline(&env, "overwrite = \"always\"");
    run(&env).assert_code(0);
    assert_all_stored(&server);
}

#[test]
fn first_object_is_not_replaced_by_a_server_that_ignores_the_condition() {
    let (server, env) = server_and_env();
    server.ignore_conditions();
    server.put("lake", &key(0), "something else");
    env.write("stocks.csv", "Index,Date,Open\nHSI,1986-12-31,2568.3\n");
    run(&env).assert_code(65).assert_says(&["stock_0.json exists with other content"]);
    assert_eq!(server.read("lake", &key(0)), "something else");
}

#[test]
fn condition_is_tried_once_in_a_run() {
    let (server, env) = server_and_env();
    run(&env).assert_code(0);
    assert_all_stored(&server);
    assert_eq!((server.requests("ListObjectsV2"), server.requests("PutObject")), (1, 4));
}

#[test]
fn condition_is_tried_without_the_right_to_read() {
    let (server, env) = server_and_env();
    server.respond_with(|request| match request.operation {
        "GetObject" => Response::Error("AccessDenied"),
        _ => Response::Normal,
    });
    run(&env).assert_code(0);
    assert_all_stored(&server);
    server.ignore_conditions();
    env.run(["run", "lake.toml", "--from-start"]).assert_code(1).assert_says(&["ignores the condition"]);
}
