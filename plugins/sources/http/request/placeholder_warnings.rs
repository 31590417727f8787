//! Warns of texts that look like variables or dates of another language, and are sent as they are.

use runner_core::{BuildContext, OptionError};

use super::super::HttpConfig;
use super::template::TIME_VARIABLES;

/// Warns, once for each option, of what was most likely meant as a variable. `names` are those of `for_each`.
pub(crate) fn warn(config: &HttpConfig, names: &[String], context: &BuildContext) {
    let add = |option: &str, message: Option<String>| {
        if let Some(message) = message {
            context.warnings.add(OptionError::new(option, message));
        }
    };
    let is_known = |name: &str| TIME_VARIABLES.contains(&name) || names.iter().any(|known| known == name);
    let endpoint = config.endpoint.trim();
    let (path, query) = endpoint.split_once('?').unwrap_or((endpoint, ""));
    let in_path = path.split('/').find_map(|segment| in_value(segment, is_known));
    let in_query = query.split('&').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        in_parameter(name, value, is_known)
    });
    add("endpoint", in_path.or(in_query).or_else(|| in_date(path)));
    for (name, values) in &config.query {
        add(&format!("query.{name}"), values.0.iter().find_map(|value| in_parameter(name, value, is_known)));
    }
    add("body", config.body.as_deref().and_then(|body| in_body(body, is_known)));
}

/// What is odd about a query parameter.
fn in_parameter(name: &str, value: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    in_value(value, is_known).or_else(|| if is_about_form(name) { None } else { in_date(value) })
}

/// What is odd about a value, or about a segment of a path.
fn in_value(value: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    let value = value.trim();
    let name = whole(value);
    if let Some((name, is_braced)) = name
        && (is_known(name) || is_braced && !is_hexadecimal(name))
    {
        return Some(variable(value, name));
    }
    // Inside a longer value only the names that are variables here.
    let mut rest = value;
    while let Some(start) = rest.find('{') {
        let after = &rest[start + 1..];
        let end = after.find('}')?;
        let name = after[..end].trim();
        let is_single = !after.starts_with('{') && !after[end + 1..].starts_with('}');
        if is_single && is_known(name) {
            return Some(variable(&rest[start..start + end + 2], name));
        }
        // The two braces of a variable are passed together.
        rest = if after.starts_with('{') { after[end..].trim_start_matches('}') } else { &after[end + 1..] };
    }
    None
}

/// The name in a text that is one variable of another language, and whether it is in braces.
fn whole(text: &str) -> Option<(&str, bool)> {
    const FORMS: [(&str, &str, bool); 10] = [
        ("${", "}", true),
        ("%{", "}", true),
        ("#{", "}", true),
        ("{", "}", true),
        ("<", ">", true),
        ("[", "]", false),
        ("%", "%", false),
        ("$", "", false),
        (":", "", false),
        ("@", "", false),
    ];
    FORMS.iter().find_map(|&(before, after, is_braced)| {
        let name = text.strip_prefix(before)?.strip_suffix(after)?.trim();
        is_name(name).then_some((name, is_braced))
    })
}

/// What is odd about a body: a string or a form value that is one of the variables, and dates.
fn in_body(body: &str, is_known: impl Fn(&str) -> bool) -> Option<String> {
    let strings = body.split(['"', '\'', '=', '&', '\\']);
    let found = strings.map(str::trim).find_map(|text| {
        let (name, _) = whole(text).filter(|(name, _)| is_known(name))?;
        Some(variable(text, name))
    });
    found.or_else(|| {
        let date = date_in(body)?;
        let at = date.as_ptr() as usize - body.as_ptr() as usize;
        let before: Vec<char> = body[..at].chars().rev().take(30).collect();
        let before: String = before.into_iter().rev().collect();
        (!is_about_form(&before)).then(|| as_date(date))
    })
}

fn in_date(text: &str) -> Option<String> {
    date_in(text).map(as_date)
}

/// A pattern of strftime in a text, such as `%Y-%m-%d`; `%20` and `like '%x%'` are none.
fn date_in(text: &str) -> Option<&str> {
    let (mut first, mut last, mut n_fields, mut has_year) = (None, 0, 0, false);
    let bytes = text.as_bytes();
    let mut at = 0;
    while at + 1 < bytes.len() {
        let next = bytes.get(at + 2);
        let is_encoded = bytes[at + 1].is_ascii_hexdigit() && next.is_some_and(u8::is_ascii_hexdigit);
        let is_end = next.is_none_or(|next| !next.is_ascii_alphabetic() || matches!(next, b'T' | b'Z'));
        if bytes[at] == b'%' && !is_encoded && is_end && b"YymdjHMSFTs".contains(&bytes[at + 1]) {
            first = first.or(Some(at));
            last = at + 2;
            n_fields += 1;
            has_year |= b"YyF".contains(&bytes[at + 1]);
            at += 1;
        }
        at += 1;
    }
    let found = &text[first?..last];
    (has_year && n_fields > 1 || matches!(text.trim(), "%Y" | "%F" | "%s")).then_some(found)
}

