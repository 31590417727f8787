//! What is requested: the endpoint, query, headers and body of the pipeline file, with variables.
//!
//! `template` is one text with variables, and `request_template` all parts of a request, filled in for each walk. `query` has the
//! values of query parameters, and changes parameters of a URL. `placeholder_warnings` warns of variables of other languages.

pub(crate) mod placeholder_warnings;
mod query;
pub(crate) mod request_template;
mod template;

pub(crate) use self::query::{QueryValues, replace_values, set_parameter};
pub(crate) use self::request_template::{
    Outgoing, RequestParts, RequestTemplate, hash_request, header_value,
};
pub(crate) use self::template::{TIME_VARIABLES, Template, ValuePlace, Values};
