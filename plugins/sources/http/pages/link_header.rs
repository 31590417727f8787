//! Finds the target of `rel="next"` in `Link` headers (RFC 8288), and in lists of links in a response.

use reqwest::Url;
use serde_json::Value;

/// The target of the first `next` link as written, often relative to the URL of the request.
pub(super) fn next_target<'a>(headers: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    headers.into_iter().find_map(|header| {
        let mut rest = header;
        while let Some(link) = take_link(&mut rest) {
            if link.is_next {
                return Some(link.target);
            }
        }
        None
    })
}

/// The URL of the next page in a list of links, as in FHIR and OGC API: `[{"rel": "next", "href": "…"}]`.
pub(super) fn next_of_links(links: &[Value]) -> Option<&str> {
    let next = links.iter().find(|link| relation_of(link) == Some("next"))?;
    text_of(next, ["href", "url"])
}

/// Whether a list holds links with their relations.
pub(super) fn are_links(links: &[Value]) -> bool {
    links.iter().any(|link| relation_of(link).is_some())
}

fn relation_of(link: &Value) -> Option<&str> {
    text_of(link, ["rel", "relation"])
}

fn text_of<'a>(link: &'a Value, names: [&str; 2]) -> Option<&'a str> {
    names.into_iter().find_map(|name| link.get(name)?.as_str())
}

/// Whether a text is a URL rather than a cursor: absolute, or relative to `endpoint`.
pub(super) fn is_url(text: &str, endpoint: &Url) -> bool {
    let is_absolute = |text: &str| text.starts_with("http://") || text.starts_with("https://");
    let path = text.split('?').next().unwrap_or_default();
    // Base64 has slashes and `=`, and no question mark.
    let has_query = text.split_once('?').is_some_and(|(_, query)| query.contains('='));
    let is_relative = text.len() > 1
        && (text.starts_with('/') && !text.ends_with('=')
            || text.starts_with("./")
            || text.starts_with("../"));
    let mut segments = endpoint.path().split('/').filter(|segment| !segment.is_empty());
    let mut begins_as_path = || {
        let (first, rest) = path.split_once('/').unwrap_or_default();
        !rest.is_empty() && segments.any(|segment| segment == first)
    };
    !text.contains(char::is_whitespace) && (is_absolute(text) || has_query || is_relative || begins_as_path())
}

/// Corrects what some APIs write into a URL: `&amp;` and other escapes of HTML become `&` (no parameter is called
/// `amp;page`), and template variables without a value, such as `{&sort}` (RFC 6570), are removed.
pub(super) fn cleaned(target: &str) -> String {
    let escapes = ["&amp;", "&#38;", "&#038;", "&#x26;"];
    let mut url = escapes.iter().fold(target.to_owned(), |url, escape| url.replace(escape, "&"));
    while let Some(begin) = url.find("{?").or_else(|| url.find("{&"))
        && let Some(length) = url[begin..].find('}')
    {
        url.replace_range(begin..=begin + length, "");
    }
    url
}

struct Link<'a> {
    target: &'a str,
    is_next: bool,
}

/// Parses one link off the front; `None` at the end or at invalid text.
fn take_link<'a>(rest: &mut &'a str) -> Option<Link<'a>> {
    *rest = rest.trim_start_matches([' ', '\t', ',']);
    let (target, tail) = rest.strip_prefix('<')?.split_once('>')?;
    *rest = tail;
    let mut relation = None;
    let (mut has_anchor, mut is_empty) = (false, false);
    while let Some((name, value)) = take_parameter(rest) {
        // Only the first `rel` counts. A link with an `anchor` has another context than this response.
        if name.eq_ignore_ascii_case("rel") {
            relation = relation.or(Some(value));
        } else if name.eq_ignore_ascii_case("anchor") {
            has_anchor = true;
        } else if name.eq_ignore_ascii_case("results") {
            // Sentry names a next page behind the last one, too.
            is_empty = value.eq_ignore_ascii_case("false");
        }
    }
    let mut relations = relation.unwrap_or_default().split_ascii_whitespace();
    let is_next = !has_anchor && !is_empty && relations.any(|relation| relation.eq_ignore_ascii_case("next"));
    Some(Link { target: target.trim(), is_next })
}

