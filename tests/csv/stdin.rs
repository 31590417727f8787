//! The `csv` source on standard input.

use std::io::Write as _;

use nix::sys::signal::Signal;

use super::{env, out, set_options};
use crate::support::{SOON, wait_until};

#[test]
fn standard_input_is_read_as_it_comes() {
    let env = env("", "");
    set_options(&env, "path = \"-\"");
    let (running, mut stdin) = env.start_with_stdin(["run", "p.toml"]);
    stdin.write_all(b"id,v\n1,a\n2,b\n3").expect("writing");
    wait_until("the first rows arrive", SOON, || out(&env).len() == 2);
    stdin.write_all(b",c\n4,d").expect("writing");
    drop(stdin);
    running.wait(SOON).assert_code(0);
    let rows =
        [(1, "a"), (2, "b"), (3, "c"), (4, "d")].map(|(id, v)| format!("{{\"id\":{id},\"v\":\"{v}\"}}"));
    assert_eq!(out(&env), rows);
}

#[test]
fn standard_input_has_one_reader() {
    let env = env("", "");
    set_options(&env, "path = \"-\"");
    let second =
        "[sources.more]\ntype = \"csv\"\npath = \"-\"\n[sinks.rest]\ntype = \"null\"\ninputs = [\"more\"]\n";
    env.write("p.toml", env.read("p.toml") + second);
    // The first reader waits for rows until the second one has failed.
    let (running, _open) = env.start_with_stdin(["run", "p.toml"]);
    running.wait(SOON).assert_code(1).assert_says(&["another source of this run reads it"]);
}

#[test]
fn waiting_for_standard_input_can_be_stopped() {
    let env = env("", "");
    set_options(&env, "path = \"-\"");
    for arguments in [&["run", "p.toml", "--for", "1s"][..], &["run", "p.toml", "--for", "1s", "--dry-run"]] {
        let (running, _open) = env.start_with_stdin(arguments);
        running.wait(SOON).assert_code(0);
    }
}

#[test]
fn stop_delivers_what_was_read_of_standard_input() {
    let env = env("", "");
    for (rate, drain_timeout, is_lost) in [(20, "60s", false), (1, "1s", true)] {
        let pipeline = format!(
            "[sources.rows]\ntype = \"csv\"\npath = \"-\"\n\
             [transforms.slow]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = {rate}\n\
             [transforms.json]\ntype = \"to_json\"\ninputs = [\"slow\"]\n\
             [sinks.out]\ntype = \"file\"\ninputs = [\"json\"]\npath = \"out.{rate}.jsonl\"\n"
        );
        env.write("p.toml", pipeline);
        let out = env.path(format!("out.{rate}.jsonl"));
        let n_out = || std::fs::read_to_string(&out).unwrap_or_default().lines().count();
        let (running, mut stdin) = env.start_with_stdin(["run", "p.toml", "--drain-timeout", drain_timeout]);
        let rows: String = (0..60).map(|id| format!("{id}\n")).collect();
        stdin.write_all(format!("id\n{rows}61").as_bytes()).expect("writing");
        wait_until("the first row arrives", SOON, || n_out() > 0);
        running.signal(Signal::SIGTERM);
        let said = running.wait(SOON).stderr;
        drop(stdin);
        let says_lost = said.contains(" records that were read were not delivered and are lost");
        assert_eq!((n_out() == 60, says_lost), (!is_lost, is_lost), "{said}");
        assert!(said.contains("has no line end where the stop has ended the reading: it is lost"), "{said}");
        assert!(!said.contains("will be read again"), "{said}");
    }
}
