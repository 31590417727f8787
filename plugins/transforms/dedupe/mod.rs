//! `dedupe`: lets the first of equal records pass.

mod key;
mod recent_keys;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use runner_core::{
    Batch, Body, BuildContext, Flow, Mapped, OptionError, Output, Plugin, Result, SavedState, Transform,
    TransformConfig, async_trait,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::shared::json_paths::Path;
use key::KeyMaker;
use state::State;

runner_core::register! {
    Plugin::transform::<DedupeConfig>("dedupe").example(
        r#"type = "dedupe"
inputs = ["stocks"]
fields = ["Index", "Date"]"#,
    )
}

/// Passes the first of equal records and filters the others.
///
/// Records are equal if they have the same values in `fields`: their key. Numbers are compared as they are written, so
/// `1.0` and `1` differ. Texts are compared without their quotes and escapes; a text never equals a number. A row of a
/// CSV file is compared as the JSON object that it stands for, and so can equal a record of an API. The transform keeps
/// the `cache` most recent keys. It rejects a record without one of the fields, and passes a record without a body (a
/// tombstone in Kafka).
///
/// The keys survive a restart: the checkpoint of a source contains the keys of the records before its position. They
/// also survive if the source reads other files, or if another source replaces it under the same name. A record that is
/// read again after a crash passes again: its key is not in the checkpoint yet. A source that keeps its position in
/// another system, such as `kafka`, has no checkpoint: its keys last until the process ends.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DedupeConfig {
    /// The fields that are compared: names (`"Date"`) or JSON pointers (`"/day/date"`). Default: the
    /// whole body, with its names, and without the white space between JSON tokens. Fields in another order differ.
    #[serde(default)]
    fields: Option<Vec<String>>,
    /// How many keys the transform keeps. It drops the key that has not occurred for the longest time. A key
    /// takes about 100 bytes of memory, and 22 bytes in the checkpoint, which is written once a second.
    #[serde(default = "default_cache")]
    #[schemars(extend("minimum" = 1, "maximum" = 10_000_000))]
    cache: u32,
}

fn default_cache() -> u32 {
    5_000
}

impl TransformConfig for DedupeConfig {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        if self.cache == 0 {
            return Err(OptionError::new("cache", "must be at least 1"));
        }
        let paths = match self.fields {
            None => Vec::new(),
            Some(fields) if fields.is_empty() => {
                return Err(OptionError::new(
                    "fields",
                    "name at least one field, or leave the option out to compare whole bodies",
                ));
            }
            Some(fields) => fields.into_iter().map(Path::from).collect(),
        };
        Ok(Box::new(Dedupe { keys: KeyMaker::new(paths), state: Arc::new(State::new(self.cache as usize)) }))
    }
}

struct Dedupe {
    keys: KeyMaker,
    state: Arc<State>,
}

#[async_trait]
impl Transform for Dedupe {
    fn filter_reason(&self) -> &'static str {
        "an equal record has passed"
    }

    async fn apply(&mut self, mut batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        let mut handles = batch.handles().into_iter();
        let rejects = {
            let mut state = self.state.lock();
            batch.map(|record| {
                let handle = handles.next();
                if matches!(record.body, Body::Tombstone) {
                    return Mapped::Keep;
                }
                match self.keys.key_of(&record.body) {
                    Err(reason) => Mapped::Reject(reason),
                    Ok(key) => handle.map_or(Mapped::Keep, |handle| state.decide(key, handle)),
                }
            })
        };
        if !rejects.is_empty() {
            batch = out.reject(batch, rejects).await?;
        }
        out.send(batch).await
    }

    fn saved_state(&self) -> Option<Arc<dyn SavedState>> {
        Some(self.state.clone())
    }
}
