//! A request: the input of one call, and long answers in pages.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::Fault;

/// The exception for invalid input and the page size of one service.
pub(crate) struct Requests {
    /// The name of its exception.
    pub(crate) invalid: &'static str,
    /// The default number of items on a page.
    pub(crate) page: usize,
}

/// The requested page of a list.
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

    /// The position in a token of an earlier answer.
    pub(crate) fn start(&self, page: &Page) -> Result<usize, Fault> {
        match page.next_token.as_deref() {
            None | Some("") => Ok(0),
            Some(token) => token
                .parse()
                .map_err(|_| self.invalid(format!("`{token}` is not a NextToken of an earlier answer"))),
        }
    }

    /// The requested page under `name`, and the token of the next page if there is one.
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
