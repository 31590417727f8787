//! What an API answers, from the bytes of a `response` to items: records, and inputs that give none.
//!
//! `body` reads the bytes, decompresses them (`decompress`) and makes UTF-8 of them; a large body is kept in a temporary
//! file (`spill_buffer`, `large_body`). `response_matchers` is the option about responses that are not what their status
//! says, and `body_status` recognizes errors that have a success status. `items` are the elements, lines or rows
//! (`record_reader`), and `decode` chooses among them by `codec` and explains what cannot be decoded (`json_check`,
//! `format_advice`, `web_page`).

pub(crate) mod body;
mod body_status;
mod codec;
mod decode;
mod decompress;
mod format_advice;
mod items;
mod json_check;
mod large_body;
mod record_reader;
mod response;
mod response_matchers;
mod spill_buffer;
mod web_page;

pub(crate) use self::body::{BodyOptions, BodyText, of_file};
pub(crate) use self::body_status::{BodyStatus, is_about_limit, is_limit_reached};
pub(crate) use self::codec::Codec;
pub(crate) use self::items::{Item, Items, Unreadable};
pub(crate) use self::json_check::{not_json, text};
pub(crate) use self::large_body::{MAX_IN_MEMORY, RecordLayout};
pub(crate) use self::response::{Response, ResponseSummary};
pub(crate) use self::response_matchers::{Responses, Verdict};
