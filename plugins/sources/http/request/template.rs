//! Texts with variables such as `{{ symbol }}`.

use anyhow::{anyhow, bail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use runner_core::Result;
use url::form_urlencoded::byte_serialize;

use super::super::elements::Element;

/// All but the unreserved characters of RFC 3986.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(String),
}

/// Where a value is put, and so how it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValuePlace {
    Path,
    Query,
    Header,
    Json,
    Form,
    Plain,
}

/// The values of the variables in one walk.
#[derive(Clone, Debug)]
pub(crate) struct Values<'a> {
    pub(crate) element: &'a Element,
    pub(crate) since: Option<String>,
    pub(crate) now: String,
    pub(crate) window: Option<(String, String)>,
}

/// The names of the variables that do not come from `for_each`.
pub(crate) const TIME_VARIABLES: [&str; 4] = ["since", "now", "from", "to"];

impl Values<'_> {
    fn get(&self, name: &str) -> Option<String> {
        match name {
            "since" => self.since.clone(),
            "now" => Some(self.now.clone()),
            "from" => self.window.as_ref().map(|(from, _)| from.clone()),
            "to" => self.window.as_ref().map(|(_, to)| to.clone()),
            _ => self.element.text(name),
        }
    }
}

impl Template {
    /// Reads a text. Braces that do not surround a name on one line are text.
    pub(crate) fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            let (before, after) = (&rest[..start], &rest[start + 2..]);
            let name = after.find("}}").map(|end| &after[..end]);
            let Some(name) = name.filter(|name| !name.contains(['{', '}', '"', '\n'])) else {
                // The next two braces may begin at the second one.
                plain.push_str(&rest[..=start]);
                rest = &rest[start + 1..];
                continue;
            };
            plain.push_str(before);
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(Part::Variable(name.trim().to_owned()));
            rest = &after[name.len() + 2..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Template(parts)
    }

    /// The names of its variables.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Variable(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }

    pub(super) fn has_variables(&self) -> bool {
        self.variables().next().is_some()
    }

    /// The name of the variable that is all of the text.
    pub(crate) fn single_variable(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Part::Variable(name)] => Some(name),
            _ => None,
        }
    }

    /// The parts that are not variables.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text.as_str()),
            Part::Variable(_) => None,
        })
    }

    /// Whether it has the form of a web form, `a=1&b={{ x }}`.
    pub(crate) fn is_form(&self) -> bool {
        let text_of = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(_) => "0".to_owned(),
        };
        let text: String = self.0.iter().map(text_of).collect();
        let is_pair = |pair: &str| {
            let is_name = |c: char| c.is_ascii_alphanumeric() || "._-[]%+*$".contains(c);
            let is_value = |c: char| c.is_ascii_graphic() && !"<>{}\"".contains(c);
            let pair = pair.split_once('=');
            pair.is_some_and(|(name, value)| {
                !name.is_empty() && name.chars().all(is_name) && value.chars().all(is_value)
            })
        };
        // Base64 may end with `=`.
        let has_value = text.contains('&') || !text.trim_end().ends_with('=');
        has_value && text.trim().split('&').all(is_pair)
    }

    /// The text with the values, encoded for `place`.
    pub(crate) fn render(&self, values: &Values<'_>, place: ValuePlace) -> Result<String> {
        self.render_each(values, |_| place)
    }

    /// The text of a URL with the values: those before the first `?` are parts of the path.
    pub(super) fn render_url(&self, values: &Values<'_>) -> Result<String> {
        self.render_each(
            values,
            |before| if before.contains('?') { ValuePlace::Query } else { ValuePlace::Path },
        )
    }

    fn render_each(&self, values: &Values<'_>, place: impl Fn(&str) -> ValuePlace) -> Result<String> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Variable(name) => {
                    let value = values.get(name).ok_or_else(|| anyhow!("`{{{{ {name} }}}}` has no value"))?;
                    let encoded = place(&text).encode(&value)?;
                    text.push_str(&encoded);
                }
            }
        }
        Ok(text)
    }
}

