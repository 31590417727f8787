//! What APIs write on the last page, in the place of a flag, a link or a cursor.

/// What stands in the place of the next page, where no option names it.
pub(super) const ENDS: [&str; 6] = ["", "0", "-1", "null", "false", "none"];

/// Whether a JSON text in the place of the next page says that there is none: null or false, also as a text, or empty.
pub(super) fn is_end(json: &str) -> bool {
    let text = json.trim_matches('"').trim();
    matches!(text, "" | "[]" | "{}")
        || ["null", "none", "false"].iter().any(|end| text.eq_ignore_ascii_case(end))
}

/// Whether a cursor is 0 or -1, which many APIs send on the last page.
pub(super) fn is_end_cursor(cursor: &str) -> bool {
    matches!(cursor.trim_matches('"'), "0" | "-1")
}

/// Whether a JSON text in the place of `has_more` says that there is not another page.
pub(super) fn is_negative(json: &str) -> bool {
    let text = json.trim_matches('"');
    ["false", "0", "-1", "no", "n"].iter().any(|no| text.eq_ignore_ascii_case(no))
}
