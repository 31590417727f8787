//! Stands in for programs in a build without the feature `remap`.

use std::convert::Infallible;

use runner_core::{BuildContext, OptionError, Record, Result};
use serde_json::Value;

use super::{Input, ProgramResult, ProgramText};

const MISSING: &str = "this runner was built without the feature `remap`, which VRL needs: \
                       build it with that feature, which is on by default";

/// No program can be compiled.
#[derive(Clone)]
pub(crate) struct Program(Infallible);

/// What a program can read as `%name`.
#[derive(Default)]
pub(crate) struct Metadata {}

impl Metadata {
    pub(crate) fn new<'a>(_: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Metadata {}
    }
}

impl Program {
    pub(crate) fn compile(text: &ProgramText, _: Option<&str>, _: &BuildContext) -> Result<Self> {
        Err(OptionError::new(&*text.option, MISSING))
    }

    pub(crate) fn compile_condition(text: &ProgramText, _: &BuildContext) -> Result<Self> {
        Err(OptionError::new(&*text.option, MISSING))
    }

    pub(crate) fn run(&self, _: &Input<'_>, _: &Metadata) -> Result<ProgramResult> {
        match self.0 {}
    }

    pub(crate) fn check_metadata(&self, _: &BuildContext) {
        match self.0 {}
    }

    pub(crate) fn metadata(&self, _: &Record) -> Metadata {
        match self.0 {}
    }

    pub(crate) fn holds(&self, _: &Record) -> Result<bool> {
        match self.0 {}
    }
}

pub(crate) fn on_large_stack<T>(run: impl FnOnce() -> T) -> T {
    run()
}
