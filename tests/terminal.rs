//! What people see who look at a terminal, played by `script`.

use std::process::{Command, Stdio};

use runner_needs::needs;

use crate::support::Scene;
use crate::support::kafka::Broker;

/// All that a run shows on a terminal of 120 columns.
fn shown(scene: &Scene, arguments: &[&str]) -> String {
    let command = scene.command(arguments);
    let words: Vec<_> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|it| it.to_str().unwrap())
        .collect();
    let variables = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
    let played = Command::new("script")
        .args(["--quiet", "--return", "--command"])
        .arg(format!("stty columns 120 rows 40; exec {}", words.join(" ")))
        .arg("/dev/null")
        .env_clear()
        .envs(variables)
        .env("TERM", "xterm-256color")
        .current_dir(scene.path("."))
        .stdin(Stdio::null())
        .output()
        .expect("script, of the package bsdutils");
    let text = String::from_utf8_lossy(&played.stdout).into_owned();
    assert!(played.status.success(), "{text}");
    text
}

#[track_caller]
fn assert_shows(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "nothing shows {part:?} in:\n{text}");
    }
}

#[test]
fn terminal_shows_progress_and_summary_table() {
    let scene = Scene::new();
    let rows: String = (0..40).map(|n| format!("{n}\n")).collect();
    scene.write("rows.csv", format!("n\n{rows}"));
    scene.write(
        "paced.toml",
        "[sources.rows]\ntype = \"csv\"\npath = \"rows.csv\"\n\
         [transforms.pace]\ntype = \"throttle\"\ninputs = [\"rows\"]\nrate = 20\n\
         [sinks.out]\ntype = \"file\"\ninputs = [\"pace\"]\npath = \"out.txt\"\n",
    );
    let text = shown(&scene, &["run", "paced.toml"]);
    assert_shows(&text, &["source    rows", "transform pace", "sink      out", "records", "/s", " % of "]);
    let table = &text[text.rfind('┌').expect("a table")..];
    assert_shows(table, &["rows", "pace", "out", "40", "│"]);
}

#[test]
#[needs(kafka)]
fn terminal_shows_consumer_lag() {
    let broker = Broker::shared();
    let topic = broker.create_topic("watched", 1);
    broker.produce(&topic, 0, (0..90).map(|n| n.to_string()));
    let scene = Scene::new();
    scene.write(
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
    assert_shows(&shown(&scene, &["run", "reads.toml"]), &["source    topic", "lag "]);
}
