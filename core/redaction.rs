//! Takes secrets out of texts that are shown.

use std::fmt;

/// Texts that must not be shown, each with what is shown instead.
#[derive(Clone, Default)]
pub struct Redaction {
    /// In lower case, the longest first, so that no part of one is left.
    texts: Vec<(String, String)>,
}

/// Secrets up to this length also occur inside other words, so they are replaced as whole words only.
const SHORT: usize = 3;

impl Redaction {
    /// Replaces each text by what belongs to it.
    pub fn new(texts: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut texts: Vec<(String, String)> = texts
            .into_iter()
            .map(|(text, shown)| (text.to_ascii_lowercase(), shown))
            .filter(|(text, _)| !text.is_empty())
            .collect();
        texts.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Redaction { texts }
    }

    /// The message without the texts, whatever case it has them in.
    pub fn apply(&self, message: &str) -> String {
        let lower = message.to_ascii_lowercase();
        let mut shown = String::with_capacity(message.len());
        let mut at = 0;
        while let Some(c) = message[at..].chars().next() {
            let found = self.texts.iter().find(|(text, _)| {
                lower[at..].starts_with(text.as_str())
                    && (text.len() > SHORT || is_word(&lower, at, at + text.len()))
            });
            if let Some((text, replacement)) = found {
                shown.push_str(replacement);
                at += text.len();
            } else {
                shown.push(c);
                at += c.len_utf8();
            }
        }
        shown
    }
}

fn is_word(text: &str, start: usize, end: usize) -> bool {
    let (before, after) = (text[..start].chars().next_back(), text[end..].chars().next());
    !before.into_iter().chain(after).any(char::is_alphanumeric)
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_replaced_in_any_case_and_short_ones_as_words() {
        let texts = [("hunter2", "${PW}"), ("hunter2 b", "***"), ("5", "${N}"), ("", "x")];
        let redaction = Redaction::new(texts.map(|(text, shown)| (text.to_owned(), shown.to_owned())));
        assert_eq!(redaction.apply("xHUNTER2, hunter2 B, 5s, `5`"), "x${PW}, ***, 5s, `${N}`");
        assert!(!format!("{redaction:?}").contains("hunter"));
    }
}
