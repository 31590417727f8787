//! The values of a flag, a link or a cursor that APIs return on the last page.

/// Values of a member or a header for the next page that mean that there is none.
pub(super) const ENDS: [&str; 6] = ["", "0", "-1", "null", "false", "none"];

/// Whether the JSON value of a link or a cursor says that there is no next page: null or false, also as a text, or empty.
pub(super) fn is_end(json: &str) -> bool {
    let text = json.trim_matches('"').trim();
    matches!(text, "" | "[]" | "{}")
        || ["null", "none", "false"].iter().any(|end| text.eq_ignore_ascii_case(end))
}

/// Whether a cursor is 0 or -1, which many APIs send on the last page.
pub(super) fn is_end_cursor(cursor: &str) -> bool {
    matches!(cursor.trim_matches('"'), "0" | "-1")
}

/// Whether the JSON value at `has_more` says that there is no other page.
pub(super) fn is_negative(json: &str) -> bool {
    let text = json.trim_matches('"');
    ["false", "0", "-1", "no", "n"].iter().any(|no| text.eq_ignore_ascii_case(no))
}
