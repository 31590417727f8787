//! A request: the input of one call, read into what the operation needs, and long answers cut into pages.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Fault;

pub(super) fn read<T: DeserializeOwned>(input: Value) -> Result<T, Fault> {
    serde_json::from_value(input).map_err(|error| invalid(format!("the input of this call: {error}")))
}

pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidInputException", message)
}

pub(super) fn exists(message: impl Into<String>) -> Fault {
    Fault::new("AlreadyExistsException", message)
}

/// Where a list that is asked for in parts goes on.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Page {
    next_token: Option<String>,
    max_results: Option<usize>,
}

impl Page {
    /// The part that was asked for, under `name`, and the token of the next one if there is more.
    pub(super) fn cut<T>(
        &self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        show: impl Fn(T) -> Value,
    ) -> Result<Value, Fault> {
        let from: usize = match &self.next_token {
            Some(token) if !token.is_empty() => token
                .parse()
                .map_err(|_| invalid(format!("`{token}` is no NextToken of an earlier answer")))?,
            _ => 0,
        };
        let at_most = self.max_results.unwrap_or(100).clamp(1, 1000);
        let mut rest = items.into_iter().skip(from);
        let shown: Vec<Value> = rest.by_ref().take(at_most).map(show).collect();
        let mut answer = json!({ name: shown });
        if rest.next().is_some() {
            answer["NextToken"] = json!((from + at_most).to_string());
        }
        Ok(answer)
    }
}
