//! Words that name an error or a success.

use serde_json::Value;

/// Words in the names of errors, as [`words`] writes them.
pub(crate) const ERROR_WORDS: &str = "\
    ERROR|ERRORS|INVALID|NOT FOUND|NOTFOUND|NOT AUTHORIZED|UNAUTHORIZED|FORBIDDEN|DENIED|EXCEEDED|EXCEEDS|\
    FAIL|FAILED|FAILURE|EXCEPTION";

/// More of them, which may also be the state of something.
const ERROR_STATES: &str = "MISSING|UNKNOWN|UNSUPPORTED|TOO MANY|TOOMANY";

/// First words of a text that says that there is nothing.
const NEGATIONS: &str = "0 NO NONE WITHOUT ZERO";

/// Whether a text is the name of an error, such as `INVALID_SYMBOL`.
pub(crate) fn is_error_word(text: &str) -> bool {
    contains_any(text, ERROR_WORDS) || contains_any(text, ERROR_STATES)
}

/// Whether a text has one of these words, and does not say that there is none of them, as in `No errors`.
pub(crate) fn contains_any(text: &str, of: &str) -> bool {
    !is_negation(text) && {
        let text = words(text);
        of.split('|').any(|word| text.contains(&format!(" {word} ")))
    }
}

/// Whether a text says that there is nothing, as in `No trades`.
pub(crate) fn is_negation(text: &str) -> bool {
    words(text).split_whitespace().next().is_some_and(|first| NEGATIONS.split(' ').any(|word| word == first))
}

/// Whether a value is a text that says that all is well.
pub(crate) fn is_success(value: &Value) -> bool {
    let is_well = |text: &str| {
        let text = words(text);
        text.contains(" SUCCESS") && !text.contains(" NOT ")
    };
    value.as_str().is_some_and(is_well) || is_word(value, &["ok", "none", "no error", "n/a"])
}

/// Whether a value is a message that says that all is well, as in `Request processed`.
pub(crate) fn is_done_message(value: &Value) -> bool {
    let is_done = |text: &str| {
        let words = words(text);
        let is_negative =
            [" NOT ", " CANNOT ", " UNABLE ", " NEVER "].iter().any(|negative| words.contains(negative));
        let last = words.split_whitespace().next_back().unwrap_or_default();
        !is_negative
            && !contains_any(text, ERROR_WORDS)
            && ["ACCEPTED", "COMPLETED", "DONE", "OK", "PROCESSED"].contains(&last)
    };
    is_success(value) || value.as_str().is_some_and(is_done)
}

pub(crate) fn is_word(value: &Value, words: &[&str]) -> bool {
    value.as_str().is_some_and(|text| words.iter().any(|word| text.trim().eq_ignore_ascii_case(word)))
}

/// The words of a text in upper case, with a blank before and after each: `NotFound` is ` NOT FOUND `.
fn words(text: &str) -> String {
    let mut words = String::from(" ");
    let mut last = ' ';
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let begins_lower = chars.peek().is_some_and(|next| next.is_lowercase());
        let is_start = char.is_uppercase() && (!last.is_uppercase() || begins_lower);
        if (is_start || !char.is_alphanumeric()) && !words.ends_with(' ') {
            words.push(' ');
        }
        if char.is_alphanumeric() {
            words.push(char.to_ascii_uppercase());
        }
        last = char;
    }
    words.push(' ');
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_name_an_error_unless_there_is_none() {
        for text in [
            "NotFoundError",
            "INVALID_SYMBOL",
            "HTTPError",
            "AccessDenied",
            "not-found",
            "Too many calls",
            "java.io.IOException",
        ] {
            assert!(is_error_word(text), "{text}");
        }
        for text in ["failover-1", "No failures found", "no exceptions", "NoError", "0 errors", "terrors", ""]
        {
            assert!(!is_error_word(text), "{text}");
        }
    }

    #[test]
    fn message_that_something_is_done_differs_from_its_negation() {
        for text in ["Request processed", "Query completed.", "Request was a success", "OK"] {
            assert!(is_done_message(&text.into()), "{text}");
        }
        for text in ["Request not processed", "Login was not successful", "unsuccessful", "Invalid, not done"]
        {
            assert!(!is_done_message(&text.into()), "{text}");
        }
    }
}
