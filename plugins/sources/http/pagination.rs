//! Pagination says how an API names what comes after an answer.

use std::collections::HashSet;

use reqwest::Url;
use runner_core::Result;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use xxhash_rust::xxh3::xxh3_64;

use super::pointer::Pointer;
use super::position::Request;

/// How an API hands out more than fits into one answer.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Pagination {
    /// Every answer names a cursor to go on with; one without it, or with an empty one, is the last.
    Cursor {
        /// Where in the answer the cursor stands, as a JSON pointer such as `"/meta/next_cursor"`.
        cursor: Pointer,
        /// The query parameter that takes it.
        param: String,
    },
    /// Pages are counted; the first without records is behind the last.
    Page {
        /// The query parameter that takes the number.
        param: String,
        /// The number of the first page.
        #[schemars(default = "first_page")]
        start: u64,
    },
    /// Every answer but the last has a header `Link: <…>; rel="next"`, as in RFC 8288.
    Link {},
}

fn first_page() -> u64 {
    1
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Type {
    Cursor,
    Page,
    Link,
}

/// Every option of every type: a derived tag would lose where in the file a slip stands.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PaginationTable {
    r#type: Type,
    cursor: Option<Pointer>,
    param: Option<String>,
    start: Option<u64>,
}

impl<'de> Deserialize<'de> for Pagination {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PaginationTable::deserialize(deserializer)?.choose().map_err(D::Error::custom)
    }
}

impl PaginationTable {
    fn choose(self) -> Result<Pagination, String> {
        let PaginationTable { r#type, cursor, param, start } = self;
        let (label, takes, chosen): (_, &[&str], _) = match r#type {
            Type::Cursor => ("cursor", &["cursor", "param"], "`cursor` and `param`"),
            Type::Page => ("page", &["param", "start"], "`param` and `start`"),
            Type::Link => ("link", &[], "no options"),
        };
        let given = [("cursor", cursor.is_some()), ("param", param.is_some()), ("start", start.is_some())];
        if let Some((stray, _)) = given.iter().find(|(option, is_given)| *is_given && !takes.contains(option))
        {
            return Err(format!("`{stray}` does not go with type = \"{label}\", which takes {chosen}"));
        }
        let missing = |option| format!("type = \"{label}\" needs `{option}`; it takes {chosen}");
        Ok(match r#type {
            Type::Cursor => Pagination::Cursor {
                cursor: cursor.ok_or_else(|| missing("cursor"))?,
                param: param.ok_or_else(|| missing("param"))?,
            },
            Type::Page => Pagination::Page {
                param: param.ok_or_else(|| missing("param"))?,
                start: start.unwrap_or_else(first_page),
            },
            Type::Link => Pagination::Link {},
        })
    }
}

impl Pagination {
    /// What is asked first of all.
    pub(super) fn first(pagination: Option<&Pagination>) -> Request {
        match pagination {
            Some(Pagination::Page { start, .. }) => Request::Page(*start),
            _ => Request::First,
        }
    }

    /// Whether a saved request can come from this pagination; the option may have been edited since.
    pub(super) fn knows(pagination: Option<&Pagination>, request: &Request) -> bool {
        match (pagination, request) {
            (Some(Pagination::Page { start, .. }), Request::Page(page)) => page >= start,
            (Some(Pagination::Page { .. }), _) => false,
            (_, Request::First)
            | (Some(Pagination::Cursor { .. }), Request::Cursor(_))
            | (Some(Pagination::Link {}), Request::Link(_)) => true,
            _ => false,
        }
    }
}

/// What has been asked since a walk began: an API that leads in a circle would be read for ever.
#[derive(Debug, Default)]
pub(super) struct Walk {
    asked: HashSet<u64>,
    last_page: Option<u64>,
}

impl Walk {
    /// Notes a request.
    pub(super) fn note(&mut self, url: &Url) {
        self.asked.insert(xxh3_64(url.as_str().as_bytes()));
    }

    /// Whether the walk has made this request.
    pub(super) fn has_asked(&self, url: &Url) -> bool {
        self.asked.contains(&xxh3_64(url.as_str().as_bytes()))
    }

    /// Notes what a page says; false if the page before it said the same.
    pub(super) fn is_new_page(&mut self, fingerprint: u64) -> bool {
        self.last_page.replace(fingerprint) != Some(fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(table: Value) -> Result<Pagination, String> {
        serde_json::from_value(table).map_err(|error| error.to_string())
    }

    #[test]
    fn each_type_takes_its_own_options() {
        let page = read(json!({"type": "page", "param": "p"})).unwrap();
        assert!(matches!(page, Pagination::Page { start: 1, .. }));
        assert!(matches!(read(json!({"type": "link"})), Ok(Pagination::Link {})));
        let error = read(json!({"type": "link", "param": "p"})).unwrap_err();
        assert_eq!(error, "`param` does not go with type = \"link\", which takes no options");
        let error = read(json!({"type": "cursor", "param": "p"})).unwrap_err();
        assert!(error.starts_with("type = \"cursor\" needs `cursor`"), "{error}");
        assert!(
            read(json!({"type": "cursor", "param": "p", "cursor": "next"}))
                .unwrap_err()
                .contains("\"/next\"")
        );
        assert!(read(json!({"type": "offset"})).unwrap_err().contains("`cursor`, `page`, `link`"));
    }

    #[test]
    fn the_schema_is_one_closed_table_a_type() {
        let schema = serde_json::to_value(schemars::schema_for!(Pagination)).unwrap();
        let tables = schema["oneOf"].as_array().unwrap();
        let names: Vec<_> =
            tables.iter().map(|it| it["properties"]["type"]["const"].as_str().unwrap()).collect();
        assert_eq!(names, ["cursor", "page", "link"]);
        assert!(tables.iter().all(|it| it["additionalProperties"] == false), "{schema:#}");
        assert_eq!(tables[1]["required"], json!(["type", "param"]), "{schema:#}");
        assert_eq!(tables[1]["properties"]["start"]["default"], 1);
    }

    #[test]
    fn a_position_of_another_pagination_is_not_taken_up() {
        let page = read(json!({"type": "page", "param": "p", "start": 1})).unwrap();
        assert!(Pagination::knows(Some(&page), &Request::Page(3)));
        assert!(!Pagination::knows(Some(&page), &Request::Cursor("x".into())));
        assert!(!Pagination::knows(Some(&page), &Request::First));
        assert!(Pagination::knows(None, &Request::First));
        assert!(!Pagination::knows(None, &Request::Link("http://a/".into())));
    }
}
