//! The only pair of keys of the offline cloud.

/// An access key and its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The public part.
    pub access_key: String,
    /// The secret part.
    pub secret_key: String,
}

impl Default for Keys {
    /// Public keys: the cloud listens only on the loopback.
    fn default() -> Self {
        Keys { access_key: "local".into(), secret_key: "local-secret".into() }
    }
}