/// Whether a parameter says how times are written.
fn is_about_form(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["format", "pattern", "mask", "fmt"].iter().any(|word| name.contains(word))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

/// Whether a name may be an identifier that an API writes in braces.
fn is_hexadecimal(name: &str) -> bool {
    name.len() >= 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn variable(text: &str, name: &str) -> String {
    format!(
        "`{text}` is sent as it is; a variable is written `{{{{ {name} }}}}`. The variables are the fields of `for_each`, \
         and `{{{{ since }}}}`, `{{{{ now }}}}`, `{{{{ from }}}}` and `{{{{ to }}}}`"
    )
}

fn as_date(pattern: &str) -> String {
    format!(
        "`{pattern}` is sent as it is; a time is written `{{{{ since }}}}` or `{{{{ now }}}}`, and \
         `incremental = {{ cursor = …, start = …, format = \"{pattern}\" }}` gives them this form"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner_core::testing::context;
    use serde_json::{Value, json};

    fn warnings(options: Value) -> Vec<String> {
        let mut table = json!({"endpoint": "http://a/prices"});
        table.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let config: HttpConfig = serde_json::from_value(table).unwrap();
        let context = context();
        warn(&config, &["symbol".to_owned()], &context);
        context.warnings.take().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn variables_and_dates_of_other_languages_are_named() {
        for (options, option, part) in [
            (json!({"query": {"d": "%Y-%m-%d"}}), "query.d", "format = \"%Y-%m-%d\""),
            (json!({"query": {"d": "%Y%m%d"}}), "query.d", "`%Y%m%d` is sent as it is"),
            (json!({"query": {"d": "%Y-%m-%dT%H:%M:%SZ"}}), "query.d", "`%Y-%m-%dT%H:%M:%S` is"),
            (json!({"query": {"d": "%s"}}), "query.d", "`%s` is"),
            (json!({"query": {"d": "{since}"}}), "query.d", "written `{{ since }}`"),
            (json!({"query": {"d": "${since}"}}), "query.d", "`${since}` is sent"),
            (json!({"query": {"d": ":since"}}), "query.d", "written `{{ since }}`"),
            (json!({"query": {"d": ["x", "<now>"]}}), "query.d", "written `{{ now }}`"),
            (json!({"query": {"q": "date ge {since} and open"}}), "query.q", "`{since}` is sent"),
            (json!({"query": {"q": "{{ symbol }} {since}"}}), "query.q", "`{since}` is sent"),
            (json!({"query": {"s": "{ticker}"}}), "query.s", "`for_each`"),
            (json!({"endpoint": "http://a/v1/{symbol}/prices"}), "endpoint", "written `{{ symbol }}`"),
            (json!({"endpoint": "http://a/v1/:symbol/prices"}), "endpoint", "written `{{ symbol }}`"),
            (json!({"endpoint": "http://a/v1/{ticker}/prices"}), "endpoint", "written `{{ ticker }}`"),
            (json!({"endpoint": "http://a/v1/%Y-%m-%d/x"}), "endpoint", "`%Y-%m-%d` is sent"),
            (json!({"endpoint": "http://a/v1?a=1&from={since}"}), "endpoint", "`{since}` is sent"),
            (json!({"endpoint": "http://a/v1?d=%Y-%m-%d"}), "endpoint", "`%Y-%m-%d` is sent"),
            (json!({"body": "{\"from\": \"{since}\"}"}), "body", "`{since}` is sent"),
            (json!({"body": "from={since}&to=1"}), "body", "`{since}` is sent"),
            (json!({"body": "{\"from\": \"%Y-%m-%d\"}"}), "body", "`%Y-%m-%d` is sent"),
            (json!({"body": "{\"query\": \"{a(from: \\\"{since}\\\")}\"}"}), "body", "`{since}` is sent"),
        ] {
            let warnings = warnings(options.clone());
            assert_eq!(warnings.len(), 1, "{options}: {warnings:?}");
            assert!(warnings[0].starts_with(&format!("`{option}`: ")), "{warnings:?}");
            assert!(warnings[0].contains(part), "{warnings:?}");
        }
    }

    #[test]
    fn texts_that_are_meant_as_they_are_pass() {
        for options in [
            json!({"query": {"d": "{{ since }}", "e": "x {{ symbol }} y", "f": "{{{ symbol }}}"}}),
            json!({"query": {"q": "a%20b%2Cc%dd%da", "s": "100%", "t": "50% off", "u": "%"}}),
            json!({"query": {"where": "name like '%Smith%' and x like '%Y%'", "v": "like '%m%d%'"}}),
            json!({"query": {"date_format": "%Y-%m-%d", "fmt": "%Y%m%d"}}),
            json!({"query": {"$filter": "id eq {6F9619FF-8B86-D011-B42D-00CF4FC964FF}", "id": "{00cf4fc964ff8b86}"}}),
            json!({"query": {"fields": "{name,price}", "sort": ":asc", "tags": "[a]", "$top": "$5", "at": "@home"}}),
            json!({"endpoint": "http://a/Products(1)/x:search/%20/a%2Fb?q=%7B%22a%22%3A1%7D"}),
            json!({"endpoint": "http://a:8080/a/items('{6F9619FF-8B86-D011-B42D-00CF4FC964FF}')"}),
            json!({"body": "{\"query\": \"query($from: Date) { prices(from: $from) { symbol now } }\"}"}),
            json!({"body": "{\"query\": \"{prices{symbol}}\", \"a\": {\"b\": {}}}"}),
            json!({"body": "{\"aggs\": {\"date_histogram\": {\"format\": \"%Y-%m-%d\"}}}"}),
            json!({"query": {"q": "{a: 1}"}}),
        ] {
            assert_eq!(warnings(options.clone()), [""; 0], "{options}");
        }
    }
}
