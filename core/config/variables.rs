//! Replaces `${NAME}` inside strings, after the file has been parsed: a value can
//! never change the structure of the file.

/// Where the values of variables come from.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A string whose variables have been replaced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// The string is one variable and nothing else.
    pub(crate) is_one_variable: bool,
    /// The values of the variables that are set, with `${NAME}`. Defaults are part of the file.
    pub(crate) values: Vec<(String, String)>,
}

/// Replaces `${NAME}`, `${NAME:-default}` and `${NAME:?message}`; `$${` is a literal
/// `${`. `None` if there is nothing to replace. The error does not quote the text, which may be
/// a secret.
pub(crate) fn expand(text: &str, lookup: Lookup) -> Result<Option<Expanded>, String> {
    let mut out = String::new();
    let mut values = Vec::new();
    let mut n_variables = 0;
    let mut rest = text;
    let mut has_changed = false;
    while let Some(at) = rest.find("${") {
        let (before, found) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &found[2..];
            has_changed = true;
            continue;
        }
        out.push_str(before);
        let Some(end) = closing_brace(found) else {
            return Err("`${` has no closing `}`; write `$${` for a literal `${`".into());
        };
        let (name, value, is_set) = replace(&found[2..end], lookup)?;
        out.push_str(&value);
        n_variables += 1;
        if is_set {
            values.push((format!("${{{name}}}"), value));
        }
        rest = &found[end + 1..];
        has_changed = true;
    }
    if !has_changed {
        return Ok(None);
    }
    let is_one_variable =
        n_variables == 1 && text.starts_with("${") && text.ends_with('}') && rest.is_empty();
    out.push_str(rest);
    Ok(Some(Expanded { text: out, is_one_variable, values }))
}

/// The end of a variable at the start of `text`. A default may hold placeholders: `${KEY:-a/{{ entry }}.json}`.
fn closing_brace(text: &str) -> Option<usize> {
    let mut at = 2;
    loop {
        let rest = &text[at..];
        let close = rest.find('}')?;
        let Some(open) = rest[..close].find("{{") else { return Some(at + close) };
        at += open + rest[open..].find("}}")? + 2;
    }
}

/// The name of a variable, the text that replaces it, and whether that is its value.
fn replace(inner: &str, lookup: Lookup) -> Result<(String, String, bool), String> {
    if inner.contains("${") {
        return Err(
            "a default or a message in `${…}` cannot contain another `${…}`: write the text of the default \
                    instead, or give the variable its value where it is set"
                .into(),
        );
    }
    let (name, otherwise) = match inner.find(':') {
        Some(at) => (&inner[..at], Some(&inner[at + 1..])),
        None => (inner, None),
    };
    let is_name = !name.is_empty()
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err("`${…}` does not name a variable, which has letters, digits and `_`; \
                    write `$${` for a literal `${`"
            .into());
    }
    if otherwise.is_some_and(|otherwise| !otherwise.starts_with(['-', '?'])) {
        return Err(format!(
            "`${{{name}:…}}` is not valid: write `${{{name}}}`, `${{{name}:-default}}` or `${{{name}:?message}}`"
        ));
    }
    let value = lookup(name).filter(|value| !value.is_empty());
    let is_set = value.is_some();
    let value = match (value, otherwise) {
        (Some(value), _) => value,
        (None, None) => lookup(name).ok_or_else(|| not_set(name))?,
        (None, Some(otherwise)) => match otherwise.strip_prefix('-') {
            Some(default) => default.to_owned(),
            None => return Err(format!("set the variable {name}: {}", &otherwise[1..])),
        },
    };
    Ok((name.to_owned(), value, is_set))
}

fn not_set(name: &str) -> String {
    let message =
        format!("the variable {name} is not set; set it, or give a default as in `${{{name}:-default}}`");
    if name.contains(|c: char| c.is_ascii_uppercase()) {
        return message;
    }
    // Variables of the environment are written in upper case.
    format!("{message}. A value of a record or of a request is written `{{{{ {name} }}}}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("one".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    fn text(of: &str) -> String {
        expand(of, &lookup).unwrap().map_or_else(|| of.to_owned(), |expanded| expanded.text)
    }

    #[test]
    fn variables_are_replaced() {
        assert_eq!(text("x ${A} y ${B:-two} ${EMPTY:-three}${EMPTY}."), "x one y two three.");
        assert_eq!(text("$${A} costs $5"), "${A} costs $5");
        assert_eq!(text("${B:-http://h:1/{x}"), "http://h:1/{x");
        assert_eq!(text("${B:-a/{{ entry }}.json} ${B:-{{x}}-{{y}}}"), "a/{{ entry }}.json {{x}}-{{y}}");
        assert_eq!(text("${A}-{{ entry }}"), "one-{{ entry }}");
    }

    #[test]
    fn single_variable_is_recognized() {
        assert!(expand("${A}", &lookup).unwrap().unwrap().is_one_variable);
        assert!(!expand("${A}${A}", &lookup).unwrap().unwrap().is_one_variable);
        assert!(!expand("${A} ", &lookup).unwrap().unwrap().is_one_variable);
        assert_eq!(expand("plain", &lookup).unwrap(), None);
    }

    #[test]
    fn missing_or_invalid_variable_is_an_error() {
        assert!(expand("${B}", &lookup).unwrap_err().contains("B is not set"));
        assert!(expand("${since}", &lookup).unwrap_err().ends_with("is written `{{ since }}`"));
        assert_eq!(expand("${B:?the bucket}", &lookup).unwrap_err(), "set the variable B: the bucket");
        assert!(expand("${EMPTY:?the bucket}", &lookup).is_err());
        for open in ["${A", "${B:-{{ x }}", "${B:-{{ x }"] {
            assert!(expand(open, &lookup).unwrap_err().contains("no closing"), "{open}");
        }
        assert!(expand("${A:+x}", &lookup).unwrap_err().contains("`${A:…}` is not valid"));
        for nested in ["${B:-${A}}", "${B:-${A}/x.jsonl}", "${A:-${B}", "${B:?set ${A}}", "${B:-x${A:-y}}"] {
            assert!(expand(nested, &lookup).unwrap_err().contains("cannot contain another"), "{nested}");
        }
        assert!(expand("${1A}", &lookup).unwrap_err().contains("does not name a variable"));
    }
}
