//! The one pair of keys that the offline cloud takes.

/// An access key and its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Says who asks.
    pub access_key: String,
    /// Proves it.
    pub secret_key: String,
}

impl Default for Keys {
    /// Keys that anybody may know: the cloud listens on the loopback alone.
    fn default() -> Self {
        Keys { access_key: "local".into(), secret_key: "local-secret".into() }
    }
}