/// Parses `; name=value` off the front. Escapes are kept, because relation types contain none.
fn take_parameter<'a>(rest: &mut &'a str) -> Option<(&'a str, &'a str)> {
    let text = rest.trim_start().strip_prefix(';')?.trim_start();
    let (name, tail) = text.split_at(text.find(['=', ';', ',']).unwrap_or(text.len()));
    let Some(value) = tail.strip_prefix('=') else {
        *rest = tail;
        return Some((name.trim_end(), ""));
    };
    let value = value.trim_start();
    let Some(quoted) = value.strip_prefix('"') else {
        let (value, tail) = value.split_at(value.find([';', ',']).unwrap_or(value.len()));
        *rest = tail;
        // Some APIs write single quotes, which are part of a token.
        return Some((name.trim_end(), value.trim_end().trim_matches('\'')));
    };
    let mut is_escaped = false;
    let end = quoted.find(|next: char| {
        let is_end = next == '"' && !is_escaped;
        is_escaped = next == '\\' && !is_escaped;
        is_end
    });
    let (value, tail) = quoted.split_at(end.unwrap_or(quoted.len()));
    *rest = tail.strip_prefix('"').unwrap_or(tail);
    Some((name.trim_end(), value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn next_link_is_found_among_others() {
        let header = r#"<https://api.example.com/items?page=1>; rel="prev", </items?page=3>; title="a, b; c"; rel="next""#;
        assert_eq!(next_target([header]), Some("/items?page=3"));
        assert_eq!(next_target([r#"</a>; rel="last""#, "</b>;rel=next"]), Some("/b"));
        assert_eq!(next_target(["</a>; rel='last', </b>; rel='next'"]), Some("/b"));
        let sentry = |results: &str| format!(r#"</b>; rel="next"; results="{results}"; cursor="0:100:0""#);
        assert_eq!(next_target([&*sentry("true")]), Some("/b"));
        assert_eq!(next_target([&*sentry("false")]), None);
    }

    #[test]
    fn url_is_not_a_cursor() {
        let endpoint = Url::parse("https://a/api/items?limit=1").unwrap();
        for url in [
            "https://a/api/items?page=2",
            "/api/items/page/2",
            "?page=2",
            "items?page=2",
            "./items?page=2",
            "items/page/2",
            "api/items/2",
        ] {
            assert!(is_url(url, &endpoint), "{url}");
        }
        for cursor in [
            "abc",
            "a/b+c==",
            "eyJhIjoxfQ==",
            "2024-01-31",
            "items",
            "https",
            "a b?c=d",
            "/",
            "12",
            "a?",
            "/w8AAA==",
            ".x",
        ] {
            assert!(!is_url(cursor, &endpoint), "{cursor}");
        }
    }

    #[test]
    fn escapes_and_variables_in_a_url_are_removed() {
        for (target, cleaned_target) in [
            (
                "https://a/x?b=1&amp;c=2&#038;d=3&#38;e=%26amp%3B&#x26;f",
                "https://a/x?b=1&c=2&d=3&e=%26amp%3B&f",
            ),
            ("/x?page=1{&sort,size}", "/x?page=1"),
            ("/x{?page}#part", "/x#part"),
            ("/x?amp;b={1}&c={\"a\":2}&d={&e", "/x?amp;b={1}&c={\"a\":2}&d={&e"),
        ] {
            assert_eq!(cleaned(target), cleaned_target);
        }
    }

    #[test]
    fn next_page_is_found_in_a_list_of_links() {
        let links = |value: Value| value.as_array().unwrap().clone();
        let ogc = links(serde_json::json!([{"rel": "self", "href": "/a"}, {"rel": "next", "href": "/b"}]));
        let fhir =
            links(serde_json::json!([{"relation": "next", "url": "/b"}, {"relation": "self", "url": "/a"}]));
        let last = links(serde_json::json!([{"rel": "self", "href": "/a"}]));
        assert_eq!(
            (next_of_links(&ogc), next_of_links(&fhir), next_of_links(&last)),
            (Some("/b"), Some("/b"), None)
        );
        assert!(are_links(&last) && !are_links(&links(serde_json::json!([{"href": "/a"}, 1]))));
    }

    #[test]
    fn link_may_have_several_relations_in_any_case() {
        assert_eq!(next_target([r#"<?page=2>; REL="last NEXT""#]), Some("?page=2"));
        assert_eq!(next_target([r#"</x>; rel="nextish""#]), None);
    }

    #[test]
    fn repeated_rel_and_anchor_are_ignored() {
        assert_eq!(next_target([r#"</x>; rel="prev"; rel="next""#]), None);
        assert_eq!(next_target([r##"</x>; rel="next"; anchor="#part""##]), None);
    }

    #[test]
    fn commas_and_quotes_inside_a_value_do_not_end_it() {
        let header = r#"</a,b>; title="say \"next\", <c>; rel=next"; rel=prev, </d>; rel=next"#;
        assert_eq!(next_target([header]), Some("/d"));
    }

    proptest! {
        #[test]
        fn invalid_links_neither_panic_nor_loop(text in r#"[<>;,="\\ a-z]{0,40}"#) {
            // Any result is accepted; the test is about panics and endless loops.
            if let Some(target) = next_target([text.as_str()]) {
                prop_assert!(text.contains(target));
            }
        }
    }
}
