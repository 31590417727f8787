//! A request: the input of one call, read into what the operation needs, and long answers cut into pages.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Fault;

pub(super) fn read<T: DeserializeOwned>(input: Value) -> Result<T, Fault> {
    serde_json::from_value(input).map_err(|error| invalid(format!("the input of this call: {error}")))
}

pub(super) fn invalid(message: impl Into<String>) -> Fault {
    Fault::new("InvalidRequestException", message)
}

/// Where a list that is asked for in parts goes on.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Page {
    pub(super) next_token: Option<String>,
    pub(super) max_results: Option<usize>,
}

impl Page {
    pub(super) fn start(&self) -> Result<usize, Fault> {
        match &self.next_token {
            Some(token) if !token.is_empty() => {
                token.parse().map_err(|_| invalid(format!("`{token}` is no NextToken of an earlier answer")))
            }
            _ => Ok(0),
        }
    }

    /// The part that was asked for, under `name`, and the token of the next one if there is more.
    pub(super) fn cut<T>(
        &self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        show: impl Fn(T) -> Value,
    ) -> Result<Value, Fault> {
        let from = self.start()?;
        let at_most = self.max_results.unwrap_or(50).clamp(1, 1000);
        let mut rest = items.into_iter().skip(from);
        let shown: Vec<Value> = rest.by_ref().take(at_most).map(show).collect();
        let mut answer = json!({ name: shown });
        if rest.next().is_some() {
            answer["NextToken"] = json!((from + at_most).to_string());
        }
        Ok(answer)
    }
}
