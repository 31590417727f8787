//! The offline cloud as a user runs it: `runner local` in a process of its own.

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Outcome, Running, TestEnv, wait_until};

/// A running `runner local`, and the variables it has written; it stops when this is dropped.
pub struct Cloud {
    running: Running,
    variables: Vec<(String, String)>,
}

impl Cloud {
    /// Starts it in the folder of `env`, with more arguments, and waits until all services are ready.
    pub fn start(env: &TestEnv, arguments: &[&str]) -> Cloud {
        let file = env.path("cloud.env");
        drop(std::fs::remove_file(&file));
        let all = ["local", "--write-env", "cloud.env"].into_iter().chain(arguments.iter().copied());
        let running = env.start(all);
        wait_until("the variables of the offline cloud", Duration::from_secs(60), || file.exists());
        Cloud { running, variables: variables_of(&file) }
    }

    /// Sets the variables that point runs to this cloud.
    pub fn configure(&self, env: &mut TestEnv) {
        for (name, value) in &self.variables {
            env.set(name, value);
        }
    }

    pub fn variables(&self) -> &[(String, String)] {
        &self.variables
    }

    pub fn get(&self, name: &str) -> &str {
        let found = self.variables.iter().find(|(it, _)| it == name);
        &found.unwrap_or_else(|| panic!("the offline cloud has no {name}")).1
    }

    /// The resident memory.
    pub fn rss_kib(&self) -> u64 {
        self.running.rss_kib()
    }

    /// Stops it as Ctrl-C does.
    pub fn stop(self) -> Outcome {
        self.running.signal(Signal::SIGINT);
        self.running.wait(Duration::from_secs(30))
    }
}

fn variables_of(file: &Path) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(file).expect("the file of variables");
    let line = |line: &str| {
        let (name, value) = line.split_once('=').unwrap_or_else(|| panic!("not NAME=value: {line}"));
        (name.to_owned(), value.to_owned())
    };
    text.lines().map(line).collect()
}
