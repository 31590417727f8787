//! The plugins of the tests: a source, a transform, and a sink with options of every kind.

use std::collections::BTreeMap;

use anyhow::Result;
use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::batch::Batch;
use crate::build_context::BuildContext;
use crate::error::Failure;
use crate::error::{OptionError, OptionErrors};
use crate::plugin::Plugin;
use crate::position::Start;
use crate::secret::Secret;
use crate::sink::{Sink, SinkConfig, WriteError};
use crate::source::{Next, Source, SourceConfig};
use crate::stop::Flow;
use crate::transform::{Output, Transform, TransformConfig};
use crate::units::{ByteSize, HumanDuration};

/// A source without records, a transform that changes none, and a sink that drops them.
pub(crate) struct Nothing;

#[async_trait]
impl Source for Nothing {
    fn identity(&self) -> String {
        String::new()
    }

    async fn open(&mut self, _: &Start) -> Result<(), Failure> {
        Ok(())
    }

    async fn next(&mut self) -> Result<Next, Failure> {
        Ok(Next::End)
    }
}

#[async_trait]
impl Transform for Nothing {
    async fn apply(&mut self, batch: Batch, out: &mut dyn Output) -> Result<Flow> {
        out.send(batch).await
    }
}

#[async_trait]
impl Sink for Nothing {
    async fn write(&self, _: &Batch) -> Result<(), WriteError> {
        Ok(())
    }

    fn location(&self) -> Option<String> {
        Some("here".into())
    }
}

/// A source that counts.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Well {
    depth: Option<u8>,
}

impl SourceConfig for Well {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Source>> {
        match self.depth {
            Some(0) => Err(OptionError::new("depth", "there is no water")),
            _ => Ok(Box::new(Nothing)),
        }
    }
}

/// A transform.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Pipe {}

impl TransformConfig for Pipe {
    fn build(self, _: &BuildContext) -> Result<Box<dyn Transform>> {
        Ok(Box::new(Nothing))
    }
}

/// A sink with options of every kind.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "most are there to be read")]
#[serde(deny_unknown_fields)]
struct Bucket {
    name: String,
    group_id: String,
    pause: Option<HumanDuration>,
    size: Option<ByteSize>,
    lock: Option<Lock>,
    pair: Option<Pair>,
    #[serde(default)]
    extras: BTreeMap<String, String>,
    shelves: Option<Vec<String>>,
    layout: Option<Layout>,
    limit: Option<u16>,
    #[serde(default)]
    is_numbered: bool,
    #[serde(default)]
    follows: bool,
}

/// A string, a list or a table.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "they are only read")]
#[serde(untagged)]
enum Layout {
    Name(LayoutName),
    Names(Vec<LayoutName>),
    Grid(Grid),
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LayoutName {
    Flat,
    Deep,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "they are only read")]
#[serde(deny_unknown_fields)]
struct Grid {
    rows: u8,
}

/// A table in a table.
#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "most are there to be read")]
#[serde(deny_unknown_fields)]
struct Lock {
    kind: LockKind,
    user: String,
    password: Option<Secret>,
    pin: Option<Secret>,
}

/// Two that go together.
#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "Halves")]
struct Pair;

/// The halves of a pair.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Halves {
    left: Option<u8>,
    right: Option<u8>,
}

impl TryFrom<Halves> for Pair {
    type Error = &'static str;

    fn try_from(halves: Halves) -> Result<Self, &'static str> {
        if halves.left.is_some() == halves.right.is_some() { Ok(Pair) } else { Err("half of it is missing") }
    }
}

/// One of two.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LockKind {
    Key,
    Code,
}

impl SinkConfig for Bucket {
    fn build(self, context: &BuildContext) -> Result<Box<dyn Sink>> {
        let refused = |name: &String| OptionError::new(format!("extras.{name}"), "it is refused");
        OptionErrors::none_of(self.extras.keys().map(refused))?;
        if self.name.is_empty() {
            return Err(OptionError::new("name", "it is empty"));
        }
        if let Some(shelves) = self.shelves.filter(|shelves| !shelves.iter().eq(["a"])) {
            return Err(OptionError::new("shelves", shelves.join("|")));
        }
        if let Some(Lock { kind: LockKind::Code, password: None, .. }) = self.lock {
            return Err(OptionError::new("lock.password", "a code needs it"));
        }
        if self.lock.as_ref().is_some_and(|lock| lock.pin.is_some()) {
            return Err(OptionError::new("lock.pin", "it is too short"));
        }
        if self.is_numbered && context.upstream.counting_sources.len() > 1 {
            return Err(OptionError::new("is_numbered", context.upstream.counting_sources.join(" and ")));
        }
        if self.follows && context.upstream.locations.is_empty() {
            return Err(OptionError::new("target", "nothing in front says where"));
        }
        Ok(Box::new(Nothing))
    }
}

crate::register! { Plugin::source::<Well>("well") }
crate::register! { Plugin::transform::<Pipe>("pipe") }
crate::register! { Plugin::sink::<Bucket>("bucket") }
