//! The characters that have a meaning in a CSV text, as options.

use schemars::JsonSchema;
use serde::Deserialize;

/// One ASCII character that separates, quotes or escapes.
fn one_ascii_character(text: &str, examples: &str) -> Result<u8, String> {
    match text.as_bytes() {
        [b'\n' | b'\r'] => Err("a line end cannot have this meaning".into()),
        &[byte] if byte.is_ascii() => Ok(byte),
        _ => Err(format!("`{text}` is not one ASCII character, such as {examples}")),
    }
}

/// The character between two cells.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r#"^[^"\r\n]$|\$\{"#))]
pub(crate) struct Delimiter(pub(crate) u8);

impl Default for Delimiter {
    fn default() -> Self {
        Delimiter(b',')
    }
}

impl TryFrom<String> for Delimiter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_bytes() {
            [b'"' | b'\n' | b'\r'] => Err("a quote or a line end cannot be the delimiter".into()),
            _ => one_ascii_character(
                &text,
                r#"",", ";", "|" or "\t"; for a longer one read each line as one cell and `split` it in a `remap`"#,
            )
            .map(Delimiter),
        }
    }
}

/// The character around cells; none if quoting is off.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r"^[^\r\n]?$|\$\{"))]
pub(crate) struct Quote(pub(crate) Option<u8>);

impl Default for Quote {
    fn default() -> Self {
        Quote(Some(b'"'))
    }
}

impl TryFrom<String> for Quote {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Quote(None));
        }
        one_ascii_character(&text, r#""'", or "" to switch quoting off"#).map(|byte| Quote(Some(byte)))
    }
}

/// The character that takes the meaning from the next one.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r"^[^\r\n]$|\$\{"))]
pub(crate) struct Escape(pub(crate) u8);

impl TryFrom<String> for Escape {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        one_ascii_character(&text, r#""\\""#).map(Escape)
    }
}

/// What a comment line begins with.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r"^[^\r\n]+$|\$\{"))]
pub(crate) struct Comment(pub(crate) Box<str>);

impl TryFrom<String> for Comment {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.is_empty() || text.contains(['\r', '\n']) {
            return Err("it must be the text that a comment line begins with, such as \"#\"".into());
        }
        Ok(Comment(text.into()))
    }
}

/// A character within numbers.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline, extend("pattern" = r"^[^0-9A-Za-z+\-\r\n]$|\$\{"))]
pub(crate) struct NumberSeparator(pub(crate) char);

impl Default for NumberSeparator {
    fn default() -> Self {
        NumberSeparator('.')
    }
}

impl TryFrom<String> for NumberSeparator {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some(mark), None) if !mark.is_alphanumeric() && !matches!(mark, '+' | '-' | '\r' | '\n') => {
                Ok(NumberSeparator(mark))
            }
            _ => Err(format!("`{text}` is not one character such as \",\", \".\", \" \" or \"'\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiter_must_be_one_ascii_character() {
        for good in [",", ";", "\t", "|", " "] {
            assert!(Delimiter::try_from(good.to_owned()).is_ok(), "{good:?}");
        }
        for bad in ["", ",,", "\\t", "\"", "\n", "é"] {
            assert!(Delimiter::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
