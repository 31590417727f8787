//! The record while a program changes it.

use vrl::compiler::{SecretTarget, Target, TargetValue};
use vrl::path::{OwnedSegment, OwnedTargetPath, PathPrefix};
use vrl::value::Value;

/// A value and its metadata. Remembers a whole value that an assignment to one of its parts has replaced: VRL makes an
/// object of `5` for `.src = "a"`, and the 5 is gone.
#[derive(Debug)]
pub(super) struct RecordTarget {
    inner: TargetValue,
    replaced: Option<Replaced>,
}

/// A value that was replaced.
#[derive(Debug)]
pub(super) struct Replaced {
    /// `array`, `integer` and so on.
    pub(super) kind: String,
    /// The path of the assignment.
    pub(super) path: String,
}

impl RecordTarget {
    pub(super) fn new(inner: TargetValue) -> Self {
        RecordTarget { inner, replaced: None }
    }

    pub(super) fn value(&self) -> &Value {
        &self.inner.value
    }

    /// The value that the program has left, and the first one that it has replaced.
    pub(super) fn into_parts(self) -> (Value, Option<Replaced>) {
        (self.inner.value, self.replaced)
    }
}

impl Target for RecordTarget {
    fn target_insert(&mut self, path: &OwnedTargetPath, value: Value) -> Result<(), String> {
        let whole = &self.inner.value;
        let fits = match (path.prefix, path.path.segments.first()) {
            (PathPrefix::Metadata, _) | (_, None) => true,
            (_, Some(OwnedSegment::Field(_))) => matches!(whole, Value::Object(_) | Value::Null),
            (_, Some(OwnedSegment::Index(_))) => matches!(whole, Value::Array(_) | Value::Null),
        };
        if !fits && self.replaced.is_none() {
            self.replaced = Some(Replaced { kind: whole.kind_str().to_owned(), path: path.to_string() });
        }
        self.inner.target_insert(path, value)
    }

    fn target_get(&self, path: &OwnedTargetPath) -> Result<Option<&Value>, String> {
        self.inner.target_get(path)
    }

    fn target_get_mut(&mut self, path: &OwnedTargetPath) -> Result<Option<&mut Value>, String> {
        self.inner.target_get_mut(path)
    }

    fn target_remove(&mut self, path: &OwnedTargetPath, compact: bool) -> Result<Option<Value>, String> {
        self.inner.target_remove(path, compact)
    }
}

impl SecretTarget for RecordTarget {
    fn get_secret(&self, key: &str) -> Option<&str> {
        self.inner.get_secret(key)
    }

    fn insert_secret(&mut self, key: &str, value: &str) {
        self.inner.insert_secret(key, value);
    }

    fn remove_secret(&mut self, key: &str) {
        self.inner.remove_secret(key);
    }
}