impl ValuePlace {
    fn encode(self, value: &str) -> Result<String> {
        Ok(match self {
            // A browser's URL rules take even the encoded dots as steps.
            ValuePlace::Path if matches!(value, "." | ".." | "") => {
                bail!("the value `{value}` cannot be a part of the path of a URL")
            }
            ValuePlace::Path => utf8_percent_encode(value, PATH).to_string(),
            ValuePlace::Query | ValuePlace::Form => byte_serialize(value.as_bytes()).collect(),
            ValuePlace::Header if value.contains(|c: char| c.is_control()) => {
                bail!("a value with a control character cannot be a part of a header")
            }
            ValuePlace::Header | ValuePlace::Plain => value.to_owned(),
            ValuePlace::Json => {
                let text = serde_json::to_string(value)?;
                text[1..text.len() - 1].to_owned()
            }
        })
    }
}

/// The first variable in the scheme, host or port of a URL.
pub(super) fn variable_in_host(url: &str) -> Option<String> {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find(['/', '?', '#']).map_or(url.len(), |at| authority + at);
    // A `/` inside braces does not end the host.
    let end = match url[..end].rfind("{{") {
        Some(open) if !url[open..end].contains("}}") => {
            url[open..].find("}}").map_or(end, |at| open + at + 2)
        }
        _ => end,
    };
    let front = Template::parse(&url[..end]);
    front.variables().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(text: &str, value: &str, place: ValuePlace) -> String {
        let element = Element::new([("s".to_owned(), json!(value))]);
        let values = Values { element: &element, since: None, now: "N".into(), window: None };
        Template::parse(text).render(&values, place).unwrap()
    }

    #[test]
    fn value_is_encoded_for_its_place() {
        let odd = "a/b ?&\"%ä";
        assert_eq!(render("{{ s }}", odd, ValuePlace::Path), "a%2Fb%20%3F%26%22%25%C3%A4");
        assert_eq!(render("{{s}}", odd, ValuePlace::Query), "a%2Fb+%3F%26%22%25%C3%A4");
        assert_eq!(render(r#"{"s": "{{ s }}"}"#, odd, ValuePlace::Json), r#"{"s": "a/b ?&\"%ä"}"#);
        assert_eq!(render("x {{ s }} {{now}}", odd, ValuePlace::Plain), format!("x {odd} N"));
        let element = Element::new([("s".to_owned(), json!("^a/b"))]);
        let values =
            Values { element: &element, since: Some("1+2".into()), now: String::new(), window: None };
        let url = Template::parse("http://h/{{ s }}?s={{ s }}&t={{ since }}").render_url(&values).unwrap();
        assert_eq!(url, "http://h/%5Ea%2Fb?s=%5Ea%2Fb&t=1%2B2");
        assert!(ValuePlace::Path.encode("..").is_err() && ValuePlace::Header.encode("a\nb").is_err());
    }

    #[test]
    fn form_is_recognized() {
        for text in ["a=1", "a={{ x }}&b[]=2", "grant=x&empty=&u=http%3A//h/?q=1\n", "{{ name }}={{ x }}"] {
            assert!(Template::parse(text).is_form(), "{text}");
        }
        for text in
            ["", "a", "{{ x }}", "{\"a\": 1}", "<a b=\"c\">", "a = 1", "a=1&b", "YWJj==", "cpu,h=a v=1"]
        {
            assert!(!Template::parse(text).is_form(), "{text}");
        }
    }

    #[test]
    fn braces_without_a_name_are_text() {
        for text in ["{ a }", "{{", "}}", "{\"a\": {\"b\": {}}}", "{{ \"a\" }}", "{{\n}}"] {
            assert!(!Template::parse(text).has_variables(), "{text}");
            assert_eq!(render(text, "v", ValuePlace::Plain), text);
        }
        assert_eq!(render("{{{ s }}}", "v", ValuePlace::Plain), "{v}");
        assert_eq!(Template::parse("{{ last.id }}").single_variable(), Some("last.id"));
    }

    #[test]
    fn variable_in_scheme_host_or_port_is_found() {
        for url in
            ["{{ s }}://h/", "http://{{ s }}/", "http://h.{{ s }}", "http://h:{{ s }}/a", "http://{{ a/b }}/"]
        {
            assert!(variable_in_host(url).is_some(), "{url}");
        }
        for url in ["http://h/{{ s }}", "http://h?x={{ s }}", "http://h/a?b={{ s }}"] {
            assert_eq!(variable_in_host(url), None, "{url}");
        }
    }
}
