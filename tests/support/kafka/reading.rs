//! A pipeline that reads a topic.

use super::Broker;
use crate::support::TestEnv;

/// A pipeline from a topic to a file, and its consumer group.
pub struct Reading {
    pub env: TestEnv,
    pub group: String,
}

impl Reading {
    /// `top` is put at the top of the file, `options` in the source; `between`
    /// configures a transform of that name unless it is empty.
    pub fn new(broker: &Broker, topic: &str, [top, options, between]: [&str; 3]) -> Reading {
        let (env, group) = (TestEnv::new(), broker.name("group"));
        let input = if between.is_empty() { "topic" } else { "between" };
        let between = if between.is_empty() {
            String::new()
        } else {
            format!("[transforms.between]\ninputs = [\"topic\"]\n{between}\n")
        };
        let bootstrap = if options.contains("bootstrap_servers") {
            String::new()
        } else {
            format!("bootstrap_servers = \"{}\"\n", broker.bootstrap())
        };
        env.write(
            "reads.toml",
            format!(
                "{top}\n[sources.topic]\ntype = \"kafka\"\n{bootstrap}topics = [\"{topic}\"]\n\
                 group_id = \"{group}\"\n{options}\n{between}\
                 [sinks.out]\ntype = \"file\"\ninputs = [\"{input}\"]\npath = \"out.txt\"\n"
            ),
        );
        Reading { env, group }
    }

    pub fn lines(&self) -> Vec<String> {
        self.env.lines("out.txt")
    }
}
