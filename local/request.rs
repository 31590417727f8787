//! A request: the input of one call, read into what the operation needs, and long answers cut into pages.

use regex::Regex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Fault;

/// How one service refuses a request that it cannot make sense of, and how long its pages are.
pub(crate) struct Requests {
    /// The name of its exception.
    pub(crate) invalid: &'static str,
    /// How many items a page has unless the caller says.
    pub(crate) page: usize,
}

/// Where a list that is asked for in parts goes on.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Page {
    pub(crate) next_token: Option<String>,
    pub(crate) max_results: Option<usize>,
}

impl Requests {
    pub(crate) fn invalid(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.invalid, message)
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, input: Value) -> Result<T, Fault> {
        serde_json::from_value(input)
            .map_err(|error| self.invalid(format!("the input of this call: {error}")))
    }

    /// What picks names, of which it has to fit the whole.
    pub(crate) fn pattern(&self, expression: Option<&str>) -> Result<Option<Regex>, Fault> {
        let pattern = expression.map(|it| Regex::new(&format!("^(?:{it})$"))).transpose();
        pattern.map_err(|error| self.invalid(format!("the Expression: {error}")))
    }

    /// The place that a token of an earlier answer stands for.
    pub(crate) fn start(&self, page: &Page) -> Result<usize, Fault> {
        match page.next_token.as_deref() {
            None | Some("") => Ok(0),
            Some(token) => token
                .parse()
                .map_err(|_| self.invalid(format!("`{token}` is no NextToken of an earlier answer"))),
        }
    }

    /// The part that was asked for, under `name`, and the token of the next one if there is more.
    pub(crate) fn cut<T>(
        &self,
        page: &Page,
        name: &str,
        items: impl IntoIterator<Item = T>,
        show: impl Fn(T) -> Value,
    ) -> Result<Value, Fault> {
        let from = self.start(page)?;
        let at_most = page.max_results.unwrap_or(self.page).clamp(1, 1000);
        let mut rest = items.into_iter().skip(from);
        let shown: Vec<Value> = rest.by_ref().take(at_most).map(show).collect();
        let mut answer = json!({ name: shown });
        if rest.next().is_some() {
            answer["NextToken"] = json!((from + at_most).to_string());
        }
        Ok(answer)
    }
}
