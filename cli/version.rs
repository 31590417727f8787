//! What `runner --version` prints.

use std::sync::LazyLock;

/// Version, commit, features and the version of librdkafka.
pub(crate) fn long() -> &'static str {
    static LONG: LazyLock<String> = LazyLock::new(|| {
        let features = features();
        let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
        format!(
            "{}\ncommit: {}\nfeatures: {features}\nlibrdkafka: {}",
            env!("CARGO_PKG_VERSION"),
            env!("RUNNER_COMMIT"),
            runner_plugins::librdkafka_version()
        )
    });
    &LONG
}

/// The features that this binary was built with.
fn features() -> Vec<&'static str> {
    let all = [
        ("kafka-tls", cfg!(feature = "kafka-tls")),
        ("local", cfg!(feature = "local")),
        ("remap", cfg!(feature = "remap")),
    ];
    all.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name).collect()
}
