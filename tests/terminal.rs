//! The output on a terminal, emulated by `script`.

use std::process::{Command, Stdio};

use runner_needs::needs;

use crate::support::TestEnv;
use crate::support::kafka::Broker;

/// Everything that a run prints on a terminal of 120 columns.
fn terminal_output(env: &TestEnv, arguments: &[&str]) -> String {
    let command = env.command(arguments);
    let command_line: Vec<_> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|it| it.to_str().unwrap())
        .collect();
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let script = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("stty columns 120 rows 40; exec {}", command_line.join(" ")))
        .arg("/dev/null")
        .env_clear()
        .envs(variables)
        .env("TERM", "xterm-256color")
        .current_dir(env.path("."))
        .stdin(Stdio::null())
        .output()
        .expect("script, of the package bsdutils");
    let text = String::from_utf8_lossy(&script.stdout).into_owned();
    assert!(script.status.success(), "{text}");
    text
}

#[track_caller]
fn assert_shows(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn terminal_shows_progress_and_summary_table() {
    let env = TestEnv::new();
    let rows: String = (0..40).map(|n| format!("{n}\n")).collect();
    env.write("rows.csv", format!("n\n{rows}"));
    env.write(
        "paced.toml",
        "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [transforms.pace]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = 20\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"out.txt\"\n",
    );
    let text = terminal_output(&env, &["run", "paced.toml"]);
    assert_shows(&text, &["source    rows", "transform pace", "sink      out", "records", "/s", " % of "]);
    let table = &text[text.rfind('┌').expect("a table")..];
    assert_shows(table, &["rows", "pace", "out", "40", "│"]);
}

#[needs(kafka)]
#[test]
fn terminal_shows_consumer_lag() {
    let broker = Broker::shared();
    let topic = broker.create_topic("watched", 1);
    broker.produce(&topic, 0, (0..90).map(|n| n.to_string()));
    let env = TestEnv::new();
    env.write(
        "reads.toml",
        format!(
            "[sources.topic]\ntype = \"kafka\"\nbootstrap_servers = \"{}\"\ntopics = [\"{topic}\"]\n\
             group_id = \"{}\"\nstop = \"at_end\"\n\
             [transforms.pace]\ntype = \"throttle\"\ninputs = [\"topic\"]\nrate = 30\n\
             [sinks.out]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"out.txt\"\n",
            broker.bootstrap(),
            broker.name("group")
        ),
    );
    assert_shows(&terminal_output(&env, &["run", "reads.toml"]), &["source    topic", "lag "]);
}
